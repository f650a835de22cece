//! Lists of tensors, read from JSON and from the binary data that follows it.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::data;
use crate::datatype::UnknownDatatype;
use crate::tensor::Malformed;
use crate::{Datatype, Tensor};

/// Why a body is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("{}", unreadable(.0))]
    Json(#[from] serde_json::Error),
    #[error(
        "Inference-Header-Content-Length says {header} bytes of JSON, the body has {body} bytes"
    )]
    HeaderLength { header: usize, body: usize },
    #[error("tensor `{name}`: {source}")]
    Datatype {
        name: String,
        source: UnknownDatatype,
    },
    #[error("tensor `{name}`: shape {shape:?} has a negative dimension")]
    NegativeDimension { name: String, shape: Vec<i64> },
    #[error("{0}")]
    Data(String),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("tensor `{name}` has neither `data` nor a `binary_data_size` parameter")]
    NoData { name: String },
    #[error("tensor `{name}` has both `data` and a `binary_data_size` parameter")]
    TwiceData { name: String },
    #[error("tensor `{name}` takes {wanted} bytes of binary data, {left} are left in the body")]
    TooFewBytes {
        name: String,
        wanted: u64,
        left: usize,
    },
    #[error("{0} bytes follow the last binary tensor")]
    LeftoverBytes(usize),
    #[error("raw binary requests are for models of one input with at most one open dimension")]
    NotRaw,
    #[error("parameter `{parameter}` of `{tensor}` is not supported: {instead}")]
    Unsupported {
        tensor: String,
        parameter: &'static str,
        instead: &'static str,
    },
}

impl DecodeError {
    /// Whether it asks for something that exists, but not here.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, DecodeError::Unsupported { .. })
    }
}

/// Why a body cannot be read: it is no JSON, or JSON that says something else.
pub fn unreadable(error: &serde_json::Error) -> String {
    match error.is_data() {
        true => format!("the body is JSON of another form: {error}"),
        false => format!("the body is not valid JSON: {error}"),
    }
}

/// A tensor as it stands in the JSON.
#[derive(Deserialize)]
#[serde(expecting = "a tensor with `name`, `shape`, `datatype` and `data`")]
pub struct TensorJson<'a> {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// The JSON of a body, and the binary data behind it.
pub fn split(body: &[u8], json_length: Option<usize>) -> Result<(&[u8], &[u8]), DecodeError> {
    let header = json_length.unwrap_or(body.len());
    body.split_at_checked(header)
        .ok_or(DecodeError::HeaderLength {
            header,
            body: body.len(),
        })
}

/// All tensors of a list, which take all of the binary data.
pub fn decode_all(
    tensors: Vec<TensorJson<'_>>,
    mut binary: &[u8],
) -> Result<Vec<Tensor>, DecodeError> {
    let mut decoded = Vec::new();
    for tensor in tensors {
        decoded.push(decode(tensor, &mut binary)?);
    }
    if !binary.is_empty() {
        return Err(DecodeError::LeftoverBytes(binary.len()));
    }
    Ok(decoded)
}

fn decode(tensor: TensorJson<'_>, binary: &mut &[u8]) -> Result<Tensor, DecodeError> {
    let name = tensor.name;
    let parameters = tensor.parameters.unwrap_or_default();
    refuse_shared_memory(&name, &parameters)?;
    let datatype: Datatype = match tensor.datatype.parse() {
        Ok(datatype) => datatype,
        Err(source) => return Err(DecodeError::Datatype { name, source }),
    };
    let shape: Option<Vec<u64>> = tensor
        .shape
        .iter()
        .map(|&size| u64::try_from(size).ok())
        .collect();
    let Some(shape) = shape else {
        let shape = tensor.shape;
        return Err(DecodeError::NegativeDimension { name, shape });
    };
    let size = parameters.get("binary_data_size").and_then(Value::as_u64);
    match (tensor.data, size) {
        (Some(_), Some(_)) => Err(DecodeError::TwiceData { name }),
        (None, None) => Err(DecodeError::NoData { name }),
        (Some(data), None) => data::tensor(name, datatype, shape, data).map_err(DecodeError::Data),
        (None, Some(wanted)) => {
            let data = take(binary, wanted).ok_or_else(|| DecodeError::TooFewBytes {
                name: name.clone(),
                wanted,
                left: binary.len(),
            })?;
            let data = data.to_vec();
            let tensor = Tensor {
                name,
                datatype,
                shape,
                data,
            };
            tensor.check()?;
            Ok(tensor)
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
    *bytes = rest;
    Some(taken)
}

pub fn refuse_shared_memory(
    tensor: &str,
    parameters: &Map<String, Value>,
) -> Result<(), DecodeError> {
    if !parameters.contains_key("shared_memory_region") {
        return Ok(());
    }
    Err(DecodeError::Unsupported {
        tensor: tensor.to_owned(),
        parameter: "shared_memory_region",
        instead: "send the data in the request",
    })
}
