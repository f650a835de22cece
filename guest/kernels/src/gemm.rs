//! Matrix multiplication in f32: a tile of eight rows and eight columns.
//!

use std::arch::wasm32::*;

use tract_linalg::Scaler;
use tract_linalg::isa::Arch;
use tract_linalg::mmm::{DynKernel, FusedKerSpec, OutputStoreKer};
use tract_linalg::mmm_routines::MmmRoutine;
use tract_linalg::pack::{PackedFormat, Packing as _};

pub use product::Product;

mod product;

pub const NAME: &str = "modelet_f32_8x8";

const ROWS: usize = 8;
const COLS: usize = 8;
pub const LANES: usize = 4;
const ALIGNMENT: usize = 16;

inventory::submit! {
    MmmRoutine {
        make: || {
            let b = f32::packing(COLS).align(ALIGNMENT);
            let mut kernel = DynKernel::<ROWS, COLS, f32>::new(NAME, gemm, packing_of_a(), b);
            kernel.arch = Some(Arch::Wasm32Simd128);
            kernel.boost = || BOOST;
            kernel.mmm()
        },
    }
}

/// Where a request says how many columns there are, tract looks among the kernels of the highest for
/// one of many columns and one of a single column that are packed alike.
pub const BOOST: isize = 1;

pub fn packing_of_a() -> PackedFormat {
    f32::packing(ROWS).align(ALIGNMENT)
}

/// Rows of the tile, each in two halves.
pub type Tile = [[v128; 2]; ROWS];

/// Runs the operations on one tile.
///
/// # Safety
/// The pointers in `operations` are those that tract gives to a kernel of this size and packing.
pub unsafe fn gemm(operations: &[FusedKerSpec<f32>]) -> isize {
    // SAFETY: as for this function.
    unsafe {
        match Product::of(operations) {
            Some(product) => product.run(),
            None => one_by_one(operations),
        }
    }
    0
}

#[inline(never)]
unsafe fn one_by_one(operations: &[FusedKerSpec<f32>]) {
    let mut tile = [[f32x4_splat(0.0); 2]; ROWS];
    for operation in operations {
        if matches!(operation, FusedKerSpec::Done) {
            break;
        }
        // SAFETY: as for this function.
        unsafe { apply(operation, &mut tile) };
    }
}

#[inline(always)]
unsafe fn apply(operation: &FusedKerSpec<f32>, tile: &mut Tile) {
    use FusedKerSpec::*;

    // SAFETY: rows and columns point to as many values as the tile has of them.
    unsafe {
        match *operation {
            Done => {}
            Clear => *tile = [[f32x4_splat(0.0); 2]; ROWS],
            LoadTile(_, rows) => *tile = rows.cast::<Tile>().read_unaligned(),
            // One instruction, where `min` and `max` are seven. What is no number stays so, as of two
            // values that cannot be compared the first is kept.
            ScalarMin(value) => by_scalar(tile, value, |limit, it| f32x4_pmin(it, limit)),
            ScalarMax(value) => by_scalar(tile, value, |limit, it| f32x4_pmax(it, limit)),
            ScalarAdd(value) => by_scalar(tile, value, |a, b| f32x4_add(a, b)),
            ScalarMul(value) => by_scalar(tile, value, |a, b| f32x4_mul(a, b)),
            ScalarSub(value) => by_scalar(tile, value, |a, b| f32x4_sub(a, b)),
            ScalarSubF(value) => by_scalar(tile, value, flipped_sub),
            LeakyRelu(slope) => by_scalar(tile, slope, leaky),
            PerRowMin(rows) => by_row(tile, rows, |a, b| f32x4_min(a, b)),
            PerRowMax(rows) => by_row(tile, rows, |a, b| f32x4_max(a, b)),
            PerRowAdd(rows) => by_row(tile, rows, |a, b| f32x4_add(a, b)),
            PerRowMul(rows) => by_row(tile, rows, |a, b| f32x4_mul(a, b)),
            PerRowSub(rows) => by_row(tile, rows, |a, b| f32x4_sub(a, b)),
            PerRowSubF(rows) => by_row(tile, rows, flipped_sub),
            PerColMin(cols) => by_col(tile, cols, |a, b| f32x4_min(a, b)),
            PerColMax(cols) => by_col(tile, cols, |a, b| f32x4_max(a, b)),
            PerColAdd(cols) => by_col(tile, cols, |a, b| f32x4_add(a, b)),
            PerColMul(cols) => by_col(tile, cols, |a, b| f32x4_mul(a, b)),
            PerColSub(cols) => by_col(tile, cols, |a, b| f32x4_sub(a, b)),
            PerColSubF(cols) => by_col(tile, cols, flipped_sub),
            QScale(shift, policy, factor) => {
                let scale = Scaler::from_fuse_params(shift, policy, factor).scale;
                by_scalar(tile, scale, |a, b| f32x4_mul(a, b));
            }
            RoundingShiftRight(shift, _) => {
                by_scalar(tile, 2f32.powi(-(shift as i32)), |a, b| f32x4_mul(a, b));
            }
            ShiftLeft(shift) => by_scalar(tile, 2f32.powi(shift as i32), |a, b| f32x4_mul(a, b)),
            AddUnicast(from) => add(tile, &from),
            // One step of a multiplication, and so rounded as often.
            AddRowColProducts(rows, cols) => {
                Product::onto(tile, 1, rows.cast(), cols.cast()).run();
            }
            AddMatMul { k, pa, pb, .. } => Product::onto(tile, k, pa.cast(), pb.cast()).run(),
            Store(to) => store(tile, &to),
        }
    }
}

