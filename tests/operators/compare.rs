//! Whether outputs are what was expected.

use modelet_engine::{Datatype, Tensor};

/// That of ONNX's own runner.
const RELATIVE: f64 = 1e-3;
/// One unit in the last place of a half is 1e-3 already.
const RELATIVE_HALF: f64 = 2e-3;
/// ONNX's runner allows 1e-7, which is the rounding of sums near zero: it would pass on one machine
/// and fail on another.
const ABSOLUTE: f64 = 1e-5;

/// Datatypes, shapes and values must agree; integers, booleans and texts exactly.
pub fn all(outputs: &[Tensor], expected: &[Tensor]) -> Result<(), String> {
    if outputs.len() != expected.len() {
        return Err(format!(
            "{} outputs instead of {}",
            outputs.len(),
            expected.len()
        ));
    }
    outputs
        .iter()
        .zip(expected)
        .try_for_each(|(output, expected)| one(output, expected))
}

fn one(output: &Tensor, expected: &Tensor) -> Result<(), String> {
    if output.datatype != expected.datatype {
        return Err(format!(
            "{:?} instead of {:?}",
            output.datatype, expected.datatype
        ));
    }
    if output.shape != expected.shape {
        return Err(format!(
            "shape {:?} instead of {:?}",
            output.shape, expected.shape
        ));
    }
    let relative = if output.datatype == Datatype::Fp16 {
        RELATIVE_HALF
    } else {
        RELATIVE
    };
    let agree = match (floats(output), floats(expected)) {
        (Some(output), Some(expected)) => {
            let close = |(&a, &b): (&f64, &f64)| close(a, b, relative);
            output.len() == expected.len() && output.iter().zip(&expected).all(close)
        }
        _ => output.data == expected.data,
    };
    if agree {
        Ok(())
    } else {
        Err("other values".to_owned())
    }
}

fn floats(tensor: &Tensor) -> Option<Vec<f64>> {
    let data = &tensor.data;
    match tensor.datatype {
        Datatype::Fp16 => Some(elements(data, |bytes| {
            half::f16::from_le_bytes(bytes).to_f64()
        })),
        Datatype::Fp32 => Some(elements(data, |bytes| f64::from(f32::from_le_bytes(bytes)))),
        Datatype::Fp64 => Some(elements(data, f64::from_le_bytes)),
        _ => None,
    }
}

fn elements<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (elements, _) = data.as_chunks::<N>();
    elements.iter().map(|&bytes| read(bytes)).collect()
}

fn close(output: f64, expected: f64, relative: f64) -> bool {
    if output.is_nan() || expected.is_nan() {
        return output.is_nan() == expected.is_nan();
    }
    // Infinities are close to nothing but themselves.
    output == expected
        || (output - expected).abs() <= ABSOLUTE + relative * expected.abs() && expected.is_finite()
}
