//! Convolutions of small windows by fewer multiplications: four instead of six for two outputs of three taps, six
//! instead of ten for five, and both ways sixteen instead of thirty-six.
//!
//! Inputs and weights are transformed, multiplied as matrices for each point, and what comes out is transformed
//! back. Eight times two outputs along a row are one panel of the right matrices, so that nothing is as large
//! as a whole image. The weights are packed as for any product, and transformed in each call: what is stored stays
//! as small as it was.

mod following;
mod transform;

use std::arch::wasm32::*;
use std::ops::Range;

use tract_linalg::mmm::{EagerPackedInput, FusedKerSpec};

use crate::gemm::{LANES, Product, Tile};
use following::Following;
use transform::{
    five_taps, inputs_of_five, inputs_of_three, outputs_of_five, outputs_of_three, three_taps,
};

/// What is transformed of the inputs at one time, in bytes: it should stay in a core's second cache.
const BLOCK: usize = 1024 << 10;

/// Rows and columns of a product's tile.
const TILE: usize = 8;

/// What lies between one point and the next, in values: a cache line. Channels are a power of two more often than not, and
/// all points of one would share a few places of a core's first cache.
const APART: usize = 16;

/// Outputs of four filters side by side.
const GROUP: usize = 2 * LANES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Three,
    Five,
    ThreeByThree,
}

/// A convolution with steps of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    pub window: Window,
    pub channels: usize,
    /// Whether the values of a place are neighbours, and not those of a row.
    pub channels_last: bool,
    pub height: usize,
    pub width: usize,
    /// Rows of zeros above the image, and columns before it.
    pub above: usize,
    pub before: usize,
    pub filters: usize,
    pub out_height: usize,
    pub out_width: usize,
}

impl Convolution {
    /// `weights` are packed for the tile of eight rows: filters, and for each channel the window row by row. `None`:
    /// something else follows than what it can do.
    ///
    /// # Safety
    /// Everything is as large as the sizes say, and what follows is as for the first filter and output.
    pub unsafe fn run(
        &self,
        input: *const f32,
        weights: &EagerPackedInput,
        following: &[FusedKerSpec<f32>],
    ) -> Option<()> {
        let following = Following::of(following)?;
        // SAFETY: as for this function.
        unsafe {
            match self.window {
                Window::Three => Run::<1, 4>::new(self, input, weights, following).blocks(),
                Window::Five => Run::<1, 6>::new(self, input, weights, following).blocks(),
                Window::ThreeByThree => Run::<4, 4>::new(self, input, weights, following).blocks(),
            }
        }
        Some(())
    }
}

/// One call. `ROWS` and `COLS` are how many points there are down and across: one, if the window is no higher, or
/// one more than taps.
struct Run<'a, const ROWS: usize, const COLS: usize> {
    convolution: &'a Convolution,
    input: *const f32,
    weights: &'a EagerPackedInput,
    following: Following,
    /// Groups along a row of outputs.
    across: usize,
    /// All groups.
    groups: usize,
    /// Some rows of a channel of the image, with what is around it.
    rows: Vec<f32>,
    /// Of the block: for each point and panel, channels of eight values.
    inputs: Vec<f32>,
    /// Of eight filters: for each point, channels of eight values.
    taps: Vec<f32>,
    /// Of eight filters and a panel, at each point.
    products: Vec<Tile>,
}

impl<'a, const ROWS: usize, const COLS: usize> Run<'a, ROWS, COLS> {
    const POINTS: usize = ROWS * COLS;
    /// Rows of outputs that are found together.
    const DOWN: usize = if ROWS == 1 { 1 } else { 2 };

    fn new(
        convolution: &'a Convolution,
        input: *const f32,
        weights: &'a EagerPackedInput,
        following: Following,
    ) -> Self {
        let across = convolution.out_width.div_ceil(GROUP);
        Run {
            convolution,
            input,
            weights,
            following,
            across,
            groups: across * convolution.out_height.div_ceil(Self::DOWN),
            rows: vec![],
            inputs: vec![],
            taps: vec![0.0; Self::POINTS * (convolution.channels * TILE + APART)],
            products: vec![[[f32x4_splat(0.0); 2]; TILE]; Self::POINTS],
        }
    }

    /// In values: the channels of a panel, at one point.
    fn panel_len(&self) -> usize {
        self.convolution.channels * TILE
    }

    /// In values: from one point to the next, of so many panels.
    fn point_len(&self, panels: usize) -> usize {
        panels * self.panel_len() + APART
    }

