//! Products of an `f32` matrix and a vector, 32 rows at a time.
//!
//! In rounds of sixteen steps with a way out after each, as in [`super::gemm`] and for the same reason.
//! What follows a product is left to tract's own kernel.

use std::arch::wasm32::*;
use std::sync::LazyLock;

use tract_data::prelude::DatumType;
use tract_linalg::isa::Arch;
use tract_linalg::mmm::{DynKernel, FusedKerSpec, MatMatMulKer as _, OutputStoreKer};
use tract_linalg::mmm_routines::MmmRoutine;
use tract_linalg::mmm_tiers::MmmTier;
use tract_linalg::wasm::wasm_f32_32x1;

pub static NAME: &str = "modelet_f32_32x1";

static KERNEL: LazyLock<DynKernel<32, 1, f32>> = LazyLock::new(|| {
    let (a, b) = (
        wasm_f32_32x1.regular_pack_a(),
        wasm_f32_32x1.regular_pack_b(),
    );
    let mut kernel = DynKernel::new(NAME, run, a, b);
    kernel.arch = Some(Arch::Wasm32Simd128);
    kernel
});

inventory::submit! {
    MmmRoutine { make: || KERNEL.mmm() }
}

inventory::submit! {
    MmmTier {
        arch: Some(Arch::Wasm32Simd128),
        // Above those for products of matrices, which do not speak of vectors.
        precedence: 3,
        name: "modelet-vector",
        applies: |_| true,
        preferred: |_, datatype, query, _| {
            // Fewer rows than this suit tract's narrower kernels.
            let has_rows = query.m.is_some_and(|rows| rows > 16);
            let is_vector = query.n == Some(1);
            (is_vector && has_rows && datatype == DatumType::F32).then_some(NAME)
        },
    }
}

/// Four rows in each vector.
type Tile = [v128; 8];

const ZERO: v128 = f32x4(0.0, 0.0, 0.0, 0.0);

/// Returns 0, as tract's kernels do.
///
/// # Safety
///
/// The pointers in `ops` are what tract says of them: packed panels of 32 rows and of one column, and
/// a tile to store into.
unsafe fn run(ops: &[FusedKerSpec<f32>]) -> isize {
    let mut tile = [ZERO; 8];
    for op in ops {
        match *op {
            FusedKerSpec::Done => break,
            FusedKerSpec::Clear => tile = [ZERO; 8],
            FusedKerSpec::AddMatMul { k, pa, pb, .. } => {
                // SAFETY: as the caller promises.
                unsafe { add_product(&mut tile, k, pa.cast(), pb.cast()) }
            }
            other => tracts(&mut tile, other),
        }
    }
    0
}

/// Adds the product of `a`, 32 numbers for each of `k` steps, and `b`, one for each.
#[inline(never)]
unsafe fn add_product(sums: &mut Tile, k: usize, mut a: *const v128, mut b: *const f32) {
    if k == 0 {
        return;
    }
    let mut c = *sums;
    let mut left = k;
    macro_rules! step {
        () => {
            // SAFETY: there are `left` more steps, of 32 numbers and of one.
            let number = unsafe { v128_load32_splat(b.cast()) };
            for (at, sum) in c.iter_mut().enumerate() {
                let rows = unsafe { v128_load(a.add(at)) };
                *sum = f32x4_relaxed_madd(rows, number, *sum);
            }
            left -= 1;
            if left == 0 {
                break;
            }
            a = a.wrapping_add(8);
            b = b.wrapping_add(1);
        };
    }
    macro_rules! four {
        () => {
            step!();
            step!();
            step!();
            step!();
        };
    }
    loop {
        four!();
        four!();
        four!();
        four!();
    }
    *sums = c;
}

/// What tract's kernel does with a tile, and puts back where it was; or stores.
fn tracts(tile: &mut Tile, op: FusedKerSpec<f32>) {
    let place: *mut f32 = tile.as_mut_ptr().cast();
    let back = OutputStoreKer {
        ptr: place.cast(),
        row_byte_stride: 4,
        col_byte_stride: 4,
        item_size: 4,
    };
    wasm_f32_32x1.kernel(&[
        FusedKerSpec::LoadTile(place, place),
        op,
        FusedKerSpec::Store(back),
        FusedKerSpec::Done,
    ]);
}
