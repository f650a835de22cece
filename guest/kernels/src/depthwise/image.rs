//! A depthwise convolution of an image, with limits: here of one whose places have their channels side by side.

use std::arch::wasm32::*;
use std::ops::Range;

use super::LANES;
use super::places::{NO_LIMITS, Places, within};

/// Taps across of the windows that have a quick way.
const ACROSS: usize = 3;

/// Places that are computed at one time.
const PLACES: usize = 4;

/// Sizes and steps are down, then across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depthwise {
    pub channels: usize,
    /// Each place has its channels side by side; otherwise each channel its rows.
    pub channels_last: bool,
    pub image: [usize; 2],
    /// The borders of zeros above and before the image.
    pub before: [usize; 2],
    pub window: [usize; 2],
    pub steps: [usize; 2],
    pub dilations: [usize; 2],
    pub outputs: [usize; 2],
}

/// Where everything lies, and at least and at most what is stored.
#[derive(Clone, Copy)]
pub struct Values {
    pub image: *const f32,
    /// For each tap a factor for each channel, or for each channel one for each tap: as the image lies.
    pub weights: *const f32,
    pub bias: *const f32,
    pub output: *mut f32,
    pub limits: Option<[f32; 2]>,
}

impl Depthwise {
    /// # Safety
    /// The values are as many as the sizes say.
    pub unsafe fn run(&self, values: &Values) {
        // SAFETY: as for this function.
        unsafe {
            match self.channels_last {
                true => self.side_by_side(values),
                false => self.planes(values),
            }
        }
    }

    unsafe fn side_by_side(&self, values: &Values) {
        let inner = self.inner();
        let mut taps = Taps::default();
        for row in 0..self.outputs[0] {
            let down = self.taps(0, row);
            let is_quick = self.has_quick_way() && !down.is_empty() && inner.len() >= PLACES;
            // SAFETY: as for this function.
            unsafe {
                for col in (0..inner.start).chain(inner.end..self.outputs[1]) {
                    taps.find(self, row, col);
                    self.places(values, &taps, row, col..col + 1);
                }
                if is_quick {
                    for col in inner.clone().step_by(PLACES) {
                        // The last may begin with some that are there already.
                        let col = col.min(inner.end - PLACES);
                        self.threes(values, [row, col], down.clone());
                    }
                } else if !inner.is_empty() {
                    taps.find(self, row, inner.start);
                    self.places(values, &taps, row, inner.clone());
                }
            }
        }
    }

    /// The taps along an axis that are in the image.
    pub(super) fn taps(&self, axis: usize, output: usize) -> Range<usize> {
        let (first, before) = (output * self.steps[axis], self.before[axis]);
        let until = |place: usize| {
            let taps = place.saturating_sub(first).div_ceil(self.dilations[axis]);
            taps.min(self.window[axis])
        };
        until(before)..until(before + self.image[axis])
    }

    /// The columns with all taps across.
    pub(super) fn inner(&self) -> Range<usize> {
        let is_whole = |col: &usize| self.taps(1, *col).len() == self.window[1];
        let start = (0..self.outputs[1]).find(is_whole);
        let start = start.unwrap_or(self.outputs[1]);
        let count = (start..self.outputs[1]).take_while(is_whole).count();
        start..start + count
    }

    fn has_quick_way(&self) -> bool {
        let [down, across] = self.window;
        (1..=3).contains(&down)
            && (across, self.steps[1], self.dilations[1]) == (ACROSS, 1, 1)
            && self.channels.is_multiple_of(LANES)
    }

    /// Where a window's first tap is or would be, from the image's first value.
    pub(super) fn start(&self, [row, col]: [usize; 2]) -> isize {
        let place = |axis: usize, output: usize| {
            (output * self.steps[axis]) as isize - self.before[axis] as isize
        };
        let place = place(0, row) * self.image[1] as isize + place(1, col);
        place * self.channels as isize
    }

    /// From a tap to the one below.
    pub(super) fn down(&self) -> usize {
        self.dilations[0] * self.image[1] * self.channels
    }

