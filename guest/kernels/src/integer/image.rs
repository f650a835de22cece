//! The windows of a convolution's image.

use super::levels::Bytes;
use super::tile::COLS;

/// What a convolution looks at. Sizes and steps are down, then across.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    pub channels: usize,
    pub image: [usize; 2],
    /// The borders above and before the image.
    pub before: [usize; 2],
    pub window: [usize; 2],
    pub steps: [usize; 2],
    pub dilations: [usize; 2],
    pub outputs: [usize; 2],
}

impl Windows {
    /// So far the last window reaches along an axis, borders included.
    fn extent(&self, axis: usize) -> usize {
        let last = self.outputs[axis].saturating_sub(1) * self.steps[axis];
        last + (self.window[axis] - 1) * self.dilations[axis] + 1
    }
}

/// An image less its zero point, with borders of zeros, channel by channel. What is a step apart across is side by
/// side, so that neighbouring windows read neighbours.
#[derive(Clone, Debug)]
pub struct Image {
    values: Vec<i16>,
    /// Of the taps, channel by channel, row by row, from a window's start.
    offsets: Vec<usize>,
    /// From one row of windows to the next.
    down: usize,
    outputs: [usize; 2],
}

impl Image {
    /// # Panics
    /// If `image` has not as many values as `windows` says, or a window, a step or a dilation is zero.
    #[inline(never)]
    pub fn new(windows: &Windows, image: Bytes<'_>, zero: i16) -> Image {
        let [height, width] = [windows.extent(0), windows.extent(1)];
        let step = windows.steps[1];
        // Every so many columns there is one that a window begins at.
        let phase = width.div_ceil(step);
        let row = phase * step;
        let channel = row * height;
        // A vector may begin at the last value.
        let mut values = vec![0; windows.channels * channel + COLS];
        let [rows, cols] = windows.image;
        assert_eq!(image.len(), windows.channels * rows * cols, "another image");
        let [above, before] = windows.before;
        let columns = cols.min(width.saturating_sub(before));
        let lines = rows.min(height.saturating_sub(above));
        if step == 1 && [row, channel] == [cols, rows * cols] {
            image.write_less(zero, &mut values);
        } else {
            for (of, line) in
                (0..windows.channels).flat_map(|of| (0..lines).map(move |line| (of, line)))
            {
                let from = image.part((of * rows + line) * cols, columns);
                let to = &mut values[of * channel + (above + line) * row..][..row];
                match step {
                    1 => from.write_less(zero, &mut to[before..]),
                    2 => {
                        let (even, odd) = to.split_at_mut(phase);
                        from.part_less(zero, before, even, odd);
                    }
                    _ => {
                        for (index, col) in (before..before + columns).enumerate() {
                            to[col % step * phase + col / step] = from.at(index) - zero;
                        }
                    }
                }
            }
        }
        let [down, across] = windows.window;
        let mut offsets = Vec::with_capacity(windows.channels * down * across);
        for of in 0..windows.channels {
            for tap in 0..down * across {
                let line = tap / across * windows.dilations[0];
                let col = tap % across * windows.dilations[1];
                offsets.push(of * channel + line * row + col % step * phase + col / step);
            }
        }
        let down = row * windows.steps[0];
        let outputs = match windows.outputs {
            // Windows of one row follow on those of the one above.
            [rows, cols] if down == cols => [1, rows * cols],
            outputs => outputs,
        };
        Image {
            values,
            offsets,
            down,
            outputs,
        }
    }

    /// Places of the output, down and across: where they are one after the other, all are across.
    pub(super) fn outputs(&self) -> [usize; 2] {
        self.outputs
    }

    /// The values from the first tap of a row's first window on. All that its windows and seven more read is there.
    pub(super) fn row(&self, row: usize) -> &[i16] {
        &self.values[row * self.down..]
    }

    /// Of the taps, from a window's start.
    pub(super) fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Writes eight windows from the one at `place` on: for each pair of taps both values of each window.
    pub(super) fn pack(&self, [row, col]: [usize; 2], panel: &mut [i16]) {
        let values = &self.row(row)[col..];
        let eight = |offset: usize| -> &[i16; COLS] {
            let eight = values[offset..].first_chunk();
            eight.expect("all that seven windows more read is there")
        };
        for (taps, to) in self.offsets.chunks(2).zip(panel.chunks_exact_mut(2 * COLS)) {
            let first = eight(taps[0]);
            let second = taps.get(1).map_or(&[0; COLS], |offset| eight(*offset));
            for col in 0..COLS {
                to[2 * col] = first[col];
                to[2 * col + 1] = second[col];
            }
        }
    }
}