    unsafe fn blocks(mut self) {
        let panels = self.groups.div_ceil(2);
        let bytes = Self::POINTS * self.panel_len() * size_of::<f32>();
        let size = (BLOCK / bytes.max(1)).clamp(1, panels.max(1));
        self.inputs = vec![0.0; Self::POINTS * self.point_len(size)];
        for first in (0..panels).step_by(size) {
            let block = first..panels.min(first + size);
            // SAFETY: as for `Convolution::run`.
            unsafe {
                self.transform_inputs(2 * first..self.groups.min(2 * block.end));
                for filter in (0..self.convolution.filters).step_by(TILE) {
                    self.transform_taps(filter / TILE);
                    for panel in block.clone() {
                        self.finish(filter, panel, panel - first, block.len());
                    }
                }
            }
        }
    }

    /// `Bᵀ d B` of each channel, for some groups.
    unsafe fn transform_inputs(&mut self, groups: Range<usize>) {
        let (across, panel_len) = (self.across, self.panel_len());
        let point_len = self.point_len(groups.len().div_ceil(2));
        let lines = groups.start / across..groups.end.div_ceil(across);
        let n_rows = Self::DOWN * (lines.len() - 1) + ROWS;
        let stride = GROUP * across + COLS - 2;
        self.rows.clear();
        self.rows.resize(n_rows * stride, 0.0);
        for channel in 0..self.convolution.channels {
            // SAFETY: as for `Convolution::run`.
            unsafe { self.copy_rows(channel, Self::DOWN * lines.start, stride) };
            for group in groups.clone() {
                let line = group / across - lines.start;
                let first = Self::DOWN * line * stride + GROUP * (group % across);
                let number = group - groups.start;
                let to = number / 2 * panel_len + channel * TILE + number % 2 * LANES;
                // SAFETY: the rows reach as far as the last group does, and there is a panel for each two.
                unsafe {
                    let points = inputs::<ROWS, COLS>(self.rows.as_ptr().add(first), stride);
                    let mut to = self.inputs.as_mut_ptr().add(to);
                    for point in points.as_flattened() {
                        v128_store(to.cast(), *point);
                        to = to.wrapping_add(point_len);
                    }
                }
            }
        }
    }

    /// Those of the image into `rows`, from row `first` on, where what is around the image is zero.
    unsafe fn copy_rows(&mut self, channel: usize, first: usize, stride: usize) {
        let Convolution {
            channels,
            channels_last,
            height,
            width,
            above,
            before,
            ..
        } = *self.convolution;
        let count = width.min(stride - before);
        for (row, to) in self.rows.chunks_exact_mut(stride).enumerate() {
            let from = (first + row).checked_sub(above);
            let Some(from) = from.filter(|from| *from < height) else {
                continue;
            };
            // SAFETY: the image has such a row.
            unsafe {
                let to = to.as_mut_ptr().add(before);
                if channels_last {
                    let from = self.input.add(from * width * channels + channel);
                    for col in 0..count {
                        to.add(col).write(from.add(col * channels).read());
                    }
                } else {
                    let from = self.input.add((channel * height + from) * width);
                    to.copy_from_nonoverlapping(from, count);
                }
            }
        }
    }

    /// `G g Gᵀ` of eight filters.
    unsafe fn transform_taps(&mut self, panel: usize) {
        let taps = (ROWS - 1).max(1) * (COLS - 1);
        let point_len = self.point_len(1);
        // SAFETY: the panel has a vector for each channel, tap and half.
        unsafe {
            let panel = self
                .weights
                .packed
                .as_ptr()
                .add(panel * self.weights.panel_bytes);
            for channel in 0..self.convolution.channels {
                for half in 0..2 {
                    let from = panel.cast::<v128>().add(2 * channel * taps + half);
                    let points = weights::<ROWS, COLS>(from);
                    let mut to = self.taps.as_mut_ptr().add(channel * TILE + half * LANES);
                    for point in points.as_flattened() {
                        v128_store(to.cast(), *point);
                        to = to.wrapping_add(point_len);
                    }
                }
            }
        }
    }

    /// Multiplies at each point and transforms back, for eight filters and the two groups of a panel.
    unsafe fn finish(&mut self, first_filter: usize, panel: usize, in_block: usize, panels: usize) {
        let [of_taps, of_inputs] = [self.point_len(1), self.point_len(panels)];
        let right = in_block * self.panel_len();
        for (point, product) in self.products.iter_mut().enumerate() {
            // SAFETY: both panels are as deep as there are channels.
            unsafe {
                let left = self.taps.as_ptr().add(point * of_taps);
                let right = self.inputs.as_ptr().add(point * of_inputs + right);
                let depth = self.convolution.channels;
                Product::into(product, depth, left.cast(), right.cast()).run();
            }
        }
        for half in (0..2).filter(|half| 2 * panel + half < self.groups) {
            let rows: [_; TILE] = std::array::from_fn(|filter| {
                let at = |row: usize, col: usize| self.products[row * COLS + col][filter][half];
                let points = std::array::from_fn(|row| std::array::from_fn(|col| at(row, col)));
                outputs::<ROWS, COLS>(points)
            });
            let rows = std::array::from_fn(|row| rows.map(|rows| rows[row]));
            // SAFETY: there are such a filter and group.
            unsafe { self.store(first_filter, 2 * panel + half, rows) };
        }
    }

