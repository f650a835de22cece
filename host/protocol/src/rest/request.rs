//! The body of an inference request.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::data;
use super::lenient::quote_non_finite;
use crate::datatype::UnknownDatatype;
use crate::tensor::Malformed;
use crate::{Datatype, Dimension, Signature, Tensor};

/// A decoded request. Its tensors are what they claim to be; whether the model takes them is not
/// checked here.
#[derive(Clone, Debug, PartialEq)]
pub struct InferRequest {
    pub id: Option<String>,
    pub parameters: Map<String, Value>,
    pub inputs: Vec<Tensor>,
    /// The wanted outputs; empty means all.
    pub outputs: Vec<RequestedOutput>,
    /// Outputs that do not say otherwise are wanted as binary tensors.
    pub binary_data_output: bool,
}

/// An output that the caller asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedOutput {
    pub name: String,
    /// Binary or JSON; `None` leaves it to the request.
    pub binary_data: Option<bool>,
}

/// Why a body is not an inference request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("the request is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "Inference-Header-Content-Length says {header} bytes of JSON, the body has {body} bytes"
    )]
    HeaderLength { header: usize, body: usize },
    #[error("input `{name}`: {source}")]
    Datatype {
        name: String,
        source: UnknownDatatype,
    },
    #[error("input `{name}`: shape {shape:?} has a negative dimension")]
    NegativeDimension { name: String, shape: Vec<i64> },
    #[error("{0}")]
    Data(String),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("input `{name}` has neither `data` nor a `binary_data_size` parameter")]
    NoData { name: String },
    #[error("input `{name}` has both `data` and a `binary_data_size` parameter")]
    TwiceData { name: String },
    #[error("input `{name}` takes {wanted} bytes of binary data, {left} are left in the body")]
    TooFewBytes {
        name: String,
        wanted: u64,
        left: usize,
    },
    #[error("{0} bytes follow the last binary input")]
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

impl RequestError {
    /// Whether the request is of a kind that exists, but not here.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, RequestError::Unsupported { .. })
    }
}

#[derive(Deserialize)]
struct RequestJson<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(borrow)]
    inputs: Vec<InputJson<'a>>,
    #[serde(default)]
    outputs: Option<Vec<OutputJson>>,
}

#[derive(Deserialize)]
struct InputJson<'a> {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OutputJson {
    name: String,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
}

/// Decodes a body. `json_length` is the value of [`super::HEADER_LENGTH`]: `None` means that all of
/// it is JSON, and 0 that all of it is the one input of `signature`.
pub fn decode_request(
    body: &[u8],
    json_length: Option<usize>,
    signature: &Signature,
) -> Result<InferRequest, RequestError> {
    if json_length == Some(0) {
        return raw(body, signature);
    }
    let header = json_length.unwrap_or(body.len());
    let (json, binary) = body
        .split_at_checked(header)
        .ok_or(RequestError::HeaderLength {
            header,
            body: body.len(),
        })?;
    match decode_json(json, binary) {
        Err(RequestError::Json(error)) => match quote_non_finite(json) {
            std::borrow::Cow::Owned(quoted) => decode_json(&quoted, binary),
            std::borrow::Cow::Borrowed(_) => Err(error.into()),
        },
        decoded => decoded,
    }
}

impl InferRequest {
    /// Whether the caller wants this output as a binary tensor.
    pub fn wants_binary(&self, output: &str) -> bool {
        self.outputs
            .iter()
            .find(|requested| requested.name == output)
            .and_then(|requested| requested.binary_data)
            .unwrap_or(self.binary_data_output)
    }

    /// The names of the wanted outputs; empty means all.
    pub fn output_names(&self) -> Vec<String> {
        self.outputs
            .iter()
            .map(|output| output.name.clone())
            .collect()
    }
}

fn decode_json(json: &[u8], mut binary: &[u8]) -> Result<InferRequest, RequestError> {
    let request: RequestJson<'_> = serde_json::from_slice(json)?;
    let mut inputs = Vec::new();
    for input in request.inputs {
        inputs.push(decode_input(input, &mut binary)?);
    }
    if !binary.is_empty() {
        return Err(RequestError::LeftoverBytes(binary.len()));
    }
    let mut outputs = Vec::new();
    for output in request.outputs.unwrap_or_default() {
        outputs.push(decode_output(output)?);
    }
    let parameters = request.parameters.unwrap_or_default();
    Ok(InferRequest {
        id: request.id,
        binary_data_output: flag(&parameters, "binary_data_output").unwrap_or(false),
        parameters,
        inputs,
        outputs,
    })
}

