//! Convolutions whose filters look at one channel each.

#[cfg(target_arch = "wasm32")]
use std::arch::wasm32::*;
use std::ops::Range;

use super::image::Image;
use super::output::Output;
use super::tile::COLS;
use super::weights::ABOVE_WORD;

/// The taps of filters, less their zero points: those of a filter after those of the other. Stored above what they are,
/// as weights are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    count: usize,
    values: Vec<i16>,
}

impl Taps {
    /// # Panics
    /// If a filter has no taps.
    pub fn new(count: usize, values: Vec<i16>) -> Taps {
        assert!(count > 0, "a window without taps");
        let values = values.into_iter().map(|value| value + ABOVE_WORD).collect();
        Taps { count, values }
    }

    /// The sums of some filters over an image of one channel, the first of them in the first row.
    ///
    /// # Panics
    /// If the image's windows have another size, or the output is too small.
    #[inline(never)]
    pub fn run(&self, filters: Range<usize>, image: &Image, output: &mut Output<'_>) {
        let offsets = image.offsets();
        assert_eq!(offsets.len(), self.count, "windows of another size");
        for (row, filter) in filters.enumerate() {
            let taps = &self.values[filter * self.count..][..self.count];
            let pair = |index: usize| Pair::of(taps, offsets, index);
            match self.count.div_ceil(2) {
                // Three by one, three by three, five by five: their pairs are written out.
                2 => run(std::array::from_fn::<_, 2, _>(pair), row, image, output),
                5 => run(std::array::from_fn::<_, 5, _>(pair), row, image, output),
                13 => run(std::array::from_fn::<_, 13, _>(pair), row, image, output),
                pairs => run((0..pairs).map(pair).collect::<Vec<_>>(), row, image, output),
            }
        }
    }
}

/// Two taps.
struct Pair {
    /// Their weights, one after the other, as often as there is room.
    weights: [i16; COLS],
    offsets: [usize; 2],
}

impl Pair {
    /// What makes an odd number of taps even has a weight of zero.
    fn of(taps: &[i16], offsets: &[usize], index: usize) -> Pair {
        let [first, second] = [2 * index, 2 * index + 1];
        let both = [taps[first], taps.get(second).map_or(ABOVE_WORD, |tap| *tap)];
        Pair {
            weights: std::array::from_fn(|lane| both[lane % 2] - ABOVE_WORD),
            offsets: [
                offsets[first],
                *offsets.get(second).unwrap_or(&offsets[first]),
            ],
        }
    }
}

#[inline(always)]
fn run(pairs: impl AsRef<[Pair]>, to: usize, image: &Image, output: &mut Output<'_>) {
    let pairs = pairs.as_ref();
    let [rows, across] = image.outputs();
    let furthest = image.offsets().iter().max().copied().unwrap_or(0);
    for row in 0..rows {
        let values = image.row(row);
        let last = values.len().checked_sub(across + COLS - 1);
        assert!(
            last.is_some_and(|last| furthest <= last),
            "an image of other windows"
        );
        for col in (0..across).step_by(COLS) {
            // SAFETY: so far it was asserted to go.
            let sums = unsafe { sums(pairs, values.as_ptr().add(col)) };
            let cols = COLS.min(across - col);
            output.rows([to, row * across + col], &[sums], cols);
        }
    }
}

/// Eight sums.
///
/// # Safety
/// Eight values can be read at each offset from `values`.
#[cfg(not(target_arch = "wasm32"))]
unsafe fn sums(pairs: &[Pair], values: *const i16) -> [i32; COLS] {
    let mut sums = [0i32; COLS];
    for pair in pairs {
        for (offset, weight) in pair.offsets.iter().zip(pair.weights) {
            // SAFETY: as for this function.
            let eight = unsafe { values.add(*offset).cast::<[i16; COLS]>().read_unaligned() };
            for (sum, value) in sums.iter_mut().zip(eight) {
                *sum = sum.wrapping_add(i32::from(weight) * i32::from(value));
            }
        }
    }
    sums
}

/// Eight sums.
///
/// # Safety
/// Eight values can be read at each offset from `values`.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
unsafe fn sums(pairs: &[Pair], values: *const i16) -> [i32; COLS] {
    let mut sums = [i32x4_splat(0); 2];
    for Pair { weights, offsets } in pairs {
        // SAFETY: eight weights are a vector; else as for this function.
        let (both, [first, second]) = unsafe {
            let eight = |at: usize| v128_load(values.add(at).cast());
            (v128_load(weights.as_ptr().cast()), offsets.map(eight))
        };
        let low = i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(first, second);
        let high = i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(first, second);
        sums[0] = i32x4_add(sums[0], i32x4_dot_i16x8(both, low));
        sums[1] = i32x4_add(sums[1], i32x4_dot_i16x8(both, high));
    }
    // SAFETY: as many integers of 32 bits.
    unsafe { std::mem::transmute::<[v128; 2], [i32; COLS]>(sums) }
}
