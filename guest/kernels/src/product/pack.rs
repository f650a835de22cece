//! Rows of the left matrix, or columns of the right one, as the kernels read them.

use std::arch::wasm32::*;
use std::ops::Range;

use super::Windows;
use crate::gemm::{LANES, transposed};

/// Some rows of the left matrix, or columns of the right one. Strides are in values.
#[derive(Clone, Copy)]
pub struct Lines {
    pub first: *const f32,
    pub count: usize,
    /// From one line to the next.
    pub stride: isize,
    pub depth: usize,
    /// From one value of a line to the next.
    pub depth_stride: isize,
}

/// The width that has quick ways.
const WIDTH: usize = 8;

/// Panels that are packed together.
const MANY: usize = 4;

/// The greatest width.
const MOST: usize = 32;

/// Writes panels of `width` lines: the first value of each line, then the second of each, and so on. What the last one
/// has more than there are lines is zero.
///
/// # Safety
/// There are as many lines and values, and room for `depth` values of each line of all panels.
pub unsafe fn pack(lines: &Lines, width: usize, mut to: *mut f32) {
    let are_neighbours = (width, lines.stride) == (WIDTH, 1);
    let mut done = 0;
    while done < lines.count {
        let left = lines.count - done;
        let panels = if are_neighbours && left >= MANY * WIDTH {
            MANY
        } else {
            1
        };
        // SAFETY: as for this function.
        unsafe {
            let part = Lines {
                first: lines.first.offset(lines.stride * done as isize),
                count: left.min(panels * width),
                ..*lines
            };
            if panels == MANY {
                side_by_side::<MANY>(&part, to.cast());
            } else if are_neighbours && part.count == WIDTH {
                side_by_side::<1>(&part, to.cast());
            } else if (width, part.count, part.depth_stride) == (WIDTH, WIDTH, 1) {
                one_by_one(&part, to);
            } else {
                apart(&part, width, 0, to);
            }
            to = to.add(panels * width * lines.depth);
        }
        done += panels * width;
    }
}

/// Windows of an image in place of lines: channel by channel, row by row.
///
/// # Safety
/// The image is as large as they say and has the windows in `range`, no more than `width`; and there is room for
/// `width` times their depth.
pub unsafe fn pack_windows(
    windows: &Windows,
    image: *const f32,
    range: Range<usize>,
    width: usize,
    to: *mut f32,
) {
    let mut starts = [0; MOST];
    for (start, index) in starts.iter_mut().zip(range.clone()) {
        *start = windows.start(index);
    }
    let starts = &starts[..range.len()];
    let are_neighbours = starts.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let (down, across) = (
        windows.dilations[0] * windows.image[1] * windows.stride(),
        windows.dilations[1] * windows.stride(),
    );
    let mut to = to;
    for channel in 0..windows.channels {
        for tap in 0..windows.window[0] * windows.window[1] {
            let [row, col] = [tap / windows.window[1], tap % windows.window[1]];
            let offset = channel * windows.channel_stride() + row * down + col * across;
            // SAFETY: as for this function.
            unsafe {
                let from = image.add(offset);
                if (width, starts.len()) == (WIDTH, WIDTH) && are_neighbours {
                    let from = from.add(starts[0]);
                    v128_store(to.cast(), v128_load(from.cast()));
                    v128_store(to.add(LANES).cast(), v128_load(from.add(LANES).cast()));
                } else {
                    for (index, start) in starts.iter().enumerate() {
                        to.add(index).write(from.add(*start).read());
                    }
                    for index in starts.len()..width {
                        to.add(index).write(0.0);
                    }
                }
                to = to.add(width);
            }
        }
    }
}

/// Panels of lines that begin at neighbours. More than one panel at a time reads what a cache line and a page have of
/// them while they are at hand.
#[inline(always)]
unsafe fn side_by_side<const PANELS: usize>(lines: &Lines, mut to: *mut v128) {
    let mut from = lines.first.cast::<v128>();
    for _ in 0..lines.depth {
        // SAFETY: eight values are two vectors.
        unsafe {
            for panel in 0..PANELS {
                let to = to.add(2 * panel * lines.depth);
                v128_store(to, v128_load(from.add(2 * panel)));
                v128_store(to.add(1), v128_load(from.add(2 * panel + 1)));
            }
            to = to.add(2);
            from = from.byte_offset(size_of::<f32>() as isize * lines.depth_stride);
        }
    }
}

/// Lines whose values are neighbours.
unsafe fn one_by_one(lines: &Lines, to: *mut f32) {
    let whole = lines.depth - lines.depth % LANES;
    // SAFETY: four values of four lines are transposed at a time.
    unsafe {
        for half in 0..2 {
            let first = lines.first.offset(lines.stride * (LANES * half) as isize);
            for depth in (0..whole).step_by(LANES) {
                let line =
                    |index: isize| v128_load(first.offset(lines.stride * index).add(depth).cast());
                let columns = transposed([line(0), line(1), line(2), line(3)]);
                for (index, column) in columns.into_iter().enumerate() {
                    v128_store(
                        to.add(WIDTH * (depth + index) + LANES * half).cast(),
                        column,
                    );
                }
            }
        }
        apart(lines, WIDTH, whole, to);
    }
}

/// Any lines, from their value number `first` on.
unsafe fn apart(lines: &Lines, width: usize, first: usize, to: *mut f32) {
    for depth in first..lines.depth {
        for line in 0..width {
            // SAFETY: as for `pack`.
            unsafe {
                let value = if line < lines.count {
                    let offset = lines.stride * line as isize + lines.depth_stride * depth as isize;
                    lines.first.offset(offset).read()
                } else {
                    0.0
                };
                to.add(width * depth + line).write(value);
            }
        }
    }
}
