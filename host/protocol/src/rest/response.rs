//! The body of an inference response.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::InferRequest;
use super::decode::{DecodeError, TensorJson, decode_all, split};
use super::encode::{EncodeError, Encoded, with_tensors};
use super::lenient::quote_non_finite;
use crate::Tensor;

/// What a model answered, and which model it was.
#[derive(Clone, Debug, PartialEq)]
pub struct InferResponse {
    pub model_name: String,
    pub model_version: Option<String>,
    pub id: Option<String>,
    pub parameters: Map<String, Value>,
    pub outputs: Vec<Tensor>,
}

/// Everything before the outputs.
#[derive(Serialize)]
struct Head<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    model_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    parameters: &'a Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `model_name` and `outputs`")]
struct ResponseJson<'a> {
    model_name: String,
    #[serde(default)]
    model_version: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(borrow)]
    outputs: Vec<TensorJson<'a>>,
}

/// Writes a response the way `request` wants each output.
pub fn encode_response(
    response: &InferResponse,
    request: &InferRequest,
) -> Result<Encoded, EncodeError> {
    let head = Head {
        id: response.id.as_deref(),
        model_name: &response.model_name,
        model_version: response.model_version.as_deref(),
        parameters: &response.parameters,
    };
    with_tensors(&head, "outputs", &response.outputs, |output| {
        request.wants_binary(&output.name)
    })
}

/// Reads what another server answered. `json_length` is the value of [`super::HEADER_LENGTH`], where
/// it came.
pub fn decode_response(
    body: &[u8],
    json_length: Option<usize>,
) -> Result<InferResponse, DecodeError> {
    let (json, binary) = split(body, json_length)?;
    match decode_json(json, binary) {
        Err(DecodeError::Json(error)) => match quote_non_finite(json) {
            Cow::Owned(quoted) => decode_json(&quoted, binary),
            Cow::Borrowed(_) => Err(error.into()),
        },
        decoded => decoded,
    }
}

fn decode_json(json: &[u8], binary: &[u8]) -> Result<InferResponse, DecodeError> {
    let response: ResponseJson<'_> = serde_json::from_slice(json)?;
    Ok(InferResponse {
        model_name: response.model_name,
        model_version: response.model_version,
        id: response.id,
        parameters: response.parameters.unwrap_or_default(),
        outputs: decode_all(response.outputs, binary)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::{decode_request, encode_request};
    use crate::{Datatype, Signature};

    fn tensor(datatype: Datatype, data: &[u8]) -> Tensor {
        let size = datatype.size_bytes().unwrap_or(data.len());
        Tensor {
            name: "x".to_owned(),
            datatype,
            shape: vec![(data.len() / size) as u64],
            data: data.to_vec(),
        }
    }

    #[test]
    fn what_one_server_writes_another_reads() {
        let numbers: Vec<u8> = [1.5_f32, f32::NAN]
            .iter()
            .flat_map(|it| it.to_le_bytes())
            .collect();
        let large = vec![7; 100 << 10];
        for (datatype, data, is_binary) in [
            (Datatype::Fp32, &*numbers, false),
            (Datatype::Bytes, &[2, 0, 0, 0, b'h', b'i'], false),
            (Datatype::Bytes, &[1, 0, 0, 0, 0xff], true),
            (Datatype::Fp16, &[0, 0x3c], true),
            (Datatype::Uint8, &large, true),
        ] {
            let sent = [tensor(datatype, data)];
            let written = encode_request("7", 1000, &sent, &["y".to_owned()]).unwrap();
            assert_eq!(written.json_length.is_some(), is_binary, "{datatype}");
            let none = Signature::default();
            let read = decode_request(&written.body, written.json_length, &none).unwrap();
            assert_eq!(read.inputs, sent);
            assert_eq!(read.id.as_deref(), Some("7"));
            assert_eq!(read.parameters["timeout"], 1000);
            assert_eq!(read.output_names(), ["y"]);
            let answer = InferResponse {
                model_name: "m".to_owned(),
                model_version: None,
                id: None,
                parameters: Map::new(),
                outputs: sent.to_vec(),
            };
            let written = encode_response(&answer, &read).unwrap();
            assert_eq!(written.json_length.is_some(), is_binary, "{datatype}");
            let back = decode_response(&written.body, written.json_length).unwrap();
            assert_eq!(back, answer);
        }
    }

    #[test]
    fn what_is_no_response_is_told() {
        for (body, expected) in [
            (&b"<html>"[..], "not valid JSON"),
            (b"{\"model_name\":\"m\"}", "another form: missing field `outputs`"),
            (b"[]", "expected an object with `model_name` and `outputs`"),
            (
                b"{\"model_name\":\"m\",\"outputs\":[{\"name\":\"y\",\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1]}]}",
                "takes 8 bytes, got 4",
            ),
        ] {
            let error = decode_response(body, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let bare = b"{\"model_name\":\"m\",\"outputs\":[{\"name\":\"y\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[NaN]}]}";
        assert!(decode_response(bare, None).is_ok());
    }
}
