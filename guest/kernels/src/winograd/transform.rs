//! The transforms of minimal filtering, for two neighbouring outputs at a time.
//!
//! `Y = Aᵀ ((G g) ⊙ (Bᵀ d))`, where `g` are the taps, `d` the inputs and `Y` the outputs. For three taps the
//! points are 0, 1, −1 and ∞, for five also 2 and −2. Each vector has four filters side by side.
//! Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015.

use std::arch::wasm32::*;

#[inline(always)]
fn times(factor: f32, value: v128) -> v128 {
    f32x4_mul(f32x4_splat(factor), value)
}

#[inline(always)]
fn plus(a: v128, b: v128) -> v128 {
    f32x4_add(a, b)
}

#[inline(always)]
fn minus(a: v128, b: v128) -> v128 {
    f32x4_sub(a, b)
}

/// `Bᵀ d` for three taps.
#[inline(always)]
pub fn inputs_of_three(d: [v128; 4]) -> [v128; 4] {
    [
        minus(d[0], d[2]),
        plus(d[1], d[2]),
        minus(d[2], d[1]),
        minus(d[1], d[3]),
    ]
}

/// `G g`
#[inline(always)]
pub fn three_taps(g: [v128; 3]) -> [v128; 4] {
    let (ends, middle) = (times(0.5, plus(g[0], g[2])), times(0.5, g[1]));
    [g[0], plus(ends, middle), minus(ends, middle), g[2]]
}

/// `Aᵀ m`
#[inline(always)]
pub fn outputs_of_three(m: [v128; 4]) -> [v128; 2] {
    [plus(plus(m[0], m[1]), m[2]), minus(minus(m[1], m[2]), m[3])]
}

/// `Bᵀ d` for five taps.
#[inline(always)]
pub fn inputs_of_five(d: [v128; 6]) -> [v128; 6] {
    let four_two = minus(d[4], times(4.0, d[2]));
    let three_one = minus(d[3], times(4.0, d[1]));
    let by_two = minus(d[4], d[2]);
    let twice = times(2.0, minus(d[3], d[1]));
    [
        plus(minus(times(4.0, d[0]), times(5.0, d[2])), d[4]),
        plus(four_two, three_one),
        minus(four_two, three_one),
        plus(by_two, twice),
        minus(by_two, twice),
        plus(minus(times(4.0, d[1]), times(5.0, d[3])), d[5]),
    ]
}

/// `G g`
#[inline(always)]
pub fn five_taps(g: [v128; 5]) -> [v128; 6] {
    let even = times(-1.0 / 6.0, plus(plus(g[0], g[2]), g[4]));
    let odd = times(-1.0 / 6.0, plus(g[1], g[3]));
    let far_even = plus(
        plus(times(1.0 / 24.0, g[0]), times(4.0 / 24.0, g[2])),
        times(16.0 / 24.0, g[4]),
    );
    let far_odd = plus(times(2.0 / 24.0, g[1]), times(8.0 / 24.0, g[3]));
    [
        times(0.25, g[0]),
        plus(even, odd),
        minus(even, odd),
        plus(far_even, far_odd),
        minus(far_even, far_odd),
        g[4],
    ]
}

/// `Aᵀ m`
#[inline(always)]
pub fn outputs_of_five(m: [v128; 6]) -> [v128; 2] {
    let (near, far) = (plus(m[1], m[2]), plus(m[3], m[4]));
    let (near_odd, far_odd) = (minus(m[1], m[2]), minus(m[3], m[4]));
    [
        plus(m[0], plus(near, far)),
        plus(plus(near_odd, times(2.0, far_odd)), m[5]),
    ]
}
