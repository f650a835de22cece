//! Functions of each value of `f32`.

use super::elementwise::Operator;
use super::four::{Four, each};
use super::reduction::{Along, Reduction};

/// Of GELU by its hyperbolic tangent, `0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`.
const GELU_CUBE: f32 = 0.044_715;
const GELU_SUM: f32 = 0.797_884_6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Square,
    Sqrt,
    Recip,
    Rsqrt,
    Exp,
    Sigmoid,
    /// By its hyperbolic tangent.
    Gelu,
}

impl Function {
    pub fn apply(self, values: &mut [f32]) {
        let one = Four::splat(1.0);
        match self {
            Function::Square => each(values, |value| value.mul(value)),
            Function::Sqrt => each(values, Four::sqrt),
            Function::Recip => each(values, |value| one.div(value)),
            Function::Rsqrt => each(values, |value| one.div(value.sqrt())),
            Function::Exp => each(values, exp),
            Function::Sigmoid => each(values, |value| {
                one.div(one.add(exp(Four::splat(0.0).sub(value))))
            }),
            Function::Gelu => each(values, |value| {
                let cube = value.mul(value).mul(value).mul(Four::splat(GELU_CUBE));
                let sum = value.add(cube).mul(Four::splat(-2.0 * GELU_SUM));
                value.div(one.add(exp(sum)))
            }),
        }
    }
}

/// Exponentials along an axis, divided by their sum; or the logarithms of that.
///
/// # Panics
/// If there are not as many values as `along` says.
pub fn softmax(values: &mut [f32], along: Along, is_log: bool) {
    let Along { outer, len, inner } = along;
    assert_eq!(values.len(), outer * len * inner, "values");
    let row = match is_log {
        true => log_softmax_row,
        false => softmax_row,
    };
    if inner == 1 {
        values.chunks_exact_mut(len.max(1)).for_each(row);
        return;
    }
    let mut line = vec![0.0; len];
    for block in values.chunks_exact_mut((len * inner).max(1)) {
        for at in 0..inner {
            let places = block[at..].iter().step_by(inner);
            line.iter_mut()
                .zip(places)
                .for_each(|(to, value)| *to = *value);
            row(&mut line);
            let places = block[at..].iter_mut().step_by(inner);
            places.zip(&line).for_each(|(to, value)| *to = *value);
        }
    }
}

fn softmax_row(row: &mut [f32]) {
    let greatest = Reduction::Max.row(row);
    powers(row, greatest);
    let share = Reduction::Sum.row(row).recip();
    Operator::Mul.by_one(row, share);
}

fn log_softmax_row(row: &mut [f32]) {
    let greatest = Reduction::Max.row(row);
    let mut of_row = row.to_vec();
    powers(&mut of_row, greatest);
    let log = Reduction::Sum.row(&of_row).ln();
    Operator::Sub.by_one(row, greatest);
    Operator::Sub.by_one(row, log);
}

fn powers(row: &mut [f32], greatest: f32) {
    let greatest = Four::splat(greatest);
    each(row, |value| exp(value.sub(greatest)));
}

/// Below this a result has fewer digits, and is nothing.
const LEAST: f32 = -86.6;
/// The logarithm of the greatest number.
const MOST: f32 = 88.722_84;

