//! A tensor as it crosses every boundary: little-endian, row-major bytes.

use crate::datatype::Datatype;

/// A named tensor.
///
/// `data` is little-endian and row-major. `BOOL` is one byte per element, 0 or 1. `BYTES` is, per
/// element, a four-byte little-endian length followed by that many bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    pub datatype: Datatype,
    /// Empty for a scalar, which has one element.
    pub shape: Vec<u64>,
    pub data: Vec<u8>,
}

/// Why bytes are not the tensor they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("tensor `{name}`: the product of shape {shape:?} overflows")]
    ShapeOverflow { name: String, shape: Vec<u64> },
    #[error(
        "tensor `{name}`: {datatype} of shape {shape:?} takes {expected} bytes, got {got} bytes"
    )]
    Length {
        name: String,
        datatype: Datatype,
        shape: Vec<u64>,
        expected: u64,
        got: u64,
    },
    #[error(
        "tensor `{name}`: BYTES element {index} ends beyond the data (lengths are 4-byte little-endian)"
    )]
    TruncatedElement { name: String, index: u64 },
    #[error("tensor `{name}`: shape {shape:?} has {expected} BYTES elements, the data holds {got}")]
    ElementCount {
        name: String,
        shape: Vec<u64>,
        expected: u64,
        got: u64,
    },
    #[error("tensor `{name}`: a BOOL is the byte 0 or 1, element {index} is {value}")]
    NotABool { name: String, index: u64, value: u8 },
}

/// The number of elements of a shape, or `None` where the product overflows `u64`.
pub fn element_count(shape: &[u64]) -> Option<u64> {
    // A zero anywhere makes the tensor empty, even beside dimensions whose product overflows.
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1u64, |count, &dimension| count.checked_mul(dimension))
}

impl Tensor {
    /// Checks that `data` is exactly what `datatype` and `shape` promise.
    pub fn check(&self) -> Result<(), Malformed> {
        let count = element_count(&self.shape).ok_or_else(|| Malformed::ShapeOverflow {
            name: self.name.clone(),
            shape: self.shape.clone(),
        })?;
        match self.datatype.size_bytes() {
            Some(size) => self.check_length(count, size as u64)?,
            None => self.check_elements(count)?,
        }
        if self.datatype == Datatype::Bool {
            self.check_bools()?;
        }
        Ok(())
    }

    /// The name, the shape and, where there are any, the numbers.
    pub fn named_numbers(&self) -> (&str, &[u64], Vec<f64>) {
        (&self.name, &self.shape, self.numbers().unwrap_or_default())
    }

