//! Whether two tensors say the same, for golden cases.

use half::f16;

use crate::{Datatype, Tensor};

/// How far floating-point elements may be from what is expected.
const RELATIVE: f64 = 1e-4;
const ABSOLUTE: f64 = 1e-5;

/// Where a tensor differs from the expected one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Difference {
    #[error("`{name}`: {expected} is expected, got {got}")]
    Datatype {
        name: String,
        expected: Datatype,
        got: Datatype,
    },
    #[error("`{name}`: shape {expected:?} is expected, got {got:?}")]
    Shape {
        name: String,
        expected: Vec<u64>,
        got: Vec<u64>,
    },
    #[error("`{name}`: element {index} should be {expected}, got {got}")]
    Float {
        name: String,
        index: usize,
        expected: f64,
        got: f64,
    },
    #[error("`{name}`: the data differ from byte {byte} on")]
    Exact { name: String, byte: usize },
}

impl Tensor {
    /// Compares `got` with this expected tensor. Floating-point elements may differ by 1e-4
    /// relative or 1e-5 absolute, NaN equals NaN; everything else must be equal. Names are not
    /// compared.
    pub fn agrees_with(&self, got: &Tensor) -> Result<(), Difference> {
        let name = self.name.clone();
        if self.datatype != got.datatype {
            let (expected, got) = (self.datatype, got.datatype);
            return Err(Difference::Datatype {
                name,
                expected,
                got,
            });
        }
        if self.shape != got.shape {
            let (expected, got) = (self.shape.clone(), got.shape.clone());
            return Err(Difference::Shape {
                name,
                expected,
                got,
            });
        }
        match self.datatype {
            Datatype::Fp16 => self.compare(got, |bytes| f16::from_le_bytes(bytes).to_f64()),
            Datatype::Fp32 => self.compare(got, |bytes| f64::from(f32::from_le_bytes(bytes))),
            Datatype::Fp64 => self.compare(got, f64::from_le_bytes),
            _ => match self.data.iter().zip(&got.data).position(|(a, b)| a != b) {
                None if self.data.len() == got.data.len() => Ok(()),
                byte => Err(Difference::Exact {
                    name,
                    byte: byte.unwrap_or(self.data.len().min(got.data.len())),
                }),
            },
        }
    }

    fn compare<const SIZE: usize>(
        &self,
        got: &Tensor,
        read: impl Fn([u8; SIZE]) -> f64,
    ) -> Result<(), Difference> {
        let (expected, _) = self.data.as_chunks::<SIZE>();
        let (actual, _) = got.data.as_chunks::<SIZE>();
        for (index, (expected, got)) in expected.iter().zip(actual).enumerate() {
            let (expected, got) = (read(*expected), read(*got));
            if !close(expected, got) {
                let name = self.name.clone();
                return Err(Difference::Float {
                    name,
                    index,
                    expected,
                    got,
                });
            }
        }
        Ok(())
    }
}

fn close(expected: f64, got: f64) -> bool {
    expected == got
        || (expected.is_nan() && got.is_nan())
        || (expected - got).abs() <= ABSOLUTE.max(RELATIVE * expected.abs()) && expected.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Tensor {
        Tensor {
            name: "x".to_owned(),
            datatype: Datatype::Fp32,
            shape: vec![values.len() as u64],
            data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    #[test]
    fn close_floats_agree_and_far_ones_do_not() {
        let expected = floats(&[1000.0, 0.0, f32::NAN, f32::INFINITY]);
        expected
            .agrees_with(&floats(&[1000.05, 5e-6, f32::NAN, f32::INFINITY]))
            .unwrap();
        for (index, far) in [
            (0, [1000.2, 0.0, f32::NAN, f32::INFINITY]),
            (1, [1000.0, 2e-5, f32::NAN, f32::INFINITY]),
            (2, [1000.0, 0.0, 0.0, f32::INFINITY]),
            (3, [1000.0, 0.0, f32::NAN, f32::NEG_INFINITY]),
            (3, [1000.0, 0.0, f32::NAN, 1e30]),
        ] {
            match expected.agrees_with(&floats(&far)) {
                Err(Difference::Float { index: at, .. }) => assert_eq!(at, index),
                other => panic!("{far:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn integers_and_strings_must_be_equal() {
        let label = |data: &[u8]| Tensor {
            name: "label".to_owned(),
            datatype: Datatype::Bytes,
            shape: vec![1],
            data: data.to_vec(),
        };
        let expected = label(b"\x02\0\0\0ab");
        expected.agrees_with(&label(b"\x02\0\0\0ab")).unwrap();
        let difference = expected.agrees_with(&label(b"\x02\0\0\0ac")).unwrap_err();
        assert_eq!(
            difference.to_string(),
            "`label`: the data differ from byte 5 on"
        );
        assert!(expected.agrees_with(&label(b"\x03\0\0\0abc")).is_err());
    }
}
