//! Four values of `f32` at one time. Whether loops become vectors by themselves depends on how a whole program is
//! optimised, and the engine is for size.

#[cfg(target_arch = "wasm32")]
use std::arch::wasm32::*;

const LANES: usize = 4;

/// So many are taken in each step of a loop.
const AT_ONCE: usize = 4;

/// One vector in WebAssembly, and natively what would be one.
#[derive(Clone, Copy)]
pub struct Four(
    #[cfg(target_arch = "wasm32")] v128,
    #[cfg(not(target_arch = "wasm32"))] [f32; 4],
);

#[cfg(target_arch = "wasm32")]
impl Four {
    #[inline(always)]
    pub fn of(values: [f32; LANES]) -> Four {
        // SAFETY: both are sixteen bytes, and each of them is a value.
        Four(unsafe { v128_load(values.as_ptr().cast()) })
    }

    #[inline(always)]
    pub fn values(self) -> [f32; LANES] {
        let mut values = [0.0f32; LANES];
        // SAFETY: as above.
        unsafe { v128_store(values.as_mut_ptr().cast(), self.0) };
        values
    }

    #[inline(always)]
    pub fn splat(value: f32) -> Four {
        Four(f32x4_splat(value))
    }

    #[inline(always)]
    pub fn add(self, other: Four) -> Four {
        Four(f32x4_add(self.0, other.0))
    }

    #[inline(always)]
    pub fn sub(self, other: Four) -> Four {
        Four(f32x4_sub(self.0, other.0))
    }

    #[inline(always)]
    pub fn mul(self, other: Four) -> Four {
        Four(f32x4_mul(self.0, other.0))
    }

    #[inline(always)]
    pub fn div(self, other: Four) -> Four {
        Four(f32x4_div(self.0, other.0))
    }

    /// The greater one, or what is no number.
    #[inline(always)]
    pub fn max(self, other: Four) -> Four {
        let greater = f32x4_pmax(self.0, other.0);
        Four(v128_bitselect(other.0, greater, f32x4_ne(other.0, other.0)))
    }

    /// The lesser one, or what is no number.
    #[inline(always)]
    pub fn min(self, other: Four) -> Four {
        let lesser = f32x4_pmin(self.0, other.0);
        Four(v128_bitselect(other.0, lesser, f32x4_ne(other.0, other.0)))
    }

    #[inline(always)]
    pub fn sqrt(self) -> Four {
        Four(f32x4_sqrt(self.0))
    }

    #[inline(always)]
    pub fn floor(self) -> Four {
        Four(f32x4_floor(self.0))
    }

    /// Two to the power of whole numbers from -126 to 127.
    #[inline(always)]
    pub fn power_of_two(self) -> Four {
        let exponent = i32x4_add(i32x4_trunc_sat_f32x4(self.0), i32x4_splat(127));
        Four(i32x4_shl(exponent, 23))
    }

    /// Every second value of these and four others.
    #[inline(always)]
    pub fn evens(self, others: Four) -> Four {
        Four(i32x4_shuffle::<0, 2, 4, 6>(self.0, others.0))
    }