fn decode_input(input: InputJson<'_>, binary: &mut &[u8]) -> Result<Tensor, RequestError> {
    let name = input.name;
    let parameters = input.parameters.unwrap_or_default();
    refuse_shared_memory(&name, &parameters)?;
    let datatype: Datatype = match input.datatype.parse() {
        Ok(datatype) => datatype,
        Err(source) => return Err(RequestError::Datatype { name, source }),
    };
    let shape: Option<Vec<u64>> = input
        .shape
        .iter()
        .map(|&size| u64::try_from(size).ok())
        .collect();
    let Some(shape) = shape else {
        let shape = input.shape;
        return Err(RequestError::NegativeDimension { name, shape });
    };
    let size = parameters.get("binary_data_size").and_then(Value::as_u64);
    match (input.data, size) {
        (Some(_), Some(_)) => Err(RequestError::TwiceData { name }),
        (None, None) => Err(RequestError::NoData { name }),
        (Some(data), None) => data::tensor(name, datatype, shape, data).map_err(RequestError::Data),
        (None, Some(wanted)) => {
            let data = take(binary, wanted).ok_or_else(|| RequestError::TooFewBytes {
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

fn decode_output(output: OutputJson) -> Result<RequestedOutput, RequestError> {
    let parameters = output.parameters.unwrap_or_default();
    refuse_shared_memory(&output.name, &parameters)?;
    if parameters
        .get("classification")
        .is_some_and(|value| value.as_u64() != Some(0))
    {
        return Err(RequestError::Unsupported {
            tensor: output.name,
            parameter: "classification",
            instead: "take the scores and choose the largest",
        });
    }
    Ok(RequestedOutput {
        name: output.name,
        binary_data: flag(&parameters, "binary_data"),
    })
}

fn refuse_shared_memory(tensor: &str, parameters: &Map<String, Value>) -> Result<(), RequestError> {
    if !parameters.contains_key("shared_memory_region") {
        return Ok(());
    }
    Err(RequestError::Unsupported {
        tensor: tensor.to_owned(),
        parameter: "shared_memory_region",
        instead: "send the data in the request",
    })
}

fn flag(parameters: &Map<String, Value>, name: &str) -> Option<bool> {
    parameters.get(name).and_then(Value::as_bool)
}

/// The whole body is the data of the model's only input; its open dimension follows from the size.
fn raw(body: &[u8], signature: &Signature) -> Result<InferRequest, RequestError> {
    let [spec] = signature.inputs.as_slice() else {
        return Err(RequestError::NotRaw);
    };
    let open = spec
        .shape
        .iter()
        .filter(|dimension| matches!(dimension, Dimension::Symbolic(_)));
    let fixed = spec
        .shape
        .iter()
        .try_fold(1u64, |product, dimension| match dimension {
            Dimension::Fixed(size) => product.checked_mul(*size),
            Dimension::Symbolic(_) => Some(product),
        });
    let (Some(fixed), true) = (fixed, open.count() <= 1) else {
        return Err(RequestError::NotRaw);
    };
    // One element of BYTES is the whole body; how many there are cannot be told from the size.
    let size = spec.datatype.size_bytes().ok_or(RequestError::NotRaw)? as u64;
    let open_size = match fixed.saturating_mul(size) {
        0 => 0,
        row => body.len() as u64 / row,
    };
    let tensor = Tensor {
        name: spec.name.clone(),
        datatype: spec.datatype,
        shape: spec
            .shape
            .iter()
            .map(|dimension| match dimension {
                Dimension::Fixed(size) => *size,
                Dimension::Symbolic(_) => open_size,
            })
            .collect(),
        data: body.to_vec(),
    };
    tensor.check()?;
    Ok(InferRequest {
        id: None,
        parameters: Map::new(),
        inputs: vec![tensor],
        outputs: Vec::new(),
        binary_data_output: true,
    })
}
