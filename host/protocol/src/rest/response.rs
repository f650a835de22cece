//! The body of an inference response.

use std::io::Write as _;

use half::f16;
use serde_json::{Map, Value, json};

use super::InferRequest;
use crate::{Datatype, Tensor};

/// What a model answered, and which model it was.
#[derive(Clone, Debug, PartialEq)]
pub struct InferResponse {
    pub model_name: String,
    pub model_version: Option<String>,
    pub id: Option<String>,
    pub parameters: Map<String, Value>,
    pub outputs: Vec<Tensor>,
}

/// A body and, where binary tensors follow the JSON, how many of its bytes are JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub body: Vec<u8>,
    pub json_length: Option<usize>,
}

/// Why an answer cannot be written as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    #[error(
        "output `{0}` holds bytes that are not UTF-8 text, which JSON cannot carry; ask for it as \
         binary data"
    )]
    NotText(String),
}

/// Writes a response the way `request` wants each output.
pub fn encode_response(
    response: &InferResponse,
    request: &InferRequest,
) -> Result<Encoded, ResponseError> {
    let mut body = head(response);
    let mut binary = Vec::new();
    for (index, output) in response.outputs.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        let declared = json!([output.name, output.datatype, output.shape]);
        let (name, datatype, shape) = (&declared[0], &declared[1], &declared[2]);
        put(
            &mut body,
            format_args!(r#"{{"name":{name},"datatype":{datatype},"shape":{shape},"#),
        );
        if request.wants_binary(&output.name) {
            let size = output.data.len();
            put(
                &mut body,
                format_args!(r#""parameters":{{"binary_data_size":{size}}}}}"#),
            );
            binary.push(output);
        } else {
            body.extend(br#""data":["#);
            put_elements(&mut body, output)?;
            body.extend(b"]}");
        }
    }
    body.extend(b"]}");
    let json_length = (!binary.is_empty()).then_some(body.len());
    for output in binary {
        body.extend(&output.data);
    }
    Ok(Encoded { body, json_length })
}

/// Everything before the first output.
fn head(response: &InferResponse) -> Vec<u8> {
    let mut fields = Map::new();
    fields.insert("model_name".to_owned(), json!(response.model_name));
    if let Some(version) = &response.model_version {
        fields.insert("model_version".to_owned(), json!(version));
    }
    if let Some(id) = &response.id {
        fields.insert("id".to_owned(), json!(id));
    }
    if !response.parameters.is_empty() {
        fields.insert("parameters".to_owned(), json!(response.parameters));
    }
    let mut head = Value::Object(fields).to_string().into_bytes();
    head.pop();
    head.extend(br#","outputs":["#);
    head
}

fn put(body: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    body.write_fmt(text).expect("writing to memory cannot fail");
}

fn put_elements(body: &mut Vec<u8>, tensor: &Tensor) -> Result<(), ResponseError> {
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

fn put_strings(body: &mut Vec<u8>, tensor: &Tensor) -> Result<(), ResponseError> {
    for (index, element) in tensor.bytes_elements().enumerate() {
        let text = std::str::from_utf8(element)
            .map_err(|_| ResponseError::NotText(tensor.name.clone()))?;
        if index > 0 {
            body.push(b',');
        }
        put(body, format_args!("{}", Value::from(text)));
    }
    Ok(())
}
