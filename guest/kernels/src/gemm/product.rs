//! A product with what nearly always follows it.
//!
//! A tile is multiplied in two parts of four rows: eight sums, two vectors of the right matrix, one of the left
//! and what is made of it fit into the 16 registers that Cranelift uses on x86-64.

use std::arch::wasm32::*;

use tract_linalg::mmm::{FusedKerSpec, OutputStoreKer};

use super::{LANES, Lie, Tile, lie, transposed};

/// Four rows of the tile.
type Part = [[v128; 2]; LANES];

/// Multiplies, adds, and stores within limits.
#[derive(Clone, Copy)]
pub struct Product {
    k: usize,
    /// Columns of eight values.
    left: *const v128,
    right: *const v128,
    /// What the sums are before, if not zero.
    tile: Option<*const Part>,
    bias: Bias,
    /// A matrix of which a row's values are neighbours, or a column's.
    added: Option<OutputStoreKer>,
    /// At least, and at most.
    limits: Option<[f32; 2]>,
    /// Rows or columns lie together.
    to: OutputStoreKer,
}

/// What is added after the product: a sum that began with it would be rounded otherwise.
#[derive(Clone, Copy)]
enum Bias {
    None,
    /// For each row one value.
    Rows(*const f32),
    Cols(*const v128),
}

impl Product {
    /// `None`: there is something else to do.
    pub fn of(operations: &[FusedKerSpec<f32>]) -> Option<Product> {
        use FusedKerSpec::*;

        let [Clear, AddMatMul { k, pa, pb, .. }, following @ ..] = operations else {
            return None;
        };
        let (mut bias, mut added) = (Bias::None, None);
        let mut limits: Option<[f32; 2]> = None;
        for operation in following {
            match (*operation, bias, added, limits) {
                (PerRowAdd(rows), Bias::None, None, None) => bias = Bias::Rows(rows),
                (PerColAdd(cols), Bias::None, None, None) => bias = Bias::Cols(cols.cast()),
                (AddUnicast(from), _, None, None) if !matches!(lie(&from), Lie::Apart) => {
                    added = Some(from);
                }
                (ScalarMax(least), _, _, None) => limits = Some([least, f32::INFINITY]),
                (ScalarMin(most), _, _, Some([least, _])) => limits = Some([least, most]),
                (Store(to), ..) if !matches!(lie(&to), Lie::Apart) => {
                    return Some(Product {
                        k: *k,
                        left: pa.cast(),
                        right: pb.cast(),
                        tile: None,
                        bias,
                        added,
                        limits,
                        to,
                    });
                }
                _ => return None,
            }
        }
        None
    }

    /// The same for other panels, whose tile is so many rows below and columns to the right.
    ///
    /// # Safety
    /// There are as many.
    #[inline(always)]
    pub unsafe fn at(
        &self,
        [row, col]: [usize; 2],
        left: *const v128,
        right: *const v128,
    ) -> Product {
        let place = |matrix: OutputStoreKer| {
            let offset =
                matrix.row_byte_stride * row as isize + matrix.col_byte_stride * col as isize;
            OutputStoreKer {
                // SAFETY: as for this function.
                ptr: unsafe { matrix.ptr.offset(offset) },
                ..matrix
            }
        };
        Product {
            left,
            right,
            bias: match self.bias {
                Bias::None => Bias::None,
                // SAFETY: as for this function.
                Bias::Rows(rows) => Bias::Rows(unsafe { rows.add(row) }),
                Bias::Cols(cols) => Bias::Cols(unsafe { cols.cast::<f32>().add(col) }.cast()),
            },
            added: self.added.map(place),
            to: place(self.to),
            ..*self
        }
    }

    /// Adds to the tile.
    pub fn onto(tile: &mut Tile, k: usize, left: *const v128, right: *const v128) -> Product {
        let before = (&raw const *tile).cast();
        Product {
            tile: Some(before),
            ..Product::into(tile, k, left, right)
        }
    }

    /// Overwrites the tile.
    pub fn into(tile: &mut Tile, k: usize, left: *const v128, right: *const v128) -> Product {
        Product {
            k,
            left,
            right,
            tile: None,
            bias: Bias::None,
            added: None,
            limits: None,
            to: OutputStoreKer {
                ptr: (&raw mut *tile).cast(),
                row_byte_stride: size_of::<[v128; 2]>() as isize,
                col_byte_stride: size_of::<f32>() as isize,
                item_size: size_of::<f32>(),
            },
        }
    }

    /// # Safety
    /// All pointers are those of as many values as the tile has, and as the product is deep.
    pub unsafe fn run(&self) {
        // SAFETY: as for this function.
        unsafe {
            self.part(0);
            self.part(1);
        }
    }

