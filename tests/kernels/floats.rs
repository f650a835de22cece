//! What is done to each value, and one value of many, beside the same one by one: lengths around those of a vector and of
//! what is taken in one step, and what is no number at each place.

use modelet_kernels::floats::elementwise::Operator;
use modelet_kernels::floats::function::{Function, softmax};
use modelet_kernels::floats::layout::downsample;
use modelet_kernels::floats::reduction::{Along, Reduction};

use crate::draws::{Draws, agree};

const LENGTHS: [usize; 14] = [0, 1, 3, 4, 5, 15, 16, 17, 20, 63, 64, 65, 79, 200];

pub fn check() -> Result<String, String> {
    let mut draws = Draws(5);
    let mut cases = 0;
    for len in LENGTHS {
        // Behind the last one there is no number at all.
        for wrong in [0, len / 2, len.saturating_sub(1), len] {
            let mut values = draws.many(len);
            if let Some(value) = values.get_mut(wrong) {
                *value = f32::NAN;
            }
            operators(&values, &draws.many(len))?;
            operators(&draws.many(len), &values)?;
            functions(&values)?;
            reductions(&values)?;
            shares(&values)?;
            some(&values)?;
            cases += 1;
        }
    }
    Ok(format!("{cases} rows"))
}

fn same(what: &str, at: usize, got: f32, expected: f32) -> Result<(), String> {
    let is_right = (got.is_nan() && expected.is_nan()) || got == expected || agree(got, expected);
    match is_right {
        true => Ok(()),
        false => Err(format!("{what}, at {at}: {got}, not {expected}")),
    }
}

/// As `f32::max`, but what is no number stays none.
fn greater(value: f32, other: f32) -> f32 {
    match value.is_nan() || other.is_nan() {
        true => f32::NAN,
        false => value.max(other),
    }
}

fn operators(values: &[f32], others: &[f32]) -> Result<(), String> {
    for operator in [
        Operator::Add,
        Operator::Sub,
        Operator::Mul,
        Operator::Div,
        Operator::Max,
        Operator::Min,
    ] {
        let plainly = |value: f32, other: f32| match operator {
            Operator::Add => value + other,
            Operator::Sub => value - other,
            Operator::Mul => value * other,
            Operator::Div => value / other,
            Operator::Max => greater(value, other),
            Operator::Min => -greater(-value, -other),
        };
        let shape = [values.len()];
        let (mut by_many, mut by_one) = (values.to_vec(), values.to_vec());
        let one = others.first().copied().unwrap_or(1.0);
        operator.apply(&mut by_many, &shape, others, &shape);
        operator.apply(&mut by_one, &shape, &[one], &[1]);
        for (at, value) in values.iter().enumerate() {
            let what = format!("{operator:?} of {}", values.len());
            same(&what, at, by_many[at], plainly(*value, others[at]))?;
            same(&what, at, by_one[at], plainly(*value, one))?;
        }
    }
    Ok(())
}

fn functions(values: &[f32]) -> Result<(), String> {
    for function in [
        Function::Square,
        Function::Sqrt,
        Function::Recip,
        Function::Rsqrt,
        Function::Exp,
        Function::Sigmoid,
        Function::Gelu,
    ] {
        for scale in [1.0, 30.0, 100.0] {
            let values: Vec<f32> = values.iter().map(|value| value * scale).collect();
            let mut got = values.clone();
            function.apply(&mut got);
            for (at, value) in values.into_iter().enumerate() {
                let sum = 0.797_884_6 * (value + 0.044_715 * value.powi(3));
                let expected = match function {
                    Function::Square => value * value,
                    Function::Sqrt => value.sqrt(),
                    Function::Recip => value.recip(),
                    Function::Rsqrt => value.sqrt().recip(),
                    Function::Exp => value.exp(),
                    Function::Sigmoid => (1.0 + (-value).exp()).recip(),
                    Function::Gelu => 0.5 * value * (1.0 + sum.tanh()),
                };
                same(&format!("{function:?} of {value}"), at, got[at], expected)?;
            }
        }
    }
    Ok(())
}

fn reductions(values: &[f32]) -> Result<(), String> {
    let along = Along::axes(&[values.len()], 0, 0);
    let count = values.len() as f32;
    let most = |sign: f32| {
        let signed = values.iter().map(|value| sign * value);
        sign * signed.fold(f32::NEG_INFINITY, greater)
    };
    let squares = values.iter().map(|value| value * value);
    for (reduction, expected) in [
        (Reduction::Sum, values.iter().sum()),
        (Reduction::MeanOfSquares, squares.sum::<f32>() / count),
        (Reduction::Max, most(1.0)),
        (Reduction::Min, most(-1.0)),
    ] {
        let mut got = [7.0];
        reduction.write(values, along, &mut got);
        same(&format!("{reduction:?}"), values.len(), got[0], expected)?;
    }
    Ok(())
}

fn shares(values: &[f32]) -> Result<(), String> {
    let along = Along::axes(&[values.len()], 0, 0);
    let (mut got, mut logs) = (values.to_vec(), values.to_vec());
    softmax(&mut got, along, false);
    softmax(&mut logs, along, true);
    let sum: f32 = values.iter().map(|value| value.exp()).sum();
    for (at, value) in values.iter().enumerate() {
        same("softmax", at, got[at], value.exp() / sum)?;
        same("its logarithm", at, logs[at], value - sum.ln())?;
    }
    Ok(())
}

fn some(values: &[f32]) -> Result<(), String> {
    let along = Along::axes(&[values.len()], 0, 0);
    for step in 1..4 {
        let plainly: Vec<f32> = values.iter().copied().step_by(step).collect();
        let mut got = vec![7.0; plainly.len()];
        downsample(values, along, 0, step, &mut got);
        for (at, expected) in plainly.into_iter().enumerate() {
            same(&format!("every {step}"), at, got[at], expected)?;
        }
    }
    Ok(())
}
