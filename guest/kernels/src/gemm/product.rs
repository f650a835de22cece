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
    /// One value for each row, or column.
    Rows(*const f32),
    Cols(*const f32),
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
                (PerColAdd(cols), Bias::None, None, None) => bias = Bias::Cols(cols),
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
        unsafe { self.run_at([0, 0], self.left, self.right, 0) };
    }

    /// The same for other panels, whose tile is so many rows below and columns to the right. The first `done` rows need
    /// not be stored.
    ///
    /// # Safety
    /// There are as many; else as for `run`.
    pub unsafe fn run_at(
        &self,
        [row, col]: [usize; 2],
        left: *const v128,
        right: *const v128,
        done: usize,
    ) {
        // SAFETY: as for this function.
        unsafe {
            if done < LANES {
                self.part([row, col], multiply(self.k, left, right, self.before(0)));
            }
            let sums = multiply(self.k, left.add(1), right, self.before(1));
            self.part([row + LANES, col], sums);
        }
    }

    /// What the sums of four rows are before.
    #[inline(always)]
    fn before(&self, part: usize) -> Option<*const Part> {
        self.tile.map(|parts| parts.wrapping_add(part))
    }

    /// What follows the product, for four rows from one on.
    #[inline(always)]
    unsafe fn part(&self, [row, col]: [usize; 2], mut sums: Part) {
        // SAFETY: the rows lie in each matrix.
        unsafe {
            match self.bias {
                Bias::None => {}
                Bias::Rows(rows) => {
                    let bias = v128_load(rows.add(row).cast());
                    for (sums, bias) in sums.iter_mut().zip(spread(bias)) {
                        *sums = sums.map(|sum| f32x4_add(bias, sum));
                    }
                }
                Bias::Cols(cols) => {
                    let cols = cols.add(col);
                    let bias = [v128_load(cols.cast()), v128_load(cols.add(LANES).cast())];
                    for sums in &mut sums {
                        *sums = [f32x4_add(bias[0], sums[0]), f32x4_add(bias[1], sums[1])];
                    }
                }
            }
            if let Some(from) = &self.added {
                let others = part_of(from, [row, col]);
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
            let mut to = place(&self.to, [row, col]);
            match lie(&self.to) {
                Lie::Rows => {
                    for sum in sums {
                        v128_store(to.cast(), sum[0]);
                        v128_store(to.cast::<v128>().add(1), sum[1]);
                        to = to.offset(self.to.row_byte_stride);
                    }
                }
                Lie::Cols | Lie::Apart => {
                    for half in 0..2 {
                        for column in transposed(sums.map(|row| row[half])) {
                            v128_store(to.cast(), column);
                            to = to.offset(self.to.col_byte_stride);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn place(matrix: &OutputStoreKer, [row, col]: [usize; 2]) -> *mut u8 {
    let offset = matrix.row_byte_stride * row as isize + matrix.col_byte_stride * col as isize;
    // SAFETY: it lies in the matrix.
    unsafe { matrix.ptr.offset(offset) }
}

/// Four rows of a tile that lies in a matrix.
#[inline(always)]
unsafe fn part_of(matrix: &OutputStoreKer, at: [usize; 2]) -> Part {
    // SAFETY: the rows lie in the matrix.
    unsafe {
        let first = place(matrix, at);
        match lie(matrix) {
            Lie::Rows => [0, 1, 2, 3].map(|row| {
                let from = first.offset(matrix.row_byte_stride * row);
                from.cast::<[v128; 2]>().read_unaligned()
            }),
            Lie::Cols | Lie::Apart => {
                let col = |col: isize| v128_load(first.offset(matrix.col_byte_stride * col).cast());
                let left = transposed([col(0), col(1), col(2), col(3)]);
                let right = transposed([col(4), col(5), col(6), col(7)]);
                [0, 1, 2, 3].map(|row| [left[row], right[row]])
            }
        }
    }
}

/// Products of four rows, whose values are in every second vector of `columns`, and what the sums are before. They go
/// through memory: what happens to them before or after in the same function takes registers from the loop.
#[inline(never)]
unsafe fn multiply(
    k: usize,
    mut columns: *const v128,
    mut right: *const v128,
    before: Option<*const Part>,
) -> Part {
    let mut sums = match before {
        // SAFETY: there are four rows.
        Some(before) => unsafe { before.read_unaligned() },
        None => [[f32x4_splat(0.0); 2]; LANES],
    };
    let mut left = k;
    'all: loop {
        sixteen_times!({
            if left == 0 {
                break 'all;
            }
            left -= 1;
            // SAFETY: there are `k` columns and rows.
            unsafe {
                let values = spread(v128_load(columns));
                let row = [v128_load(right), v128_load(right.add(1))];
                for (sums, value) in sums.iter_mut().zip(values) {
                    sums[0] = f32x4_relaxed_madd(value, row[0], sums[0]);
                    sums[1] = f32x4_relaxed_madd(value, row[1], sums[1]);
                }
                columns = columns.add(2);
                right = right.add(2);
            }
        });
    }
    sums
}

/// Each lane in all lanes of a vector.
#[inline(always)]
fn spread(lanes: v128) -> [v128; LANES] {
    [
        i32x4_shuffle::<0, 0, 0, 0>(lanes, lanes),
        i32x4_shuffle::<1, 1, 1, 1>(lanes, lanes),
        i32x4_shuffle::<2, 2, 2, 2>(lanes, lanes),
        i32x4_shuffle::<3, 3, 3, 3>(lanes, lanes),
    ]
}
