//! Products of an `f32` matrix and a vector: a tile of 32 rows, and one of eight for matrices that a
//! request may give one row or many. Those are packed for `gemm`.
//!
//! What seldom follows the product is left to tract's own kernels.

use std::arch::wasm32::*;

use tract_linalg::isa::Arch;
use tract_linalg::mmm::{DynKernel, FusedKerSpec, MatMatMulKer as _, OutputStoreKer};
use tract_linalg::mmm_routines::MmmRoutine;
use tract_linalg::wasm::{wasm_f32_8x1, wasm_f32_32x1};

use crate::gemm;

pub const NAME: &str = "modelet_f32_32x1";

pub const NARROW_NAME: &str = "modelet_f32_8x1";

/// Vectors in a column of the tile of 32 rows.
const WIDE: usize = 8;

/// Vectors in a column of the tile of eight rows.
const NARROW: usize = 2;

inventory::submit! {
    MmmRoutine {
        make: || {
            let (a, b) = (wasm_f32_32x1.regular_pack_a(), wasm_f32_32x1.regular_pack_b());
            let mut kernel = DynKernel::<32, 1, f32>::new(NAME, gemv::<WIDE>, a, b);
            kernel.arch = Some(Arch::Wasm32Simd128);
            kernel.mmm()
        },
    }
}

inventory::submit! {
    MmmRoutine {
        make: || {
            let b = wasm_f32_8x1.regular_pack_b();
            let mut kernel =
                DynKernel::<8, 1, f32>::new(NARROW_NAME, gemv::<NARROW>, gemm::packing_of_a(), b);
            kernel.arch = Some(Arch::Wasm32Simd128);
            kernel.boost = || gemm::BOOST;
            kernel.mmm()
        },
    }
}

/// Runs the operations on one tile, of four rows in each of its vectors.
///
/// # Safety
/// The pointers in `operations` are those that tract gives to a kernel of this size and packing.
pub unsafe fn gemv<const VECTORS: usize>(operations: &[FusedKerSpec<f32>]) -> isize {
    let mut tile = [f32x4_splat(0.0); VECTORS];
    for operation in operations {
        // SAFETY: as for this function.
        unsafe {
            match *operation {
                FusedKerSpec::Done => break,
                FusedKerSpec::Clear => tile = [f32x4_splat(0.0); VECTORS],
                FusedKerSpec::AddMatMul { k, pa, pb, .. } if VECTORS == NARROW => {
                    multiply_narrow(k, pa.cast(), pb.cast(), &mut tile);
                }
                FusedKerSpec::AddMatMul { k, pa, pb, .. } => {
                    multiply(k, pa.cast(), pb.cast(), &mut tile);
                }
                FusedKerSpec::PerRowAdd(rows) => {
                    for (index, value) in tile.iter_mut().enumerate() {
                        *value = f32x4_add(v128_load(rows.cast::<v128>().add(index)), *value);
                    }
                }
                // As `gemm` does it.
                FusedKerSpec::ScalarMax(limit) => {
                    tile = tile.map(|value| f32x4_pmax(value, f32x4_splat(limit)));
                }
                FusedKerSpec::ScalarMin(limit) => {
                    tile = tile.map(|value| f32x4_pmin(value, f32x4_splat(limit)));
                }
                FusedKerSpec::Store(to) if to.row_byte_stride == size_of::<f32>() as isize => {
                    to.ptr.cast::<[v128; VECTORS]>().write_unaligned(tile);
                }
                other => tracts(other, &mut tile),
            }
        }
    }
    0
}

/// Adds the product of `k` columns and `k` values.
#[inline(never)]
unsafe fn multiply<const VECTORS: usize>(
    k: usize,
    mut a: *const v128,
    mut b: *const f32,
    tile: &mut [v128; VECTORS],
) {
    let mut sums = *tile;
    let mut left = k;
    'all: loop {
        sixteen_times!({
            if left == 0 {
                break 'all;
            }
            left -= 1;
            // SAFETY: there are `k` of them.
            unsafe { add_column(&mut sums, &mut a, &mut b) };
        });
    }
    *tile = sums;
}

/// The same with two sums for each row: a narrow tile has so few that each waits for itself.
#[inline(never)]
unsafe fn multiply_narrow<const VECTORS: usize>(
    k: usize,
    mut a: *const v128,
    mut b: *const f32,
    tile: &mut [v128; VECTORS],
) {
    let mut even = *tile;
    let mut odd = [f32x4_splat(0.0); VECTORS];
    let mut left = k;
    'all: loop {
        sixteen_times!({
            if left < 2 {
                break 'all;
            }
            left -= 2;
            // SAFETY: there are `k` of them.
            unsafe {
                add_column(&mut even, &mut a, &mut b);
                add_column(&mut odd, &mut a, &mut b);
            }
        });
    }
    if left == 1 {
        // SAFETY: as above.
        unsafe { add_column(&mut even, &mut a, &mut b) };
    }
    for ((sum, even), odd) in tile.iter_mut().zip(even).zip(odd) {
        *sum = f32x4_add(even, odd);
    }
}

/// Adds the product of the next column and the next value.
#[inline(always)]
unsafe fn add_column<const VECTORS: usize>(
    sums: &mut [v128; VECTORS],
    a: &mut *const v128,
    b: &mut *const f32,
) {
    // SAFETY: there is one more of both.
    unsafe {
        let value = v128_load32_splat(b.cast());
        for (index, sum) in sums.iter_mut().enumerate() {
            *sum = f32x4_relaxed_madd(v128_load(a.add(index)), value, *sum);
        }
        *a = a.add(VECTORS);
        *b = b.add(1);
    }
}

/// What tract's kernel does with a tile, which is then put back.
fn tracts<const VECTORS: usize>(operation: FusedKerSpec<f32>, tile: &mut [v128; VECTORS]) {
    let values: *mut f32 = tile.as_mut_ptr().cast();
    let size = size_of::<f32>() as isize;
    let back = OutputStoreKer {
        ptr: values.cast(),
        row_byte_stride: size,
        col_byte_stride: size,
        item_size: size_of::<f32>(),
    };
    let operations = [
        FusedKerSpec::LoadTile(values, values),
        operation,
        FusedKerSpec::Store(back),
        FusedKerSpec::Done,
    ];
    match VECTORS {
        NARROW => wasm_f32_8x1.kernel(&operations),
        _ => wasm_f32_32x1.kernel(&operations),
    };
}
