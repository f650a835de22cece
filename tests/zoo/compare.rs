//! Whether a model's answer is ONNX Runtime's.

use modelet_protocol::{Datatype, Tensor};

/// Scores below this are as far from one another as they would be at it: they are what is left of a
/// difference of larger numbers.
const SMALLEST: f64 = 0.1;

/// Names, datatypes and shapes must be equal, and so must everything that is no score. A score may be
/// `relative` away, of itself or of the median score of its output, whichever is larger.
pub fn all(expected: &[Tensor], got: &[Tensor], relative: f64) -> Result<(), String> {
    if expected.len() != got.len() {
        return Err(format!(
            "{} outputs instead of {}",
            got.len(),
            expected.len()
        ));
    }
    expected
        .iter()
        .zip(got)
        .try_for_each(|(expected, got)| one(expected, got, relative))
}

fn one(expected: &Tensor, got: &Tensor, relative: f64) -> Result<(), String> {
    let kind = |tensor: &Tensor| {
        let Tensor {
            name,
            datatype,
            shape,
            ..
        } = tensor;
        format!("`{name}` {datatype}{shape:?}")
    };
    if kind(expected) != kind(got) {
        return Err(format!("{} instead of {}", kind(got), kind(expected)));
    }
    if !matches!(expected.datatype, Datatype::Fp32 | Datatype::Fp64) {
        return match expected.data == got.data {
            true => Ok(()),
            false => Err(format!("`{}` has other labels", expected.name)),
        };
    }
    let wanted = expected.numbers().unwrap();
    let numbers = got.numbers().unwrap();
    let scale = median(&wanted).max(SMALLEST);
    for (wanted, number) in wanted.into_iter().zip(numbers) {
        if !close(wanted, number, relative, scale) {
            let name = &expected.name;
            return Err(format!("`{name}` has {number} instead of {wanted}"));
        }
    }
    Ok(())
}

fn close(wanted: f64, number: f64, relative: f64, scale: f64) -> bool {
    if wanted.is_nan() || number.is_nan() {
        return wanted.is_nan() && number.is_nan();
    }
    // Infinities are close to nothing but themselves.
    wanted == number
        || wanted.is_finite() && (wanted - number).abs() <= relative * wanted.abs().max(scale)
}

/// Of the magnitudes of the finite ones.
fn median(numbers: &[f64]) -> f64 {
    let finite = numbers.iter().filter(|number| number.is_finite());
    let mut magnitudes: Vec<f64> = finite.map(|number| number.abs()).collect();
    magnitudes.sort_unstable_by(f64::total_cmp);
    magnitudes.get(magnitudes.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: &[f32]) -> Tensor {
        Tensor {
            name: "scores".to_owned(),
            datatype: Datatype::Fp32,
            shape: vec![values.len() as u64],
            data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    #[test]
    fn scores_may_differ_a_little_and_labels_not_at_all() {
        let expected = [scores(&[100.0, 0.0, f32::NAN, f32::INFINITY])];
        let compare = |got| all(&expected, &[scores(got)], 1e-5);
        compare(&[100.0005, 5e-6, f32::NAN, f32::INFINITY]).unwrap();
        compare(&[100.002, 0.0, f32::NAN, f32::INFINITY]).unwrap_err();
        compare(&[100.0, 0.0, 0.0, f32::INFINITY]).unwrap_err();
        compare(&[100.0, 0.0, f32::NAN, f32::NEG_INFINITY]).unwrap_err();
        compare(&[100.0, 0.0, f32::NAN, 1e30]).unwrap_err();
        let label = |value: i64, datatype| Tensor {
            datatype,
            shape: vec![1],
            data: value.to_le_bytes().to_vec(),
            ..scores(&[])
        };
        let one_label = [label(1, Datatype::Int64)];
        all(&one_label, &one_label, 1e-5).unwrap();
        all(&one_label, &[label(2, Datatype::Int64)], 1e-5).unwrap_err();
        all(&one_label, &[label(1, Datatype::Uint64)], 1e-5).unwrap_err();
    }
}
