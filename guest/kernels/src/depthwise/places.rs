//! Places whose channels are neighbours, each the sum of the same taps.

use std::arch::wasm32::*;

use super::LANES;

/// Vectors that are summed at one time.
const SUMS: usize = 4;

pub const NO_LIMITS: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

/// What `depthwise_by_channel` is told, and at least and at most what a sum is stored as.
pub struct Places<'a> {
    pub kernel: *const f32,
    pub tap_indices: &'a [usize],
    pub offsets: &'a [isize],
    pub bias: *const f32,
    pub channels: usize,
    pub k_stride: usize,
    pub in_stride: isize,
    pub out_stride: isize,
    pub limits: [f32; 2],
}

impl Places<'_> {
    /// # Safety
    /// All that the taps reach can be read, and `channels` values can be written at each of `len` places.
    pub unsafe fn run(&self, input: *const f32, output: *mut f32, len: usize) {
        let whole = len - len % SUMS;
        // SAFETY: `len` places in all.
        unsafe {
            let at = |place: usize| {
                let place = place as isize;
                (
                    input.offset(place * self.in_stride),
                    output.offset(place * self.out_stride),
                )
            };
            // Four places share what they read of the kernel.
            for place in (0..whole).step_by(SUMS) {
                self.slide::<SUMS, 1>(at(place));
            }
            for place in whole..len {
                self.slide::<1, SUMS>(at(place));
            }
        }
    }

    /// All channels of `PLACES` places, `VECTORS` at a time, and then one by one.
    #[inline(always)]
    unsafe fn slide<const PLACES: usize, const VECTORS: usize>(
        &self,
        (input, output): (*const f32, *mut f32),
    ) {
        let limits = self.limits.map(|limit| f32x4_splat(limit));
        let whole = self.channels - self.channels % (VECTORS * LANES);
        // SAFETY: as for `run`, for these places.
        unsafe {
            for channel in (0..whole).step_by(VECTORS * LANES) {
                let sums = self.sums::<PLACES, VECTORS>(input.add(channel), channel);
                for (place, sums) in sums.into_iter().enumerate() {
                    let output = output.offset(place as isize * self.out_stride);
                    for (vector, sum) in sums.into_iter().enumerate() {
                        let to = output.add(channel + LANES * vector);
                        v128_store(to.cast(), within(limits, sum));
                    }
                }
            }
            for place in 0..PLACES as isize {
                let (input, output) = (
                    input.offset(place * self.in_stride),
                    output.offset(place * self.out_stride),
                );
                self.one_by_one(input, output, whole);
            }
        }
    }

    #[inline(always)]
    unsafe fn sums<const PLACES: usize, const VECTORS: usize>(
        &self,
        input: *const f32,
        channel: usize,
    ) -> [[v128; VECTORS]; PLACES] {
        // SAFETY: as for `run`; there are as many offsets as taps.
        unsafe {
            let mut sums = [load(self.bias.add(channel)); PLACES];
            let mut tap = 0;
            'all: loop {
                sixteen_times!({
                    if tap == self.tap_indices.len() {
                        break 'all;
                    }
                    let index = *self.tap_indices.get_unchecked(tap);
                    let input = input.offset(*self.offsets.get_unchecked(tap));
                    let factors = load::<VECTORS>(self.kernel.add(index * self.k_stride + channel));
                    for (place, sums) in sums.iter_mut().enumerate() {
                        let values = load::<VECTORS>(input.offset(place as isize * self.in_stride));
                        for vector in 0..VECTORS {
                            sums[vector] =
                                f32x4_relaxed_madd(values[vector], factors[vector], sums[vector]);
                        }
                    }
                    tap += 1;
                });
            }
            sums
        }
    }

    /// The channels of one place from `first` on.
    #[inline(never)]
    unsafe fn one_by_one(&self, input: *const f32, output: *mut f32, first: usize) {
        for channel in first..self.channels {
            // SAFETY: as for `run`.
            unsafe {
                let mut sum = *self.bias.add(channel);
                for (index, offset) in self.tap_indices.iter().zip(self.offsets) {
                    let factor = *self.kernel.add(index * self.k_stride + channel);
                    sum += factor * *input.add(channel).offset(*offset);
                }
                let sum = within(
                    self.limits.map(|limit| f32x4_splat(limit)),
                    f32x4_splat(sum),
                );
                output.add(channel).write(f32x4_extract_lane::<0>(sum));
            }
        }
    }
}

/// What is no number stays so, as of two values that cannot be compared the first is kept.
#[inline(always)]
pub fn within([least, most]: [v128; 2], value: v128) -> v128 {
    f32x4_pmin(f32x4_pmax(value, least), most)
}

#[inline(always)]
unsafe fn load<const VECTORS: usize>(from: *const f32) -> [v128; VECTORS] {
    // SAFETY: there are as many values.
    std::array::from_fn(|index| unsafe { v128_load(from.add(LANES * index).cast()) })
}