    /// The elements as numbers, row-major; 64-bit integers lose what FP64 cannot hold. `None` for BYTES.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        fn read<const SIZE: usize>(data: &[u8], number: impl Fn([u8; SIZE]) -> f64) -> Vec<f64> {
            let (elements, _) = data.as_chunks::<SIZE>();
            elements.iter().map(|bytes| number(*bytes)).collect()
        }
        let data = &self.data;
        Some(match self.datatype {
            Datatype::Bool | Datatype::Uint8 => {
                read(data, |bytes| f64::from(u8::from_le_bytes(bytes)))
            }
            Datatype::Int8 => read(data, |bytes| f64::from(i8::from_le_bytes(bytes))),
            Datatype::Uint16 => read(data, |bytes| f64::from(u16::from_le_bytes(bytes))),
            Datatype::Int16 => read(data, |bytes| f64::from(i16::from_le_bytes(bytes))),
            Datatype::Uint32 => read(data, |bytes| f64::from(u32::from_le_bytes(bytes))),
            Datatype::Int32 => read(data, |bytes| f64::from(i32::from_le_bytes(bytes))),
            Datatype::Uint64 => read(data, |bytes| u64::from_le_bytes(bytes) as f64),
            Datatype::Int64 => read(data, |bytes| i64::from_le_bytes(bytes) as f64),
            Datatype::Fp16 => read(data, |bytes| half::f16::from_le_bytes(bytes).to_f64()),
            Datatype::Fp32 => read(data, |bytes| f64::from(f32::from_le_bytes(bytes))),
            Datatype::Fp64 => read(data, f64::from_le_bytes),
            Datatype::Bytes => return None,
        })
    }

    /// A tensor of floats; each value becomes the nearest that `datatype` has. `None` where that is
    /// none of FP16, FP32 and FP64.
    pub fn of_floats(
        name: String,
        datatype: Datatype,
        shape: Vec<u64>,
        values: &[f64],
    ) -> Option<Tensor> {
        let values = values.iter();
        let data = match datatype {
            Datatype::Fp16 => values
                .flat_map(|value| half::f16::from_f64(*value).to_le_bytes())
                .collect(),
            Datatype::Fp32 => values
                .flat_map(|value| (*value as f32).to_le_bytes())
                .collect(),
            Datatype::Fp64 => values.flat_map(|value| value.to_le_bytes()).collect(),
            _ => return None,
        };
        Some(Tensor {
            name,
            datatype,
            shape,
            data,
        })
    }

    /// The bytes of each element, those of `BYTES` with their length.
    pub fn elements(&self) -> Vec<&[u8]> {
        match self.datatype.size_bytes() {
            Some(size) => self.data.chunks(size).collect(),
            None => {
                let lengths = self.bytes_elements().map(|element| 4 + element.len());
                let mut rest = self.data.as_slice();
                let take = |length| {
                    let (element, tail) = rest.split_at(length);
                    rest = tail;
                    element
                };
                lengths.map(take).collect()
            }
        }
    }

    /// The elements of a `BYTES` tensor; stops early where the data is malformed.
    pub fn bytes_elements(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.data.as_slice();
        std::iter::from_fn(move || {
            let (element, tail) = split_element(rest)?;
            rest = tail;
            Some(element)
        })
    }

    fn check_length(&self, count: u64, size: u64) -> Result<(), Malformed> {
        let expected = count
            .checked_mul(size)
            .ok_or_else(|| Malformed::ShapeOverflow {
                name: self.name.clone(),
                shape: self.shape.clone(),
            })?;
        let got = self.data.len() as u64;
        if expected == got {
            return Ok(());
        }
        Err(Malformed::Length {
            name: self.name.clone(),
            datatype: self.datatype,
            shape: self.shape.clone(),
            expected,
            got,
        })
    }

    fn check_elements(&self, expected: u64) -> Result<(), Malformed> {
        let mut rest = self.data.as_slice();
        let mut got = 0;
        while !rest.is_empty() {
            (_, rest) = split_element(rest).ok_or_else(|| Malformed::TruncatedElement {
                name: self.name.clone(),
                index: got,
            })?;
            got += 1;
        }
        if expected == got {
            return Ok(());
        }
        Err(Malformed::ElementCount {
            name: self.name.clone(),
            shape: self.shape.clone(),
            expected,
            got,
        })
    }

    fn check_bools(&self) -> Result<(), Malformed> {
        match self.data.iter().position(|&byte| byte > 1) {
            None => Ok(()),
            Some(index) => Err(Malformed::NotABool {
                name: self.name.clone(),
                index: index as u64,
                value: self.data[index],
            }),
        }
    }
}

/// The first length-prefixed element of `data` and what follows it.
pub fn split_element(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_and_read() {
        let values = [0.5, -1.25, f64::INFINITY];
        for datatype in [Datatype::Fp16, Datatype::Fp32, Datatype::Fp64] {
            let tensor = Tensor::of_floats("x".to_owned(), datatype, vec![3], &values).unwrap();
            tensor.check().unwrap();
            assert_eq!(tensor.numbers().unwrap(), values);
            assert_eq!(tensor.elements().concat(), tensor.data);
        }
        assert_eq!(
            Tensor::of_floats("x".to_owned(), Datatype::Int8, vec![], &[]),
            None
        );
    }

    #[test]
    fn elements_of_bytes_keep_their_length() {
        let tensor = Tensor {
            name: "x".to_owned(),
            datatype: Datatype::Bytes,
            shape: vec![3],
            data: vec![1, 0, 0, 0, b'a', 0, 0, 0, 0, 2, 0, 0, 0, b'b', b'c'],
        };
        let elements = tensor.elements();
        assert_eq!(
            elements,
            [&[1, 0, 0, 0, b'a'][..], &[0; 4], &[2, 0, 0, 0, b'b', b'c']]
        );
    }
}
