//! Products of an `f32` matrix and a vector: a tile of 32 rows.
//!
//! What follows the product is left to tract's own kernel.

use std::arch::wasm32::*;

use tract_linalg::isa::Arch;
use tract_linalg::mmm::{DynKernel, FusedKerSpec, MatMatMulKer as _, OutputStoreKer};
use tract_linalg::mmm_routines::MmmRoutine;
use tract_linalg::wasm::wasm_f32_32x1;

pub const NAME: &str = "modelet_f32_32x1";

inventory::submit! {
    MmmRoutine {
        make: || {
            let (a, b) = (wasm_f32_32x1.regular_pack_a(), wasm_f32_32x1.regular_pack_b());
            let mut kernel = DynKernel::<32, 1, f32>::new(NAME, gemv, a, b);
            kernel.arch = Some(Arch::Wasm32Simd128);
            kernel.mmm()
        },
    }
}

/// Four rows in each vector.
type Tile = [v128; 8];

/// Runs the operations on one tile.
///
/// # Safety
/// The pointers in `operations` are those that tract gives to a kernel of this size and packing.
pub unsafe fn gemv(operations: &[FusedKerSpec<f32>]) -> isize {
    let mut tile = [f32x4_splat(0.0); 8];
    for operation in operations {
        match *operation {
            FusedKerSpec::Done => break,
            FusedKerSpec::Clear => tile = [f32x4_splat(0.0); 8],
            FusedKerSpec::AddMatMul { k, pa, pb, .. } => {
                // SAFETY: as for this function.
                unsafe { multiply(k, pa.cast(), pb.cast(), &mut tile) }
            }
            other => tracts(other, &mut tile),
        }
    }
    0
}

/// Adds the product of `k` columns, eight vectors each, and `k` values.
#[inline(never)]
unsafe fn multiply(k: usize, mut a: *const v128, mut b: *const f32, tile: &mut Tile) {
    let mut sums = *tile;
    let mut left = k;
    'all: loop {
        sixteen_times!({
            if left == 0 {
                break 'all;
            }
            left -= 1;
            // SAFETY: there are `k` of them.
            unsafe {
                let value = v128_load32_splat(b.cast());
                for (index, sum) in sums.iter_mut().enumerate() {
                    *sum = f32x4_relaxed_madd(v128_load(a.add(index)), value, *sum);
                }
                a = a.add(8);
                b = b.add(1);
            }
        });
    }
    *tile = sums;
}

/// What tract's kernel does with a tile, which is then put back.
fn tracts(operation: FusedKerSpec<f32>, tile: &mut Tile) {
    let values: *mut f32 = tile.as_mut_ptr().cast();
    let size = size_of::<f32>() as isize;
    let back = OutputStoreKer {
        ptr: values.cast(),
        row_byte_stride: size,
        col_byte_stride: size,
        item_size: size_of::<f32>(),
    };
    wasm_f32_32x1.kernel(&[
        FusedKerSpec::LoadTile(values, values),
        operation,
        FusedKerSpec::Store(back),
        FusedKerSpec::Done,
    ]);
}
