//! One tile after the other, also over the edge of the matrices.

use tract_linalg::mmm::{FusedKerSpec, OutputStoreKer};

use super::side::Side;
use super::{Kernel, Sizes};
use crate::gemm;

/// Of the largest tile.
const TILE_VALUES: usize = 64;

/// As large as any tile.
type Copy = [f32; TILE_VALUES];

pub struct Tiles<'a> {
    kernel: Kernel,
    sizes: Sizes,
    /// What to do after the product, for the tile in the first row and column.
    following: &'a [FusedKerSpec<f32>],
    operations: Vec<FusedKerSpec<f32>>,
    /// All of it for the first tile, where that can be done at once.
    at_once: Option<gemm::Product>,
    /// What each operation of a tile over the edge reads or writes.
    copies: Vec<Copy>,
}

impl Tiles<'_> {
    pub fn new(kernel: Kernel, sizes: Sizes, following: &[FusedKerSpec<f32>]) -> Tiles<'_> {
        let multiply = FusedKerSpec::AddMatMul {
            k: sizes.depth,
            pa: std::ptr::null(),
            pb: std::ptr::null(),
            packing: 0,
        };
        let mut operations = vec![FusedKerSpec::Clear, multiply];
        operations.extend(following);
        operations.push(FusedKerSpec::Done);
        Tiles {
            kernel,
            sizes,
            following,
            at_once: gemm::Product::of(&operations).filter(|_| kernel == Kernel::Gemm),
            operations,
            copies: vec![],
        }
    }

    /// The tile of two panels.
    ///
    /// # Safety
    /// The panels are prepared, and what the operations point to has values for the tile.
    pub unsafe fn run(&mut self, [left, right]: [&Side<'_>; 2], [row, col]: [usize; 2]) {
        let (first_row, first_col) = (left.start(row), right.start(col));
        let rows = self.kernel.rows().min(self.sizes.rows - first_row);
        let cols = self.kernel.cols().min(self.sizes.cols - first_col);
        let is_whole = rows == self.kernel.rows() && cols == self.kernel.cols();
        let repeated = left.repeated(row);
        let (left, right) = (left.panel(row), right.panel(col));
        // SAFETY: as for this function.
        unsafe {
            match &self.at_once {
                Some(product) if is_whole => {
                    let at = [first_row, first_col];
                    product.run_at(at, left.cast(), right.cast(), repeated);
                }
                _ => {
                    self.point_to([first_row, first_col], left, right);
                    if is_whole {
                        self.kernel.run(&self.operations);
                    } else {
                        self.run_over_edge(rows, cols);
                    }
                }
            }
        }
    }

    unsafe fn point_to(&mut self, [row, col]: [usize; 2], left: *const f32, right: *const f32) {
        self.operations[1] = FusedKerSpec::AddMatMul {
            k: self.sizes.depth,
            pa: left.cast(),
            pb: right.cast(),
            packing: 0,
        };
        for (to, operation) in self.operations[2..].iter_mut().zip(self.following) {
            // SAFETY: there are as many rows and columns.
            *to = unsafe { moved(operation, row, col) };
        }
    }

    /// Where only so many rows and columns are left: what is as large as a tile is a copy.
    #[inline(never)]
    unsafe fn run_over_edge(&mut self, rows: usize, cols: usize) {
        let tile = |copy: &mut Copy| OutputStoreKer {
            ptr: copy.as_mut_ptr().cast(),
            row_byte_stride: (size_of::<f32>() * self.kernel.cols()) as isize,
            col_byte_stride: size_of::<f32>() as isize,
            item_size: size_of::<f32>(),
        };
        let mut stores = vec![];
        self.copies.resize(self.following.len(), [0.0; TILE_VALUES]);
        for (operation, copy) in self.operations[2..].iter_mut().zip(&mut self.copies) {
            // SAFETY: there are so many rows and columns, and a tile is no larger than a copy.
            unsafe {
                match *operation {
                    FusedKerSpec::Store(to) => {
                        stores.push((to, tile(copy)));
                        *operation = FusedKerSpec::Store(tile(copy));
                    }
                    FusedKerSpec::AddUnicast(from) => {
                        transfer(&from, &tile(copy), rows, cols);
                        *operation = FusedKerSpec::AddUnicast(tile(copy));
                    }
                    other => {
                        let to = copy.as_mut_ptr();
                        let copied = |count| {
                            move |values: *const f32| {
                                values.copy_to_nonoverlapping(to, count);
                                to.cast_const()
                            }
                        };
                        *operation = with_addresses(other, copied(rows), copied(cols));
                    }
                }
            }
        }
        // SAFETY: as for `run`.
        unsafe {
            self.kernel.run(&self.operations);
            for (to, copy) in stores {
                transfer(&copy, &to, rows, cols);
            }
        }
    }
}

