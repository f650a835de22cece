//! Products of `f32` matrices, in tiles of 8 rows and 8 columns.
//!
//! A host that can interrupt a model looks at the head of every loop whether it has to. Where it has to it
//! calls a function, and for the sake of that call Cranelift keeps everything that lives through the loop in
//! memory: an inner loop with sixteen, or eight, sums writes and reads all of them in every round. So
//! a round here is sixteen steps. Between two steps is a way out, without which Cranelift would
//! put the loads of all steps before the arithmetic of the first, and again run out of registers. And a
//! tile is worked on in two halves of 4 rows, whose sums have room in sixteen registers.
//!
//! Everything but the product and the commonest of what follows it is left to tract's own kernel.

use std::arch::wasm32::*;
use std::sync::LazyLock;

use tract_data::prelude::DatumType;
use tract_linalg::isa::Arch;
use tract_linalg::mmm::{DynKernel, FusedKerSpec, MatMatMulKer as _, OutputStoreKer};
use tract_linalg::mmm_routines::MmmRoutine;
use tract_linalg::mmm_tiers::MmmTier;
use tract_linalg::wasm::wasm_f32_8x8;

pub static NAME: &str = "modelet_f32_8x8";

static KERNEL: LazyLock<DynKernel<8, 8, f32>> = LazyLock::new(|| {
    let (a, b) = (wasm_f32_8x8.regular_pack_a(), wasm_f32_8x8.regular_pack_b());
    let mut kernel = DynKernel::new(NAME, run, a, b);
    kernel.arch = Some(Arch::Wasm32Simd128);
    // What is cut off at an edge is stored as a whole tile first.
    kernel.row_major_store = true;
    kernel
});

inventory::submit! {
    MmmRoutine { make: || KERNEL.mmm() }
}

inventory::submit! {
    MmmTier {
        arch: Some(Arch::Wasm32Simd128),
        // Above tract's.
        precedence: 2,
        name: "modelet",
        applies: |_| true,
        preferred: |_, datatype, query, _| {
            let is_product = query.n != Some(1);
            (is_product && datatype == DatumType::F32).then_some(NAME)
        },
    }
}

/// Two vectors for each row.
type Tile = [v128; 16];

const ZERO: v128 = f32x4(0.0, 0.0, 0.0, 0.0);

/// Returns 0, as tract's kernels do.
///
/// # Safety
///
/// The pointers in `ops` are what tract says of them: packed panels of 8, eight numbers per row or column,
/// and a tile to store into.
unsafe fn run(ops: &[FusedKerSpec<f32>]) -> isize {
    let mut tile = [ZERO; 16];
    for op in ops {
        // SAFETY: as the caller promises.
        unsafe {
            match *op {
                FusedKerSpec::Done => break,
                FusedKerSpec::Clear => tile = [ZERO; 16],
                FusedKerSpec::AddMatMul { k, pa, pb, .. } => {
                    add_product(&mut tile, k, pa.cast(), pb.cast());
                }
                // What is no number stays so, as of the two operands the first is kept.
                FusedKerSpec::ScalarMin(limit) => {
                    each(&mut tile, |it| f32x4_pmin(it, f32x4_splat(limit)))
                }
                FusedKerSpec::ScalarMax(limit) => {
                    each(&mut tile, |it| f32x4_pmax(it, f32x4_splat(limit)))
                }
                FusedKerSpec::ScalarAdd(number) => {
                    each(&mut tile, |it| f32x4_add(f32x4_splat(number), it))
                }
                FusedKerSpec::ScalarMul(number) => {
                    each(&mut tile, |it| f32x4_mul(f32x4_splat(number), it))
                }
                FusedKerSpec::PerRowAdd(rows) => by_row(&mut tile, rows, f32x4_add),
                FusedKerSpec::PerRowMul(rows) => by_row(&mut tile, rows, f32x4_mul),
                FusedKerSpec::PerColAdd(columns) => by_column(&mut tile, columns, f32x4_add),
                FusedKerSpec::PerColMul(columns) => by_column(&mut tile, columns, f32x4_mul),
                FusedKerSpec::Store(to) if to.col_byte_stride == 4 => store(&tile, to),
                other => tracts(&mut tile, other),
            }
        }
    }
    0
}

