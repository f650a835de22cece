//! Eight values at a time.

#[cfg(target_arch = "wasm32")]
use std::arch::wasm32::*;

use super::levels::Steps;
use super::tile::COLS;

/// None of them is no number.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy)]
pub struct Eight([f32; COLS]);

#[cfg(target_arch = "wasm32")]
#[derive(Clone, Copy)]
pub struct Eight([v128; 2]);

/// What levels are within.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Clone, Copy)]
pub struct Limits(Steps);

#[cfg(target_arch = "wasm32")]
#[derive(Clone, Copy)]
pub struct Limits {
    /// Less the zero point.
    steps: [v128; 2],
    zero: v128,
}

#[cfg(not(target_arch = "wasm32"))]
impl Limits {
    pub fn of(steps: &Steps) -> Limits {
        Limits(*steps)
    }
}

#[cfg(target_arch = "wasm32")]
impl Limits {
    pub fn of(steps: &Steps) -> Limits {
        Limits {
            steps: steps
                .limits
                .map(|limit| f32x4_splat((limit - steps.zero) as f32)),
            zero: i32x4_splat(steps.zero),
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Eight {
    pub fn of(values: &[f32; COLS]) -> Eight {
        Eight(*values)
    }

    /// `(sum + bias) · factor`
    pub fn scaled(sums: &[i32; COLS], bias: f32, factor: f32) -> Eight {
        Eight(sums.map(|sum| (sum as f32 + bias) * factor))
    }

    /// Each times its factor.
    pub fn sum([left, right]: [&[i16; COLS]; 2], factors: [f32; 2]) -> Eight {
        Eight(std::array::from_fn(|lane| {
            f32::from(left[lane]) * factors[0] + f32::from(right[lane]) * factors[1]
        }))
    }

    pub fn values(self) -> [f32; COLS] {
        self.0
    }

    /// Rounded, ties to even.
    pub fn levels(self, limits: &Limits) -> [u8; COLS] {
        let Limits(Steps { zero, limits }) = *limits;
        let [least, most] = limits.map(|limit| (limit - zero) as f32);
        self.0.map(|value| {
            let steps = value.max(least).min(most).round_ties_even();
            (steps as i32 + zero) as u8
        })
    }
}

#[cfg(target_arch = "wasm32")]
impl Eight {
    #[inline(always)]
    pub fn of(values: &[f32; COLS]) -> Eight {
        let values = values.as_ptr();
        // SAFETY: there are eight.
        Eight(unsafe { [v128_load(values.cast()), v128_load(values.add(4).cast())] })
    }

    /// `(sum + bias) · factor`
    #[inline(always)]
    pub fn scaled(sums: &[i32; COLS], bias: f32, factor: f32) -> Eight {
        let (bias, factor) = (f32x4_splat(bias), f32x4_splat(factor));
        let sums = sums.as_ptr();
        // SAFETY: there are eight.
        let sums = unsafe { [v128_load(sums.cast()), v128_load(sums.add(4).cast())] };
        Eight(sums.map(|sums| f32x4_mul(f32x4_add(f32x4_convert_i32x4(sums), bias), factor)))
    }

    /// Each times its factor.
    #[inline(always)]
    pub fn sum(operands: [&[i16; COLS]; 2], factors: [f32; 2]) -> Eight {
        let scaled = |words: &[i16; COLS], factor: f32| {
            let words = words.as_ptr();
            // SAFETY: there are eight.
            let halves = unsafe {
                [
                    i32x4_load_extend_i16x4(words),
                    i32x4_load_extend_i16x4(words.add(4)),
                ]
            };
            halves.map(|half| f32x4_mul(f32x4_convert_i32x4(half), f32x4_splat(factor)))
        };
        let left = scaled(operands[0], factors[0]);
        let right = scaled(operands[1], factors[1]);
        Eight([f32x4_add(left[0], right[0]), f32x4_add(left[1], right[1])])
    }

    #[inline(always)]
    pub fn values(self) -> [f32; COLS] {
        // SAFETY: as many values.
        unsafe { std::mem::transmute(self.0) }
    }

    /// Rounded, ties to even.
    #[inline(always)]
    pub fn levels(self, limits: &Limits) -> [u8; COLS] {
        let [least, most] = limits.steps;
        let levels = |values: v128| {
            let within = f32x4_pmin(f32x4_pmax(values, least), most);
            // What is within these limits is the same in every host.
            i32x4_add(
                i32x4_relaxed_trunc_f32x4(f32x4_nearest(within)),
                limits.zero,
            )
        };
        let words = i16x8_narrow_i32x4(levels(self.0[0]), levels(self.0[1]));
        // The lower half of each, signed or not.
        let bytes =
            i8x16_shuffle::<0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14>(words, words);
        i64x2_extract_lane::<0>(bytes).to_le_bytes()
    }
}

/// A level, signed or not.
pub trait Level: Copy + Into<i16> {
    /// Less a zero point.
    fn eight_less(levels: &[Self; COLS], zero: i16) -> [i16; COLS];
}

#[cfg(not(target_arch = "wasm32"))]
impl<T: Copy + Into<i16>> Level for T {
    fn eight_less(levels: &[T; COLS], zero: i16) -> [i16; COLS] {
        levels.map(|level| level.into() - zero)
    }
}

#[cfg(target_arch = "wasm32")]
impl Level for u8 {
    #[inline(always)]
    fn eight_less(levels: &[u8; COLS], zero: i16) -> [i16; COLS] {
        // SAFETY: there are eight, and eight integers of 16 bits are a vector.
        unsafe {
            let levels = i16x8_load_extend_u8x8(levels.as_ptr());
            std::mem::transmute(i16x8_sub(levels, i16x8_splat(zero)))
        }
    }
}

#[cfg(target_arch = "wasm32")]
impl Level for i8 {
    #[inline(always)]
    fn eight_less(levels: &[i8; COLS], zero: i16) -> [i16; COLS] {
        // SAFETY: there are eight, and eight integers of 16 bits are a vector.
        unsafe {
            let levels = i16x8_load_extend_i8x8(levels.as_ptr());
            std::mem::transmute(i16x8_sub(levels, i16x8_splat(zero)))
        }
    }
}