    /// Two rows of outputs, or one, of eight filters.
    unsafe fn store(&self, first_filter: usize, group: usize, rows: [[[v128; 2]; TILE]; 2]) {
        let Convolution {
            filters,
            out_height,
            out_width,
            ..
        } = *self.convolution;
        let [line, group] = [group / self.across, group % self.across];
        let col = GROUP * group;
        let size = [TILE.min(filters - first_filter), GROUP.min(out_width - col)];
        let first_row = Self::DOWN * line;
        let n_rows = Self::DOWN.min(out_height - first_row);
        for (row, values) in rows.into_iter().enumerate().take(n_rows) {
            let place = (first_row + row) * out_width + col;
            // SAFETY: there are as many filters, rows and columns.
            unsafe { self.following.finish([first_filter, place], size, values) };
        }
    }
}

/// `Bᵀ d B` of four windows, each two values further than the one before.
#[inline(always)]
unsafe fn inputs<const ROWS: usize, const COLS: usize>(
    first: *const f32,
    stride: usize,
) -> [[v128; COLS]; ROWS] {
    let mut points = [[f32x4_splat(0.0); COLS]; ROWS];
    for (row, points) in points.iter_mut().enumerate() {
        // SAFETY: the row has twice four values, and as many more as there are points beyond two.
        unsafe {
            let at = |offset: usize| v128_load(first.add(row * stride + offset).cast());
            let pairs = |offset: usize| {
                let (a, b) = (at(offset), at(offset + LANES));
                [
                    i32x4_shuffle::<0, 2, 4, 6>(a, b),
                    i32x4_shuffle::<1, 3, 5, 7>(a, b),
                ]
            };
            let [[a, b], [c, d]] = [pairs(0), pairs(2)];
            if COLS == 4 {
                points.copy_from_slice(&inputs_of_three([a, b, c, d]));
            } else {
                let [e, f] = pairs(4);
                points.copy_from_slice(&inputs_of_five([a, b, c, d, e, f]));
            }
        }
    }
    if ROWS == 1 {
        return points;
    }
    turned(|col| inputs_of_three([0, 1, 2, 3].map(|row| points[row][col])))
}

/// Rows of what `column` says column by column.
#[inline(always)]
fn turned<const ROWS: usize, const COLS: usize>(
    column: impl Fn(usize) -> [v128; 4],
) -> [[v128; COLS]; ROWS] {
    let columns: [_; COLS] = std::array::from_fn(column);
    std::array::from_fn(|row| columns.map(|column| column[row]))
}

/// `G g Gᵀ` of four filters. Their taps are in every second vector.
#[inline(always)]
unsafe fn weights<const ROWS: usize, const COLS: usize>(taps: *const v128) -> [[v128; COLS]; ROWS] {
    let across = |row: usize| -> [v128; COLS] {
        let mut points = [f32x4_splat(0.0); COLS];
        // SAFETY: a window has one tap less than points.
        unsafe {
            let at = |tap: usize| v128_load(taps.add(2 * (row * (COLS - 1) + tap)));
            if COLS == 4 {
                points.copy_from_slice(&three_taps([at(0), at(1), at(2)]));
            } else {
                points.copy_from_slice(&five_taps([at(0), at(1), at(2), at(3), at(4)]));
            }
        }
        points
    };
    if ROWS == 1 {
        return [across(0); ROWS];
    }
    let rows = [across(0), across(1), across(2)];
    turned(|col| three_taps(rows.map(|row| row[col])))
}

/// `Aᵀ m A` of four filters' windows: of two rows, or one, the eight outputs.
#[inline(always)]
fn outputs<const ROWS: usize, const COLS: usize>(points: [[v128; COLS]; ROWS]) -> [[v128; 2]; 2] {
    let across = |row: &[v128; COLS]| {
        let [even, odd] = if COLS == 4 {
            outputs_of_three([row[0], row[1], row[2], row[3]])
        } else {
            outputs_of_five([row[0], row[1], row[2], row[3], row[4], row[5]])
        };
        [
            i32x4_shuffle::<0, 4, 1, 5>(even, odd),
            i32x4_shuffle::<2, 6, 3, 7>(even, odd),
        ]
    };
    if ROWS == 1 {
        let row = across(&points[0]);
        return [row, row];
    }
    let columns: [_; COLS] =
        std::array::from_fn(|col| outputs_of_three([0, 1, 2, 3].map(|row| points[row][col])));
    [0, 1].map(|row| across(&columns.map(|column| column[row])))
}