/// Adds the product of `a`, 8 numbers for each of `k` steps, and `b`, likewise.
unsafe fn add_product(tile: &mut Tile, k: usize, a: *const v128, b: *const v128) {
    if k == 0 {
        return;
    }
    for (half, sums) in tile.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        unsafe { add_half(sums, k, a.add(half), b) };
    }
}

/// Of 4 rows. `k` is not 0.
#[inline(never)]
unsafe fn add_half(sums: &mut [v128; 8], k: usize, mut a: *const v128, mut b: *const v128) {
    let mut c = *sums;
    let mut left = k;
    macro_rules! row {
        ($row:literal, $a:ident, $b:ident) => {
            let it = i32x4_shuffle::<$row, $row, $row, $row>($a, $a);
            c[2 * $row] = f32x4_relaxed_madd(it, $b.0, c[2 * $row]);
            c[2 * $row + 1] = f32x4_relaxed_madd(it, $b.1, c[2 * $row + 1]);
        };
    }
    macro_rules! step {
        () => {
            // SAFETY: there are `left` more steps, of 8 numbers each on both sides.
            let (rows, columns) = unsafe { (v128_load(a), (v128_load(b), v128_load(b.add(1)))) };
            row!(0, rows, columns);
            row!(1, rows, columns);
            row!(2, rows, columns);
            row!(3, rows, columns);
            left -= 1;
            if left == 0 {
                break;
            }
            a = a.wrapping_add(2);
            b = b.wrapping_add(2);
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

fn each(tile: &mut Tile, change: impl Fn(v128) -> v128) {
    tile.iter_mut().for_each(|it| *it = change(*it));
}

/// With a number for each row.
unsafe fn by_row(tile: &mut Tile, rows: *const f32, change: fn(v128, v128) -> v128) {
    for (row, halves) in tile.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        // SAFETY: there are 8.
        let number = f32x4_splat(unsafe { *rows.add(row) });
        *halves = halves.map(|it| change(number, it));
    }
}

/// With a number for each column.
unsafe fn by_column(tile: &mut Tile, columns: *const f32, change: fn(v128, v128) -> v128) {
    let columns: *const v128 = columns.cast();
    // SAFETY: there are 8.
    let numbers = unsafe { [v128_load(columns), v128_load(columns.add(1))] };
    for [left, right] in tile.as_chunks_mut::<2>().0 {
        *left = change(numbers[0], *left);
        *right = change(numbers[1], *right);
    }
}

/// Into rows whose numbers lie side by side.
unsafe fn store(tile: &Tile, to: OutputStoreKer) {
    let mut row = to.ptr;
    for [left, right] in tile.as_chunks::<2>().0 {
        // SAFETY: the tile is there.
        unsafe {
            v128_store(row.cast(), *left);
            v128_store(row.cast::<v128>().add(1), *right);
        }
        row = row.wrapping_offset(to.row_byte_stride);
    }
}

/// What tract's kernel does with a tile, and puts back where it was.
#[cold]
unsafe fn tracts(tile: &mut Tile, op: FusedKerSpec<f32>) {
    let place: *mut f32 = tile.as_mut_ptr().cast();
    let back = OutputStoreKer {
        ptr: place.cast(),
        row_byte_stride: 32,
        col_byte_stride: 4,
        item_size: 4,
    };
    wasm_f32_8x8.kernel(&[
        FusedKerSpec::LoadTile(place, place),
        op,
        FusedKerSpec::Store(back),
        FusedKerSpec::Done,
    ]);
}
