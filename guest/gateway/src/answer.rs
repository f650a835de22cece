//! What a caller is given, and what is told of who gave it.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use modelet_policy::fallback::Trigger;
use modelet_policy::names::{ModelName, Version};
use modelet_protocol::Tensor;
use modelet_protocol::rest::{HEADER_LENGTH, InferRequest, InferResponse, encode_response};
use serde_json::Map;

use crate::reply::{Failure, Reply};

/// Parameters of a response that somebody else gave than the version asked first.
const SERVED_BY: &str = "modelet_served_by";
const FALLBACK_REASON: &str = "modelet_fallback_reason";

#[derive(Default)]
pub struct Answer {
    pub outputs: Vec<Tensor>,
    pub by: By,
}

/// Who answered.
#[derive(Default)]
pub enum By {
    Version(ModelName, Version),
    /// What stands in `model.toml`.
    #[default]
    Static,
}

impl Answer {
    /// `fallback` is why it was not the version that was asked first.
    pub fn reply(
        self,
        model: &str,
        fallback: Option<Trigger>,
        request: &InferRequest,
    ) -> Result<Reply, Failure> {
        let served_by = match &self.by {
            By::Version(model, version) => format!("{model}/{version}"),
            By::Static => "static".to_owned(),
        };
        let mut parameters = Map::new();
        if let Some(reason) = fallback {
            parameters.insert(FALLBACK_REASON.to_owned(), reason.word().into());
            parameters.insert(SERVED_BY.to_owned(), served_by.as_str().into());
        }
        let (model_name, model_version) = match self.by {
            By::Version(model, version) => (model.into(), Some(version.to_string())),
            By::Static => (model.to_owned(), None),
        };
        let response = InferResponse {
            model_name,
            model_version,
            id: request.id.clone(),
            parameters,
            outputs: self.outputs,
        };
        let encoded = encode_response(&response, request)
            .map_err(|error| Failure::Malformed(error.to_string()))?;
        let mut reply = Response::new(encoded.body);
        let headers = reply.headers_mut();
        let kind = match encoded.json_length {
            Some(length) => {
                headers.insert(HEADER_LENGTH, HeaderValue::from(length));
                "application/octet-stream"
            }
            None => "application/json",
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        tell(headers, &served_by, fallback);
        Ok(reply)
    }
}

/// Says in headers who answered, and why it was not the one who was asked.
fn tell(headers: &mut HeaderMap, served_by: &str, fallback: Option<Trigger>) {
    // A model's name has no character that a header could not have.
    if let Ok(served_by) = HeaderValue::try_from(served_by) {
        headers.insert("modelet-served-by", served_by);
    }
    if let Some(reason) = fallback {
        let reason = HeaderValue::from_static(reason.word());
        headers.insert("modelet-fallback-reason", reason);
    }
}
