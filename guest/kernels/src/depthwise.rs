//! Depthwise convolution in f32.

mod image;
mod places;
mod rows;

use std::arch::wasm32::*;

use tract_linalg::Func;
use tract_linalg::isa::{Arch, Isa, IsaReq};
use tract_linalg::routines::{Routine, RoutineFactory};
use tract_linalg::wasm::depthwise_w_f32;

use places::{NO_LIMITS, Places};

pub use image::{Depthwise, Values};

pub const NAME: &str = "modelet_depthwise_w_f32";
pub const BY_CHANNEL_NAME: &str = "modelet_depthwise_c_f32";

const LANES: usize = 4;

inventory::submit! {
    Routine {
        func: Func::DepthwiseW,
        arch: Some(Arch::Wasm32Simd128),
        isa: IsaReq::ANY.needing(&[Isa::Wasm32RelaxedSimd]),
        boost: 0,
        round_trip: false,
        factory: RoutineFactory::DepthwiseWF32 { name: NAME, run: depthwise },
    }
}

inventory::submit! {
    Routine {
        func: Func::DepthwiseC,
        arch: Some(Arch::Wasm32Simd128),
        isa: IsaReq::ANY.needing(&[Isa::Wasm32RelaxedSimd]),
        boost: 0,
        round_trip: false,
        factory: RoutineFactory::DepthwiseCF32 { name: BY_CHANNEL_NAME, run: depthwise_by_channel },
    }
}

/// Along an axis on which the output's values are neighbours: `len` values, each `bias` and the sum of
/// `taps[t] * input[offsets[t] + i * in_stride]`. As many taps as windows of three by three have, whole or cut off at a border, are taken in one step of the
/// loop, so that no sum is carried from one to the next. tract has the rest.
///
/// # Safety
/// All that the taps reach can be read, and `len` values can be written to `output`.
pub unsafe fn depthwise(
    input: *const f32,
    output: *mut f32,
    taps: &[f32],
    offsets: &[isize],
    bias: f32,
    len: usize,
    in_stride: isize,
) {
    // SAFETY: as for this function.
    unsafe {
        match (taps.len(), in_stride) {
            (9, 1) => at_once::<9, 1>(input, output, taps, offsets, bias, len),
            (6, 1) => at_once::<6, 1>(input, output, taps, offsets, bias, len),
            (9, 2) => at_once::<9, 2>(input, output, taps, offsets, bias, len),
            (6, 2) => at_once::<6, 2>(input, output, taps, offsets, bias, len),
            _ => depthwise_w_f32(input, output, taps, offsets, bias, len, in_stride),
        }
    }
}

#[inline(always)]
unsafe fn at_once<const TAPS: usize, const STRIDE: usize>(
    input: *const f32,
    output: *mut f32,
    taps: &[f32],
    offsets: &[isize],
    bias: f32,
    len: usize,
) {
    let factors: [v128; TAPS] = std::array::from_fn(|tap| f32x4_splat(taps[tap]));
    // SAFETY: the offsets are those of values that can be read.
    let inputs: [*const f32; TAPS] =
        std::array::from_fn(|tap| unsafe { input.offset(offsets[tap]) });
    let whole = len - len % LANES;
    let mut done = 0;
    // SAFETY: `four` reads no more than what its four values need.
    unsafe {
        while done < whole {
            let mut sum = f32x4_splat(bias);
            for tap in 0..TAPS {
                let values = four::<STRIDE>(inputs[tap].add(done * STRIDE));
                sum = f32x4_relaxed_madd(values, factors[tap], sum);
            }
            v128_store(output.add(done).cast(), sum);
            done += LANES;
        }
        let rest = input.add(done * STRIDE);
        depthwise_w_f32(
            rest,
            output.add(done),
            taps,
            offsets,
            bias,
            len - done,
            STRIDE as isize,
        );
    }
}

/// Four values, each `STRIDE` after the one before.
#[inline(always)]
unsafe fn four<const STRIDE: usize>(from: *const f32) -> v128 {
    // SAFETY: the last that is read is the last of the four.
    unsafe {
        match STRIDE {
            1 => v128_load(from.cast()),
            _ => {
                let (first, last) = (v128_load(from.cast()), v128_load(from.add(3).cast()));
                i32x4_shuffle::<0, 2, 5, 7>(first, last)
            }
        }
    }
}

/// Where the channels of one place are neighbours: `len` places, `in_stride` apart in the input and
/// `out_stride` in the output. A channel's value is its bias and the sum of
/// `kernel[tap_indices[t] * k_stride + c] * input[i * in_stride + offsets[t] + c]`.
///
/// # Safety
/// All that the taps reach can be read, and `channels` values can be written at each place.
#[expect(
    clippy::too_many_arguments,
    reason = "tract hands them over one by one"
)]
pub unsafe fn depthwise_by_channel(
    input: *const f32,
    output: *mut f32,
    kernel: *const f32,
    tap_indices: &[usize],
    offsets: &[isize],
    bias: *const f32,
    channels: usize,
    k_stride: usize,
    len: usize,
    in_stride: isize,
    out_stride: isize,
) {
    let places = Places {
        kernel,
        tap_indices,
        offsets,
        bias,
        channels,
        k_stride,
        in_stride,
        out_stride,
        limits: NO_LIMITS,
    };
    // SAFETY: as for this function.
    unsafe { places.run(input, output, len) };
}