/// The operation for a tile so many rows below, and columns to the right.
unsafe fn moved(operation: &FusedKerSpec<f32>, row: usize, col: usize) -> FusedKerSpec<f32> {
    let place = |matrix: &OutputStoreKer| {
        let offset = matrix.row_byte_stride * row as isize + matrix.col_byte_stride * col as isize;
        OutputStoreKer {
            // SAFETY: as for this function.
            ptr: unsafe { matrix.ptr.offset(offset) },
            ..*matrix
        }
    };
    match operation {
        FusedKerSpec::AddUnicast(from) => FusedKerSpec::AddUnicast(place(from)),
        FusedKerSpec::Store(to) => FusedKerSpec::Store(place(to)),
        // SAFETY: as for this function.
        other => with_addresses(
            *other,
            |rows| unsafe { rows.add(row) },
            |cols| unsafe { cols.add(col) },
        ),
    }
}

/// The operation on a tile whose rows are columns.
pub fn turned(operation: FusedKerSpec<f32>) -> FusedKerSpec<f32> {
    use FusedKerSpec::*;

    let place = |matrix: OutputStoreKer| OutputStoreKer {
        row_byte_stride: matrix.col_byte_stride,
        col_byte_stride: matrix.row_byte_stride,
        ..matrix
    };
    match operation {
        PerRowMin(rows) => PerColMin(rows),
        PerRowMax(rows) => PerColMax(rows),
        PerRowAdd(rows) => PerColAdd(rows),
        PerRowMul(rows) => PerColMul(rows),
        PerRowSub(rows) => PerColSub(rows),
        PerRowSubF(rows) => PerColSubF(rows),
        PerColMin(cols) => PerRowMin(cols),
        PerColMax(cols) => PerRowMax(cols),
        PerColAdd(cols) => PerRowAdd(cols),
        PerColMul(cols) => PerRowMul(cols),
        PerColSub(cols) => PerRowSub(cols),
        PerColSubF(cols) => PerRowSubF(cols),
        AddUnicast(from) => AddUnicast(place(from)),
        Store(to) => Store(place(to)),
        other => other,
    }
}

/// The operation with another address for what it has a value of for each row, or each column.
fn with_addresses(
    operation: FusedKerSpec<f32>,
    row: impl FnOnce(*const f32) -> *const f32,
    col: impl FnOnce(*const f32) -> *const f32,
) -> FusedKerSpec<f32> {
    use FusedKerSpec::*;

    match operation {
        PerRowMin(rows) => PerRowMin(row(rows)),
        PerRowMax(rows) => PerRowMax(row(rows)),
        PerRowAdd(rows) => PerRowAdd(row(rows)),
        PerRowMul(rows) => PerRowMul(row(rows)),
        PerRowSub(rows) => PerRowSub(row(rows)),
        PerRowSubF(rows) => PerRowSubF(row(rows)),
        PerColMin(cols) => PerColMin(col(cols)),
        PerColMax(cols) => PerColMax(col(cols)),
        PerColAdd(cols) => PerColAdd(col(cols)),
        PerColMul(cols) => PerColMul(col(cols)),
        PerColSub(cols) => PerColSub(col(cols)),
        PerColSubF(cols) => PerColSubF(col(cols)),
        other => other,
    }
}

/// Copies so many rows and columns.
unsafe fn transfer(from: &OutputStoreKer, to: &OutputStoreKer, rows: usize, cols: usize) {
    let at = |matrix: &OutputStoreKer, row: usize, col: usize| {
        let offset = matrix.row_byte_stride * row as isize + matrix.col_byte_stride * col as isize;
        // SAFETY: as for this function.
        unsafe { matrix.ptr.offset(offset).cast::<f32>() }
    };
    for row in 0..rows {
        for col in 0..cols {
            // SAFETY: as for this function.
            unsafe { at(to, row, col).write_unaligned(at(from, row, col).read_unaligned()) };
        }
    }
}
