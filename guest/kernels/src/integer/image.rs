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

/// An image less its zero point, with borders of zeros, channel by channel.
#[derive(Clone, Debug)]
pub struct Image {
    windows: Windows,
    lie: Lie,
    values: Vec<i16>,
    /// Of the taps, channel by channel, row by row, from a window's start.
    offsets: Vec<usize>,
    /// From one row of windows to the next.
    down: usize,
    outputs: [usize; 2],
}

/// How the values of an image lie. What is a step apart across is side by side, so that neighbouring windows read
/// neighbours.
#[derive(Clone, Debug)]
struct Lie {
    step: usize,
    /// Columns that are a step apart.
    phase: usize,
    row: usize,
    channel: usize,
}

impl Lie {
    fn of(windows: &Windows) -> Lie {
        let step = windows.steps[1];
        let phase = windows.extent(1).div_ceil(step);
        let row = phase * step;
        Lie {
            step,
            phase,
            row,
            channel: row * windows.extent(0),
        }
    }

    /// Where a column is in a row.
    fn col(&self, col: usize) -> usize {
        col % self.step * self.phase + col / self.step
    }

    /// A row that begins at a column.
    fn write(&self, levels: Bytes<'_>, zero: i16, before: usize, to: &mut [i16]) {
        let to = &mut to[..self.row];
        match self.step {
            1 => levels.write_less(zero, &mut to[before..]),
            2 => {
                let (even, odd) = to.split_at_mut(self.phase);
                levels.part_less(zero, before, even, odd);
            }
            _ => {
                for index in 0..levels.len() {
                    to[self.col(before + index)] = levels.at(index) - zero;
                }
            }
        }
    }

    fn offsets(&self, windows: &Windows) -> Vec<usize> {
        let [down, across] = windows.window;
        let mut offsets = Vec::with_capacity(windows.channels * down * across);
        for channel in 0..windows.channels {
            for tap in 0..down * across {
                let row = tap / across * windows.dilations[0];
                let col = tap % across * windows.dilations[1];
                offsets.push(channel * self.channel + row * self.row + self.col(col));
            }
        }
        offsets
    }
}

impl Image {
    /// One of zeros.
    ///
    /// # Panics
    /// If a window, a step or a dilation is zero.
    pub fn new(windows: Windows) -> Image {
        let lie = Lie::of(&windows);
        let down = lie.row * windows.steps[0];
        let outputs = match windows.outputs {
            // Windows of one row follow on those of the one above.
            [rows, cols] if down == cols => [1, rows * cols],
            outputs => outputs,
        };
        Image {
            // A vector may begin at the last value.
            values: vec![0; windows.channels * lie.channel + COLS],
            offsets: lie.offsets(&windows),
            down,
            outputs,
            lie,
            windows,
        }
    }

    /// # Panics
    /// If the levels are not as many as those of the image before.
    #[inline(never)]
    pub fn set(&mut self, levels: Bytes<'_>, zero: i16) {
        let Windows {
            channels,
            image: [rows, cols],
            before: [above, before],
            ..
        } = self.windows;
        assert_eq!(levels.len(), channels * rows * cols, "another image");
        if self.lie.step == 1 && [self.lie.row, self.lie.channel] == [cols, rows * cols] {
            return levels.write_less(zero, &mut self.values);
        }
        let seen = |axis: usize| {
            let extent = self.windows.extent(axis);
            self.windows.image[axis].min(extent.saturating_sub(self.windows.before[axis]))
        };
        let (rows_seen, cols_seen) = (seen(0), seen(1));
        if cols_seen == 0 {
            return;
        }
        for channel in 0..channels {
            for row in 0..rows_seen {
                let from = levels.part((channel * rows + row) * cols, cols_seen);
                let to = channel * self.lie.channel + (above + row) * self.lie.row;
                self.lie.write(from, zero, before, &mut self.values[to..]);
            }
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