#[inline(always)]
fn flipped_sub(operand: v128, value: v128) -> v128 {
    f32x4_sub(value, operand)
}

#[inline(always)]
fn leaky(slope: v128, value: v128) -> v128 {
    let is_positive = f32x4_gt(value, f32x4_splat(0.0));
    v128_bitselect(value, f32x4_mul(slope, value), is_positive)
}

#[inline(always)]
fn by_scalar(tile: &mut Tile, operand: f32, function: impl Fn(v128, v128) -> v128) {
    let operand = f32x4_splat(operand);
    for value in tile.as_flattened_mut() {
        *value = function(operand, *value);
    }
}

#[inline(always)]
unsafe fn by_row(tile: &mut Tile, rows: *const f32, function: impl Fn(v128, v128) -> v128) {
    for (index, row) in tile.iter_mut().enumerate() {
        // SAFETY: there is one for each row.
        let operand = unsafe { v128_load32_splat(rows.add(index).cast()) };
        *row = row.map(|value| function(operand, value));
    }
}

#[inline(always)]
unsafe fn by_col(tile: &mut Tile, cols: *const f32, function: impl Fn(v128, v128) -> v128) {
    // SAFETY: there is one for each column.
    let operands = unsafe { [v128_load(cols.cast()), v128_load(cols.add(LANES).cast())] };
    for row in tile {
        *row = [function(operands[0], row[0]), function(operands[1], row[1])];
    }
}

/// How a tile lies in a matrix.
pub(crate) enum Lie {
    /// The values of a row are neighbours.
    Rows,
    /// The values of a column are.
    Cols,
    Apart,
}

pub(crate) fn lie(place: &OutputStoreKer) -> Lie {
    const NEIGHBOUR: isize = size_of::<f32>() as isize;

    match (place.row_byte_stride, place.col_byte_stride) {
        (_, NEIGHBOUR) => Lie::Rows,
        (NEIGHBOUR, _) => Lie::Cols,
        _ => Lie::Apart,
    }
}

#[inline(always)]
unsafe fn store(tile: &Tile, to: &OutputStoreKer) {
    // SAFETY: the whole tile lies in the matrix.
    unsafe {
        match lie(to) {
            Lie::Rows => {
                for (index, row) in tile.iter().enumerate() {
                    let to = to.ptr.offset(to.row_byte_stride * index as isize);
                    v128_store(to.cast(), row[0]);
                    v128_store(to.cast::<v128>().add(1), row[1]);
                }
            }
            Lie::Cols => {
                for (part, rows) in tile.as_chunks::<LANES>().0.iter().enumerate() {
                    for half in 0..2 {
                        let columns = transposed(rows.map(|row| row[half]));
                        for (index, column) in columns.into_iter().enumerate() {
                            let col = (LANES * half + index) as isize;
                            let to = to.ptr.offset(to.col_byte_stride * col);
                            v128_store(to.cast::<v128>().add(part), column);
                        }
                    }
                }
            }
            Lie::Apart => {
                let values = (&raw const *tile).cast::<f32>();
                for_each_place(to, |index, place| place.write(values.add(index).read()));
            }
        }
    }
}

#[inline(always)]
unsafe fn add(tile: &mut Tile, from: &OutputStoreKer) {
    // SAFETY: the whole tile lies in the matrix.
    unsafe {
        match lie(from) {
            Lie::Rows => {
                for (index, row) in tile.iter_mut().enumerate() {
                    let from = from.ptr.offset(from.row_byte_stride * index as isize);
                    row[0] = f32x4_add(v128_load(from.cast()), row[0]);
                    row[1] = f32x4_add(v128_load(from.cast::<v128>().add(1)), row[1]);
                }
            }
            Lie::Cols | Lie::Apart => {
                let values = (&raw mut *tile).cast::<f32>();
                for_each_place(from, |index, place| *values.add(index) += place.read());
            }
        }
    }
}

/// The number of each value in the tile, and where it lies in the matrix.
#[inline(always)]
unsafe fn for_each_place(matrix: &OutputStoreKer, mut work: impl FnMut(usize, *mut f32)) {
    for row in 0..ROWS {
        for col in 0..COLS {
            let offset =
                matrix.row_byte_stride * row as isize + matrix.col_byte_stride * col as isize;
            // SAFETY: the whole tile lies in the matrix.
            work(COLS * row + col, unsafe {
                matrix.ptr.offset(offset).cast()
            });
        }
    }
}

#[inline(always)]
pub(crate) fn transposed(rows: [v128; LANES]) -> [v128; LANES] {
    let [a, b, c, d] = rows;
    let (ab_low, ab_high) = (
        i32x4_shuffle::<0, 4, 1, 5>(a, b),
        i32x4_shuffle::<2, 6, 3, 7>(a, b),
    );
    let (cd_low, cd_high) = (
        i32x4_shuffle::<0, 4, 1, 5>(c, d),
        i32x4_shuffle::<2, 6, 3, 7>(c, d),
    );
    [
        i32x4_shuffle::<0, 1, 4, 5>(ab_low, cd_low),
        i32x4_shuffle::<2, 3, 6, 7>(ab_low, cd_low),
        i32x4_shuffle::<0, 1, 4, 5>(ab_high, cd_high),
        i32x4_shuffle::<2, 3, 6, 7>(ab_high, cd_high),
    ]
}
