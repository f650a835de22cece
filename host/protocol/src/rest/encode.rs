//! Lists of tensors, written as JSON, or as JSON and the binary data that follows it.

use std::io::Write as _;

use half::f16;
use serde::Serialize;

use crate::{Datatype, Tensor};

/// A body and, where binary tensors follow the JSON, how many of its bytes are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub body: Vec<u8>,
    pub json_length: Option<usize>,
}

/// Why tensors cannot be written as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error(
        "output `{0}` holds bytes that are not UTF-8 text, which JSON cannot carry; ask for it as \
         binary data"
    )]
    NotText(String),
}

/// Enough for a few numbers and what is said about them.
const ROOM: usize = 512;

/// An object with what is in `head`, itself an object and not empty, and a list of tensors under this key.
pub fn with_tensors(
    head: &impl Serialize,
    key: &str,
    tensors: &[Tensor],
    is_binary: impl Fn(&Tensor) -> bool,
) -> Result<Encoded, EncodeError> {
    let mut body = Vec::with_capacity(ROOM);
    put_json(&mut body, head);
    // Of its two braces the last makes room for what follows.
    body.pop();
    body.push(b',');
    put(&mut body, format_args!(r#""{key}":["#));
    let mut binary = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend(br#"{"name":"#);
        put_json(&mut body, &tensor.name);
        body.extend(br#","datatype":"#);
        put_json(&mut body, &tensor.datatype);
        body.extend(br#","shape":"#);
        put_json(&mut body, &tensor.shape);
        body.push(b',');
        if is_binary(tensor) {
            let size = tensor.data.len();
            put(
                &mut body,
                format_args!(r#""parameters":{{"binary_data_size":{size}}}}}"#),
            );
            binary.push(tensor);
        } else {
            body.extend(br#""data":["#);
            put_elements(&mut body, tensor)?;
            body.extend(b"]}");
        }
    }
    body.extend(b"]}");
    let json_length = (!binary.is_empty()).then_some(body.len());
    for tensor in binary {
        body.extend(&tensor.data);
    }
    Ok(Encoded { body, json_length })
}

fn put(body: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("writing to memory cannot fail");
}

fn put_json<T: Serialize + ?Sized>(body: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(body, value)
        .expect("no map here has keys that are not text, and memory takes what is written");
}

fn put_elements(body: &mut Vec<u8>, tensor: &Tensor) -> Result<(), EncodeError> {
    match tensor.datatype {
        Datatype::Bool => numbers(body, tensor, |body, [byte]: [u8; 1]| {
            put(body, format_args!("{}", byte != 0))
        }),
        Datatype::Uint8 => numbers(body, tensor, |body, bytes| {
            put(body, format_args!("{}", u8::from_le_bytes(bytes)))
        }),
        Datatype::Uint16 => numbers(body, tensor, |body, bytes| {
            put(body, format_args!("{}", u16::from_le_bytes(bytes)))
        }),
        Datatype::Uint32 => numbers(body, tensor, |body, bytes| {
            put(body, format_args!("{}", u32::from_le_bytes(bytes)))
        }),
        Datatype::Uint64 => numbers(body, tensor, |body, bytes| {
            put(body, format_args!("{}", u64::from_le_bytes(bytes)))
        }),
        Datatype::Int8 => numbers(body, tensor, |body, bytes| {
            put(body, format_args!("{}", i8::from_le_bytes(bytes)))
        }),
        Datatype::Int16 => numbers(body, tensor, |body, bytes| {
            put(body, format_args!("{}", i16::from_le_bytes(bytes)))
        }),
        Datatype::Int32 => numbers(body, tensor, |body, bytes| {
            put(body, format_args!("{}", i32::from_le_bytes(bytes)))
        }),
        Datatype::Int64 => numbers(body, tensor, |body, bytes| {
            put(body, format_args!("{}", i64::from_le_bytes(bytes)))
        }),
        Datatype::Fp16 => numbers(body, tensor, |body, bytes| {
            put_float(body, f16::from_le_bytes(bytes).to_f32())
        }),
        Datatype::Fp32 => numbers(body, tensor, |body, bytes| {
            put_float(body, f32::from_le_bytes(bytes))
        }),
        Datatype::Fp64 => numbers(body, tensor, |body, bytes| {
            put_float(body, f64::from_le_bytes(bytes))
        }),
        Datatype::Bytes => return put_strings(body, tensor),
    }
    Ok(())
}

fn numbers<const SIZE: usize>(
    body: &mut Vec<u8>,
    tensor: &Tensor,
    put_number: impl Fn(&mut Vec<u8>, [u8; SIZE]),
) {
    for (index, element) in tensor.data.as_chunks::<SIZE>().0.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        put_number(body, *element);
    }
}

/// The shortest text that reads back as the same number. What JSON has no number for is a string,
/// as in the JSON form of protocol buffers; NumPy reads these back.
fn put_float<F: ryu::Float + Into<f64> + Copy>(body: &mut Vec<u8>, value: F) {
    let wide: f64 = value.into();
    if wide.is_finite() {
        body.extend(ryu::Buffer::new().format_finite(value).as_bytes());
    } else if wide.is_nan() {
        body.extend(br#""NaN""#);
    } else if wide > 0.0 {
        body.extend(br#""Infinity""#);
    } else {
        body.extend(br#""-Infinity""#);
    }
}

fn put_strings(body: &mut Vec<u8>, tensor: &Tensor) -> Result<(), EncodeError> {
    for (index, element) in tensor.bytes_elements().enumerate() {
        let text =
            std::str::from_utf8(element).map_err(|_| EncodeError::NotText(tensor.name.clone()))?;
        if index > 0 {
            body.push(b',');
        }
        put_json(body, text);
    }
    Ok(())
}