    /// `other` where this is below `limit`.
    #[inline(always)]
    pub fn where_below(self, limit: f32, other: Four, otherwise: Four) -> Four {
        let is_below = f32x4_lt(self.0, f32x4_splat(limit));
        Four(v128_bitselect(other.0, otherwise.0, is_below))
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Four {
    pub fn of(values: [f32; LANES]) -> Four {
        Four(values)
    }

    pub fn values(self) -> [f32; LANES] {
        self.0
    }

    pub fn splat(value: f32) -> Four {
        Four([value; LANES])
    }

    fn each(self, other: Four, of: impl Fn(f32, f32) -> f32) -> Four {
        Four(std::array::from_fn(|lane| of(self.0[lane], other.0[lane])))
    }

    pub fn add(self, other: Four) -> Four {
        self.each(other, |value, other| value + other)
    }

    pub fn sub(self, other: Four) -> Four {
        self.each(other, |value, other| value - other)
    }

    pub fn mul(self, other: Four) -> Four {
        self.each(other, |value, other| value * other)
    }

    pub fn div(self, other: Four) -> Four {
        self.each(other, |value, other| value / other)
    }

    pub fn max(self, other: Four) -> Four {
        self.each(other, |value, other| {
            match value < other || other.is_nan() {
                true => other,
                false => value,
            }
        })
    }

    pub fn min(self, other: Four) -> Four {
        self.each(other, |value, other| {
            match value > other || other.is_nan() {
                true => other,
                false => value,
            }
        })
    }

    pub fn sqrt(self) -> Four {
        Four(self.0.map(f32::sqrt))
    }

    pub fn floor(self) -> Four {
        Four(self.0.map(f32::floor))
    }

    pub fn power_of_two(self) -> Four {
        Four(
            self.0
                .map(|power| f32::from_bits(((power as i32 + 127) << 23) as u32)),
        )
    }

    pub fn evens(self, others: Four) -> Four {
        Four([self.0[0], self.0[2], others.0[0], others.0[2]])
    }

    pub fn where_below(self, limit: f32, other: Four, otherwise: Four) -> Four {
        let lane = |lane: usize| match self.0[lane] < limit {
            true => other.0[lane],
            false => otherwise.0[lane],
        };
        Four(std::array::from_fn(lane))
    }
}

/// Replaces each value. Some of four may be none of them.
#[inline(always)]
pub fn each(values: &mut [f32], of: impl Fn(Four) -> Four) {
    let (many, rest) = values.as_chunks_mut::<{ AT_ONCE * LANES }>();
    for many in many {
        for four in many.as_chunks_mut().0 {
            *four = of(Four::of(*four)).values();
        }
    }
    let (fours, rest) = rest.as_chunks_mut();
    for four in fours {
        *four = of(Four::of(*four)).values();
    }
    let filled = of(Four::of(filled(rest))).values();
    rest.copy_from_slice(&filled[..rest.len()]);
}

/// Replaces each value by what becomes of it and another.
#[inline(always)]
pub fn both(values: &mut [f32], others: &[f32], of: impl Fn(Four, Four) -> Four) {
    let (many, rest) = values.as_chunks_mut::<{ AT_ONCE * LANES }>();
    let (other_many, other_rest) = others.as_chunks::<{ AT_ONCE * LANES }>();
    for (many, others) in many.iter_mut().zip(other_many) {
        for (four, other) in many.as_chunks_mut().0.iter_mut().zip(others.as_chunks().0) {
            *four = of(Four::of(*four), Four::of(*other)).values();
        }
    }
    let (fours, rest) = rest.as_chunks_mut();
    let (other_fours, other_rest) = other_rest.as_chunks();
    for (four, other) in fours.iter_mut().zip(other_fours) {
        *four = of(Four::of(*four), Four::of(*other)).values();
    }
    let filled = of(Four::of(filled(rest)), Four::of(filled(other_rest))).values();
    rest.copy_from_slice(&filled[..rest.len()]);
}

/// Sets all to one value.
#[inline(always)]
pub fn fill(values: &mut [f32], value: f32) {
    let value = Four::splat(value);
    each(values, |_| value);
}

/// Sets all to as many others. For a few it is quicker than what copies memory, which is a call of the host.
#[inline(always)]
pub fn copy(values: &mut [f32], others: &[f32]) {
    both(values, others, |_, other| other);
}

/// All values as one, in an order in which vectors can. `start` changes none.
#[inline(always)]
pub fn fold(values: &[f32], start: f32, of: impl Fn(Four, Four) -> Four) -> f32 {
    // What a loop carries lies in memory while it runs, and four sums do not wait for each other.
    let mut folded = [Four::splat(start); AT_ONCE];
    let (many, rest) = values.as_chunks::<{ AT_ONCE * AT_ONCE * LANES }>();
    for many in many {
        for many in many.as_chunks::<{ AT_ONCE * LANES }>().0 {
            for (folded, four) in folded.iter_mut().zip(many.as_chunks().0) {
                *folded = of(*folded, Four::of(*four));
            }
        }
    }
    let [first, others @ ..] = folded;
    let mut all = others.into_iter().fold(first, &of);
    let (fours, rest) = rest.as_chunks();
    for four in fours {
        all = of(all, Four::of(*four));
    }
    let lanes = all.values().into_iter().chain(rest.iter().copied());
    let one = lanes.fold(Four::splat(start), |one, value| of(one, Four::splat(value)));
    one.values()[0]
}

fn filled(rest: &[f32]) -> [f32; LANES] {
    let mut filled = [0.0; LANES];
    filled[..rest.len()].copy_from_slice(rest);
    filled
}
