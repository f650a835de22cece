//! Products of whole matrices, tile by tile.
//!
//! What tract does around its tiles is made for all kernels and types. Here it is as little as two
//! dimensions and one type need, and a matrix that a request brings is packed in parts that stay in a cache
//! until they have been used, or not at all.

mod pack;
mod side;
mod tiles;

use tract_data::prelude::TractResult;
use tract_linalg::mmm::{FusedKerSpec, MMMInputValue};

use crate::gemm::{self, gemm};
use crate::gemv::{self, gemv};
use side::Side;
use tiles::{Tiles, turned};

/// Which tile multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// `modelet_f32_8x8`
    Gemm,
    /// `modelet_f32_32x1`, for one column.
    Gemv,
    /// `modelet_f32_8x1`, for one column.
    NarrowGemv,
}

impl Kernel {
    pub fn of(name: &str) -> Option<Kernel> {
        match name {
            gemm::NAME => Some(Kernel::Gemm),
            gemv::NAME => Some(Kernel::Gemv),
            gemv::NARROW_NAME => Some(Kernel::NarrowGemv),
            _ => None,
        }
    }

    fn rows(self) -> usize {
        match self {
            Kernel::Gemm | Kernel::NarrowGemv => 8,
            Kernel::Gemv => 32,
        }
    }

    fn cols(self) -> usize {
        match self {
            Kernel::Gemm => 8,
            Kernel::Gemv | Kernel::NarrowGemv => 1,
        }
    }

    /// # Safety
    /// As for the kernels.
    unsafe fn run(self, operations: &[FusedKerSpec<f32>]) {
        // SAFETY: as for this function.
        unsafe {
            match self {
                Kernel::Gemm => gemm(operations),
                Kernel::Gemv => gemv::<8>(operations),
                Kernel::NarrowGemv => gemv::<2>(operations),
            };
        }
    }
}

/// One of the two matrices. Strides are in values.
#[derive(Clone, Copy)]
pub enum Matrix<'a> {
    /// Packed by tract, or to be packed by it.
    Value(&'a dyn MMMInputValue),
    /// As it came.
    Strided {
        first: *const f32,
        /// To the next row of the left matrix, or column of the right one.
        stride: isize,
        /// To the next value of the same.
        depth_stride: isize,
    },
    /// Of an image, one for each column of the right matrix.
    Windows {
        first: *const f32,
        windows: &'a Windows,
    },
}

/// Where a convolution looks at an image that has its borders of zeros. Sizes and steps are down, then across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    pub channels: usize,
    /// Whether the values of a place are neighbours, and not those of a row.
    pub channels_last: bool,
    pub image: [usize; 2],
    pub window: [usize; 2],
    pub steps: [usize; 2],
    pub dilations: [usize; 2],
    pub outputs: [usize; 2],
}

impl Windows {
    /// Of the left and right matrices' lines.
    pub fn depth(&self) -> usize {
        self.channels * self.window[0] * self.window[1]
    }

    pub fn count(&self) -> usize {
        self.outputs[0] * self.outputs[1]
    }

    /// From one place of the image to the next across.
    fn stride(&self) -> usize {
        if self.channels_last { self.channels } else { 1 }
    }

    /// From one channel to the next.
    fn channel_stride(&self) -> usize {
        match self.channels_last {
            true => 1,
            false => self.image[0] * self.image[1],
        }
    }

    /// How far into the image the window number `index` begins.
    fn start(&self, index: usize) -> usize {
        let [row, col] = [index / self.outputs[1], index % self.outputs[1]];
        (row * self.steps[0] * self.image[1] + col * self.steps[1]) * self.stride()
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub rows: usize,
    pub cols: usize,
    pub depth: usize,
}

/// Multiplies, and does with each tile what follows: the last is to store it.
///
/// # Safety
/// The matrices have values for `sizes`, and so have those that `following` points to, for the tile in the
/// first row and column. Nothing is stored where something is read.
pub unsafe fn product(
    kernel: Kernel,
    sizes: Sizes,
    left: Matrix<'_>,
    right: Matrix<'_>,
    following: &[FusedKerSpec<f32>],
) -> TractResult<()> {
    let is_packed = |matrix| matches!(matrix, Matrix::Value(_));
    if kernel == Kernel::Gemm && is_packed(left) && !is_packed(right) && has_half(sizes.cols) {
        let following: Vec<_> = following.iter().copied().map(turned).collect();
        let sizes = Sizes {
            rows: sizes.cols,
            cols: sizes.rows,
            ..sizes
        };
        // SAFETY: as for this function; panels of rows and columns are packed alike.
        return unsafe { by_tile(kernel, sizes, right, left, &following) };
    }
    // SAFETY: as for this function.
    unsafe { by_tile(kernel, sizes, left, right, following) }
}

/// Whether columns are better counted as rows: a tile is multiplied in two halves of its rows, so that of the last
/// one a half may be enough. What is turned may take longer to store, which half of one of many tiles does not make up for.
fn has_half(cols: usize) -> bool {
    (8..256).contains(&cols) && (1..=4).contains(&(cols % 8))
}

unsafe fn by_tile(
    kernel: Kernel,
    sizes: Sizes,
    left: Matrix<'_>,
    right: Matrix<'_>,
    following: &[FusedKerSpec<f32>],
) -> TractResult<()> {
    let mut left = Side::new(left, sizes.rows, kernel.rows(), sizes.depth);
    let mut right = Side::new(right, sizes.cols, kernel.cols(), sizes.depth);
    let mut tiles = Tiles::new(kernel, sizes, following);
    // SAFETY: as for this function. Panels are prepared before they are used.
    unsafe {
        if right.is_to_pack() && !left.is_to_pack() {
            for cols in right.blocks() {
                right.prepare(cols.clone())?;
                for row in 0..left.panels() {
                    for col in cols.clone() {
                        tiles.run([&left, &right], [row, col]);
                    }
                }
            }
        } else {
            right.prepare(0..right.panels())?;
            for rows in left.blocks() {
                left.prepare(rows.clone())?;
                for col in 0..right.panels() {
                    for row in rows.clone() {
                        tiles.run([&left, &right], [row, col]);
                    }
                }
            }
        }
    }
    Ok(())
}