    #[inline(always)]
    unsafe fn part(&self, part: usize) {
        // SAFETY: as for `run`.
        unsafe {
            let mut sums = match self.tile {
                Some(parts) => parts.add(part).read_unaligned(),
                None => [[f32x4_splat(0.0); 2]; LANES],
            };
            multiply(self.k, self.left.add(part), self.right, &mut sums);
            self.finish(part, sums);
        }
    }

    #[inline(always)]
    unsafe fn finish(&self, part: usize, mut sums: Part) {
        let first_row = (LANES * part) as isize;
        // SAFETY: the whole tile lies in each matrix.
        unsafe {
            match self.bias {
                Bias::None => {}
                Bias::Rows(rows) => {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let bias = v128_load32_splat(rows.add(LANES * part + row).cast());
                        *sums = sums.map(|sum| f32x4_add(bias, sum));
                    }
                }
                Bias::Cols(cols) => {
                    let bias = [v128_load(cols), v128_load(cols.add(1))];
                    for sums in &mut sums {
                        *sums = [f32x4_add(bias[0], sums[0]), f32x4_add(bias[1], sums[1])];
                    }
                }
            }
            if let Some(from) = &self.added {
                let others = part_of(from, part);
                for (sum, other) in sums
                    .as_flattened_mut()
                    .iter_mut()
                    .zip(others.as_flattened())
                {
                    *sum = f32x4_add(*other, *sum);
                }
            }
            // One instruction each, where `min` and `max` are seven. What is no number stays so, as of two
            // values that cannot be compared the first is kept.
            if let Some(limits) = self.limits {
                let [least, most] = limits.map(|limit| f32x4_splat(limit));
                sums = sums.map(|row| row.map(|it| f32x4_pmin(f32x4_pmax(it, least), most)));
            }
            match lie(&self.to) {
                Lie::Rows => {
                    let mut row = self.to.ptr.offset(self.to.row_byte_stride * first_row);
                    for sum in sums {
                        v128_store(row.cast(), sum[0]);
                        v128_store(row.cast::<v128>().add(1), sum[1]);
                        row = row.offset(self.to.row_byte_stride);
                    }
                }
                Lie::Cols | Lie::Apart => {
                    let mut col = self.to.ptr.cast::<v128>().add(part).cast::<u8>();
                    for half in 0..2 {
                        for column in transposed(sums.map(|row| row[half])) {
                            v128_store(col.cast(), column);
                            col = col.offset(self.to.col_byte_stride);
                        }
                    }
                }
            }
        }
    }
}

/// Four rows of a tile that lies in a matrix.
#[inline(always)]
unsafe fn part_of(matrix: &OutputStoreKer, part: usize) -> Part {
    // SAFETY: the whole tile lies in the matrix.
    unsafe {
        match lie(matrix) {
            Lie::Rows => [0, 1, 2, 3].map(|row| {
                let row = (LANES * part + row) as isize;
                let from = matrix.ptr.offset(matrix.row_byte_stride * row);
                from.cast::<[v128; 2]>().read_unaligned()
            }),
            Lie::Cols | Lie::Apart => {
                let first = matrix.ptr.cast::<v128>().add(part).cast::<u8>();
                let col = |col: isize| v128_load(first.offset(matrix.col_byte_stride * col).cast());
                let left = transposed([col(0), col(1), col(2), col(3)]);
                let right = transposed([col(4), col(5), col(6), col(7)]);
                [0, 1, 2, 3].map(|row| [left[row], right[row]])
            }
        }
    }
}

/// Adds products of four rows, whose values are in every second vector of `columns`. The sums come and go
/// through memory: what happens to them before or after in the same function takes registers from the loop.
#[inline(never)]
unsafe fn multiply(k: usize, mut columns: *const v128, mut right: *const v128, part: &mut Part) {
    let mut sums = *part;
    let mut left = k;
    'all: loop {
        sixteen_times!({
            if left == 0 {
                break 'all;
            }
            left -= 1;
            // SAFETY: there are `k` columns and rows.
            unsafe {
                let column = v128_load(columns);
                let row = [v128_load(right), v128_load(right.add(1))];
                add(
                    &mut sums[0],
                    i32x4_shuffle::<0, 0, 0, 0>(column, column),
                    row,
                );
                add(
                    &mut sums[1],
                    i32x4_shuffle::<1, 1, 1, 1>(column, column),
                    row,
                );
                add(
                    &mut sums[2],
                    i32x4_shuffle::<2, 2, 2, 2>(column, column),
                    row,
                );
                add(
                    &mut sums[3],
                    i32x4_shuffle::<3, 3, 3, 3>(column, column),
                    row,
                );
                columns = columns.add(2);
                right = right.add(2);
            }
        });
    }
    *part = sums;
}

#[inline(always)]
fn add(sums: &mut [v128; 2], value: v128, row: [v128; 2]) {
    sums[0] = f32x4_relaxed_madd(value, row[0], sums[0]);
    sums[1] = f32x4_relaxed_madd(value, row[1], sums[1]);
}
