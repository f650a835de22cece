//! The body of an inference request.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::decode::{DecodeError, TensorJson, decode_all, refuse_shared_memory, split};
use super::encode::{EncodeError, Encoded, with_tensors};
use super::lenient::quote_non_finite;
use crate::{Datatype, Dimension, Signature, Tensor};

/// JSON of more bytes of data than this is slow to read; every server that speaks the protocol reads
/// JSON.
const BINARY_FROM_BYTES: usize = 64 << 10;

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

#[derive(Deserialize)]
#[serde(expecting = "an object with `inputs`")]
struct RequestJson<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(borrow)]
    inputs: Vec<TensorJson<'a>>,
    #[serde(default)]
    outputs: Option<Vec<OutputJson>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an output with a `name`")]
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
) -> Result<InferRequest, DecodeError> {
    if json_length == Some(0) {
        return raw(body, signature);
    }
    let (json, binary) = split(body, json_length)?;
    match decode_json(json, binary) {
        Err(DecodeError::Json(error)) => match quote_non_finite(json) {
            std::borrow::Cow::Owned(quoted) => decode_json(&quoted, binary),
            std::borrow::Cow::Borrowed(_) => Err(error.into()),
        },
        decoded => decoded,
    }
}

/// Writes a request for another server: JSON, which every server reads, where JSON can carry the
/// tensors and they are small. `outputs` are those that are wanted, all if there are none, and
/// `timeout` is what the caller allows, in microseconds.
pub fn encode_request(
    id: &str,
    timeout: u64,
    inputs: &[Tensor],
    outputs: &[String],
) -> Result<Encoded, EncodeError> {
    let size: usize = inputs.iter().map(|input| input.data.len()).sum();
    let is_binary = size > BINARY_FROM_BYTES || inputs.iter().any(needs_binary);
    let mut head = json!({"parameters": {"timeout": timeout}});
    if !id.is_empty() {
        head["id"] = id.into();
    }
    if is_binary {
        head["parameters"]["binary_data_output"] = true.into();
    }
    if !outputs.is_empty() {
        head["outputs"] = outputs.iter().map(|name| json!({"name": name})).collect();
    }
    with_tensors(&head, "inputs", inputs, |_| is_binary)
}

/// What JSON cannot carry.
fn needs_binary(tensor: &Tensor) -> bool {
    let is_text = |element: &[u8]| std::str::from_utf8(element).is_ok();
    match tensor.datatype {
        Datatype::Fp16 => true,
        Datatype::Bytes => !tensor.bytes_elements().all(is_text),
        _ => false,
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

    /// The time that the caller allows for an answer: the parameter `timeout`, in microseconds.
    pub fn timeout(&self) -> Option<Duration> {
        let microseconds = self.parameters.get("timeout").and_then(Value::as_u64);
        let allowed = microseconds.filter(|microseconds| *microseconds > 0);
        allowed.map(Duration::from_micros)
    }

    /// A parameter as a key to tell callers apart by.
    pub fn key(&self, parameter: &str) -> Option<String> {
        match self.parameters.get(parameter)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        }
    }

    /// The names of the wanted outputs; empty means all.
    pub fn output_names(&self) -> Vec<String> {
        self.outputs
            .iter()
            .map(|output| output.name.clone())
            .collect()
    }
}

fn decode_json(json: &[u8], binary: &[u8]) -> Result<InferRequest, DecodeError> {
    let request: RequestJson<'_> = serde_json::from_slice(json)?;
    let inputs = decode_all(request.inputs, binary)?;
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

fn decode_output(output: OutputJson) -> Result<RequestedOutput, DecodeError> {
    let parameters = output.parameters.unwrap_or_default();
    refuse_shared_memory(&output.name, &parameters)?;
    if parameters
        .get("classification")
        .is_some_and(|value| value.as_u64() != Some(0))
    {
        return Err(DecodeError::Unsupported {
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

fn flag(parameters: &Map<String, Value>, name: &str) -> Option<bool> {
    parameters.get(name).and_then(Value::as_bool)
}

/// The whole body is the data of the model's only input; its open dimension follows from the size.
fn raw(body: &[u8], signature: &Signature) -> Result<InferRequest, DecodeError> {
    let [spec] = signature.inputs.as_slice() else {
        return Err(DecodeError::NotRaw);
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
        return Err(DecodeError::NotRaw);
    };
    // One element of BYTES is the whole body; how many there are cannot be told from the size.
    let size = spec.datatype.size_bytes().ok_or(DecodeError::NotRaw)? as u64;
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