    /// Places of a row that have the same taps.
    unsafe fn places(&self, values: &Values, taps: &Taps, row: usize, cols: Range<usize>) {
        let places = Places {
            kernel: values.weights,
            tap_indices: &taps.indices,
            offsets: &taps.offsets,
            bias: values.bias,
            channels: self.channels,
            k_stride: self.channels,
            in_stride: (self.steps[1] * self.channels) as isize,
            out_stride: self.channels as isize,
            limits: values.limits.unwrap_or(NO_LIMITS),
        };
        let at = [row, cols.start];
        // SAFETY: as for `run`; the first tap is in the image, if there is one.
        unsafe {
            let input = match taps.first {
                Some(first) => values.image.offset(self.start(at) + first as isize),
                None => values.image,
            };
            places.run(input, self.output(values, at), cols.len());
        }
    }

    unsafe fn output(&self, values: &Values, [row, col]: [usize; 2]) -> *mut f32 {
        // SAFETY: as for `run`.
        unsafe {
            values
                .output
                .add((row * self.outputs[1] + col) * self.channels)
        }
    }

    /// `PLACES` places with all three taps across, and some of those down: what is read of a row of the image, and of
    /// the weights, is used for all of them.
    unsafe fn threes(&self, values: &Values, at: [usize; 2], down: Range<usize>) {
        let limits = values
            .limits
            .unwrap_or(NO_LIMITS)
            .map(|limit| f32x4_splat(limit));
        let first = self.start(at) + (down.start * self.down()) as isize;
        // SAFETY: as for `run`; the first tap and the others are in the image.
        unsafe {
            let input = values.image.offset(first);
            let weights = values.weights.add(down.start * ACROSS * self.channels);
            let output = self.output(values, at);
            for channel in (0..self.channels).step_by(LANES) {
                let row = |sums: &mut [v128; PLACES], row: usize| {
                    let weights = weights.add(row * ACROSS * self.channels + channel);
                    let input = input.add(row * self.down() + channel);
                    add_row(sums, input, weights, self.channels);
                };
                let mut sums = [v128_load(values.bias.add(channel).cast()); PLACES];
                row(&mut sums, 0);
                // No loop, for its sums would lie in memory.
                if down.len() > 1 {
                    row(&mut sums, 1);
                    if down.len() > 2 {
                        row(&mut sums, 2);
                    }
                }
                for (place, sum) in sums.into_iter().enumerate() {
                    let to = output.add(place * self.channels + channel);
                    v128_store(to.cast(), within(limits, sum));
                }
            }
        }
    }
}

/// What one row of the image adds to the sums of neighbours.
#[inline(always)]
unsafe fn add_row(
    sums: &mut [v128; PLACES],
    input: *const f32,
    weights: *const f32,
    channels: usize,
) {
    // SAFETY: there are as many places and taps.
    unsafe {
        let factors: [v128; ACROSS] =
            std::array::from_fn(|tap| v128_load(weights.add(tap * channels).cast()));
        for col in 0..PLACES + ACROSS - 1 {
            let value = v128_load(input.add(col * channels).cast());
            for (tap, factor) in factors.iter().enumerate() {
                if let Some(sum) = col.checked_sub(tap).and_then(|place| sums.get_mut(place)) {
                    *sum = f32x4_relaxed_madd(value, *factor, *sum);
                }
            }
        }
    }
}

/// Those of a window that are in the image.
#[derive(Default)]
struct Taps {
    indices: Vec<usize>,
    /// Where the first of them is, from where the window begins.
    first: Option<usize>,
    /// From the first of them.
    offsets: Vec<isize>,
}

impl Taps {
    fn find(&mut self, sizes: &Depthwise, row: usize, col: usize) {
        self.indices.clear();
        self.offsets.clear();
        self.first = None;
        for (down, across) in sizes
            .taps(0, row)
            .flat_map(|down| sizes.taps(1, col).map(move |across| (down, across)))
        {
            let place = down * sizes.down() + across * sizes.dilations[1] * sizes.channels;
            let first = *self.first.get_or_insert(place);
            self.indices.push(down * sizes.window[1] + across);
            self.offsets.push((place - first) as isize);
        }
    }
}
