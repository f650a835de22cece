//! A tensor's `data` in JSON, nested or flat, straight into little-endian bytes.

use std::fmt;

use half::f16;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Datatype, Tensor};

/// Reads `data` as a tensor. Flat data is taken for any shape; nested data must be nested as the
/// shape says.
pub fn tensor(
    name: String,
    datatype: Datatype,
    shape: Vec<u64>,
    data: &RawValue,
) -> Result<Tensor, String> {
    let mut bytes = Vec::new();
    let level = Level {
        datatype,
        shape: &shape,
        depth: 0,
        bytes: &mut bytes,
    };
    level
        .deserialize(&mut serde_json::Deserializer::from_str(data.get()))
        .map_err(|error| format!("tensor `{name}`: {error}"))?;
    let tensor = Tensor {
        name,
        datatype,
        shape,
        data: bytes,
    };
    tensor.check().map_err(|error| error.to_string())?;
    Ok(tensor)
}

/// A list at some depth of the nesting, or an element in it.
struct Level<'a> {
    datatype: Datatype,
    shape: &'a [u64],
    depth: usize,
    bytes: &'a mut Vec<u8>,
}

/// What was read: elements, or lists of them.
#[derive(Clone, Copy, PartialEq)]
enum Read {
    Element,
    List,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Read;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.datatype {
            Datatype::Bytes => f.write_str("strings for BYTES"),
            Datatype::Bool => f.write_str("true and false for BOOL"),
            datatype => write!(f, "numbers for {datatype}"),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Read, A::Error> {
        // A scalar may be written as a list of one.
        let rank = self.shape.len().max(1);
        if self.depth >= rank {
            return Err(A::Error::custom(format_args!(
                "data is nested deeper than shape {:?}",
                self.shape
            )));
        }
        let mut count = 0u64;
        let mut kind = None;
        loop {
            let next = Level {
                datatype: self.datatype,
                shape: self.shape,
                depth: self.depth + 1,
                bytes: self.bytes,
            };
            let Some(read) = list.next_element_seed(next)? else {
                break;
            };
            if *kind.get_or_insert(read) != read {
                return Err(A::Error::custom("data mixes elements and lists"));
            }
            count += 1;
        }
        let flat = self.depth == 0 && kind != Some(Read::List);
        let innermost = self.depth + 1 == rank;
        let complete = self.shape.get(self.depth).is_none_or(|&size| size == count);
        if !flat && (!complete || innermost == (kind == Some(Read::List)) && count > 0) {
            return Err(A::Error::custom(format_args!(
                "a list of {count} at depth {} does not fit shape {:?}",
                self.depth, self.shape
            )));
        }
        Ok(Read::List)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Read, E> {
        if self.datatype != Datatype::Bool {
            return Err(E::custom(format_args!(
                "{value} is not a {}",
                self.datatype
            )));
        }
        self.bytes.push(value.into());
        Ok(Read::Element)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Read, E> {
        self.integer(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Read, E> {
        self.integer(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Read, E> {
        match self.datatype {
            Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64 => self.float(value),
            Datatype::Bytes | Datatype::Bool => Err(E::custom(format_args!(
                "{value} is not a {}",
                self.datatype
            ))),
            // 2^63 and more are written without a fraction, so they arrive as integers.
            _ if value.fract() == 0.0 && value.abs() < 9.2e18 => self.integer(value as i128),
            _ => Err(E::custom(format_args!(
                "{value} is not a {}",
                self.datatype
            ))),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Read, E> {
        match (self.datatype, text) {
            (Datatype::Bytes, _) => {
                let length = u32::try_from(text.len())
                    .map_err(|_| E::custom("a string is longer than 4 GiB"))?;
                self.bytes.extend(length.to_le_bytes());
                self.bytes.extend(text.as_bytes());
                Ok(Read::Element)
            }
            (Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64, "NaN") => self.float(f64::NAN),
            (Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64, "Infinity") => {
                self.float(f64::INFINITY)
            }
            (Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64, "-Infinity") => {
                self.float(f64::NEG_INFINITY)
            }
            _ => Err(E::custom(format_args!(
                "{text:?} is not a {}",
                self.datatype
            ))),
        }
    }
}

impl Level<'_> {
    fn integer<E: Error>(self, value: i128) -> Result<Read, E> {
        let stored = match self.datatype {
            Datatype::Bool => (value == 0 || value == 1).then(|| self.bytes.push(value as u8)),
            Datatype::Uint8 => u8::try_from(value).ok().map(|v| self.bytes.push(v)),
            Datatype::Uint16 => u16::try_from(value)
                .ok()
                .map(|v| self.bytes.extend(v.to_le_bytes())),
            Datatype::Uint32 => u32::try_from(value)
                .ok()
                .map(|v| self.bytes.extend(v.to_le_bytes())),
            Datatype::Uint64 => u64::try_from(value)
                .ok()
                .map(|v| self.bytes.extend(v.to_le_bytes())),
            Datatype::Int8 => i8::try_from(value)
                .ok()
                .map(|v| self.bytes.extend(v.to_le_bytes())),
            Datatype::Int16 => i16::try_from(value)
                .ok()
                .map(|v| self.bytes.extend(v.to_le_bytes())),
            Datatype::Int32 => i32::try_from(value)
                .ok()
                .map(|v| self.bytes.extend(v.to_le_bytes())),
            Datatype::Int64 => i64::try_from(value)
                .ok()
                .map(|v| self.bytes.extend(v.to_le_bytes())),
            Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64 => return self.float(value as f64),
            Datatype::Bytes => None,
        };
        stored
            .map(|()| Read::Element)
            .ok_or_else(|| E::custom(format_args!("{value} is not a {}", self.datatype)))
    }

    fn float<E: Error>(self, value: f64) -> Result<Read, E> {
        let fits = match self.datatype {
            Datatype::Fp16 => {
                let half = f16::from_f64(value);
                self.bytes.extend(half.to_le_bytes());
                half.is_infinite() == value.is_infinite()
            }
            Datatype::Fp32 => {
                let single = value as f32;
                self.bytes.extend(single.to_le_bytes());
                single.is_infinite() == value.is_infinite()
            }
            _ => {
                self.bytes.extend(value.to_le_bytes());
                true
            }
        };
        if !fits {
            return Err(E::custom(format_args!(
                "{value:e} is too large for {}",
                self.datatype
            )));
        }
        Ok(Read::Element)
    }
}
