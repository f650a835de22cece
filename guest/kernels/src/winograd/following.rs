//! What happens to outputs after they were transformed back.

use std::arch::wasm32::*;

use tract_linalg::mmm::{FusedKerSpec, OutputStoreKer};

use super::{GROUP, TILE};
use crate::gemm::{LANES, transposed};

/// What follows, if that is all: to add one value for each filter, to keep to limits, and to store.
pub struct Following {
    bias: Option<*const f32>,
    limits: Option<[f32; 2]>,
    to: OutputStoreKer,
}

impl Following {
    pub fn of(operations: &[FusedKerSpec<f32>]) -> Option<Following> {
        use FusedKerSpec::*;

        let mut bias = None;
        let mut limits: Option<[f32; 2]> = None;
        for operation in operations {
            match (*operation, bias, limits) {
                (PerRowAdd(values), None, None) => bias = Some(values),
                (ScalarMax(least), _, None) => limits = Some([least, f32::INFINITY]),
                (ScalarMin(most), _, Some([least, _])) => limits = Some([least, most]),
                (Store(to), ..) => return Some(Following { bias, limits, to }),
                _ => return None,
            }
        }
        None
    }

    /// For eight neighbouring outputs of eight filters, of which so many are there.
    ///
    /// # Safety
    /// There are as many, and values for them.
    pub unsafe fn finish(
        &self,
        [filter, place]: [usize; 2],
        [filters, places]: [usize; 2],
        mut values: [[v128; 2]; TILE],
    ) {
        const NEIGHBOUR: isize = size_of::<f32>() as isize;

        let to = &self.to;
        // SAFETY: there are as many filters and places.
        unsafe {
            if let Some(bias) = self.bias {
                let bias = bias.add(filter);
                for (index, values) in values.iter_mut().enumerate().take(filters) {
                    let bias = f32x4_splat(bias.add(index).read());
                    *values = values.map(|value| f32x4_add(value, bias));
                }
            }
            if let Some(limits) = self.limits {
                let [least, most] = limits.map(|limit| f32x4_splat(limit));
                let within = |it| f32x4_pmin(f32x4_pmax(it, least), most);
                values = values.map(|values| values.map(within));
            }
            let offset = to.row_byte_stride * filter as isize + to.col_byte_stride * place as isize;
            let first = to.ptr.offset(offset);
            let is_whole = (filters, places) == (TILE, GROUP);
            if is_whole && to.col_byte_stride == NEIGHBOUR {
                for (filter, values) in values.into_iter().enumerate() {
                    let to = first.offset(to.row_byte_stride * filter as isize);
                    to.cast::<[v128; 2]>().write_unaligned(values);
                }
            } else if is_whole && to.row_byte_stride == NEIGHBOUR {
                for half in 0..2 {
                    let of = |filter: usize| values[filter][half];
                    let left = transposed([of(0), of(1), of(2), of(3)]);
                    let right = transposed([of(4), of(5), of(6), of(7)]);
                    for (place, values) in left.into_iter().zip(right).enumerate() {
                        let place = (LANES * half + place) as isize;
                        let to = first.offset(to.col_byte_stride * place);
                        to.cast::<[v128; 2]>().write_unaligned(values.into());
                    }
                }
            } else {
                let values = (&raw const values).cast::<f32>();
                for (filter, place) in
                    (0..filters).flat_map(|filter| (0..places).map(move |place| (filter, place)))
                {
                    let offset =
                        to.row_byte_stride * filter as isize + to.col_byte_stride * place as isize;
                    let value = values.add(GROUP * filter + place).read();
                    first.offset(offset).cast::<f32>().write(value);
                }
            }
        }
    }
}