/// Without a call or a branch: a power of two, and a polynomial for the rest (`expf` of Moshier's Cephes library). Its
/// error is two units in the last place.
#[inline(always)]
fn exp(value: Four) -> Four {
    // The logarithm of two, in two parts, of which the first has few digits.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const FACTORS: [f32; 6] = [
        1.987_569_1e-4,
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    let bounded = value.max(Four::splat(LEAST)).min(Four::splat(MOST));
    let powers = bounded.mul(Four::splat(std::f32::consts::LOG2_E));
    let power = powers.add(Four::splat(0.5)).floor();
    let rest = bounded.sub(power.mul(Four::splat(LN_2[0])));
    let rest = rest.sub(power.mul(Four::splat(LN_2[1])));
    let [first, others @ ..] = FACTORS.map(Four::splat);
    let step = |sum: Four, factor| sum.mul(rest).add(factor);
    let polynomial = others.into_iter().fold(first, step);
    let one_and_more = polynomial
        .mul(rest)
        .mul(rest)
        .add(rest)
        .add(Four::splat(1.0));
    // Half of it: the greatest power of two is more than a number can be.
    let half = power.sub(Four::splat(1.0)).power_of_two();
    let result = one_and_more.mul(half).mul(Four::splat(2.0));
    let result = value.where_below(LEAST, Four::splat(0.0), result);
    let is_more = Four::splat(0.0).sub(value);
    is_more.where_below(-MOST, Four::splat(f32::INFINITY), result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(function: Function, value: f32) -> f32 {
        let mut values = [value];
        function.apply(&mut values);
        values[0]
    }

    fn is_near(got: f32, expected: f64) -> bool {
        (f64::from(got) - expected).abs() <= 3e-7 * expected.abs() + 1e-37
    }

    fn exp(value: f32) -> f32 {
        of(Function::Exp, value)
    }

    #[test]
    fn exponentials_are_right_everywhere() {
        for step in -8700..=8870 {
            let value = step as f32 / 100.0;
            let expected = f64::from(value).exp();
            let got = exp(value);
            // Below it, nothing.
            let is_right = is_near(got, expected) || (value < LEAST && got == 0.0);
            assert!(is_right, "{value}: {got}, not {expected}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn functions_are_what_they_are_called() {
        for step in -400..=400 {
            let value = step as f32 / 20.0;
            let exact = f64::from(value);
            let tanh = (0.797_884_560_802_865_4 * (exact + 0.044_715 * exact.powi(3))).tanh();
            let gelu = 0.5 * exact * (1.0 + tanh);
            assert!((f64::from(of(Function::Gelu, value)) - gelu).abs() < 2e-6);
            let sigmoid = 1.0 / (1.0 + (-exact).exp());
            assert!(is_near(of(Function::Sigmoid, value), sigmoid));
            assert!(is_near(of(Function::Square, value), exact * exact));
            assert!(step == 0 || is_near(of(Function::Recip, value), 1.0 / exact));
            if value > 0.0 {
                assert!(is_near(of(Function::Sqrt, value), exact.sqrt()));
                assert!(is_near(of(Function::Rsqrt, value), 1.0 / exact.sqrt()));
            }
        }
        for function in [Function::Exp, Function::Sigmoid, Function::Gelu] {
            assert!(of(function, f32::NAN).is_nan());
        }
        assert_eq!(of(Function::Sigmoid, f32::NEG_INFINITY), 0.0);
        assert_eq!(of(Function::Gelu, 100.0), 100.0);
        assert_eq!(of(Function::Gelu, -100.0), 0.0);
    }

    #[test]
    fn shares_add_up_along_the_axis() {
        for (outer, len, inner) in [(1, 1, 1), (2, 5, 1), (3, 100, 1), (2, 5, 3), (1, 0, 2)] {
            let along = Along { outer, len, inner };
            let values: Vec<f32> = (0..outer * len * inner)
                .map(|index| (index * 37 % 23) as f32 - 11.0)
                .collect();
            let (mut shares, mut logs) = (values.clone(), values.clone());
            softmax(&mut shares, along, false);
            softmax(&mut logs, along, true);
            for (index, share) in shares.iter().enumerate() {
                let first = index / (len * inner) * len * inner + index % inner;
                let line = values[first..].iter().step_by(inner).take(len);
                let sum: f64 = line.map(|value| f64::from(*value).exp()).sum();
                let expected = f64::from(values[index]).exp() / sum;
                assert!((f64::from(*share) - expected).abs() <= 1e-6 * expected + 1e-30);
                assert!((f64::from(logs[index]) - expected.ln()).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn what_is_masked_has_no_share() {
        let mut row = [f32::NEG_INFINITY, 1.0, 1.0];
        softmax(&mut row, Along::axes(&[3], 0, 0), false);
        assert_eq!(row, [0.0, 0.5, 0.5]);
    }
}
