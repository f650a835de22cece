//! `POST …/infer`: parse, the request's life, encode.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use modelet_protocol::rest::{
    Encoded, HEADER_LENGTH, InferRequest, InferResponse, decode_request, encode_response,
};
use serde_json::Map;

use super::named::Named;
use crate::app::App;
use crate::registry::Ready;
use crate::request::{self, Failure, Request};
use crate::respond::error;

pub async fn infer(
    State(app): State<Arc<App>>,
    named: Named,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|it| *it != "identity") {
        let text = format!("the body is encoded as {encoding:?}; gzip, deflate and none are read");
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    match answer(&app, &named, &headers, body).await {
        Ok((encoded, ready)) => respond(encoded, ready),
        Err(failure) => failure.into_response(),
    }
}

async fn answer(
    app: &App,
    named: &Named,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Encoded, Arc<Ready>), Failure> {
    let deadline = Instant::now() + app.config.request_timeout;
    // Before the body is read: a name that nobody serves costs no memory.
    let version = named.version.as_deref();
    let ready = app.registry.resolve(&named.model, version)?;
    let body = read(body, app.config.body_bytes, deadline).await?;

    let start = Instant::now();
    let mut decoded = decode_request(&body, json_length(headers)?, ready.signature())?;
    drop(body);
    ready.statistics.compute_input.add(start.elapsed());

    let request = Request {
        inputs: std::mem::take(&mut decoded.inputs),
        outputs: decoded.output_names(),
        deadline: shortened(deadline, &decoded),
    };
    let answer = request::infer(app, &ready, request).await?;

    let start = Instant::now();
    let encoded = encode_response(&response(&ready, &decoded, answer.outputs), &decoded)
        .map_err(|error| Failure::Malformed(error.to_string()))?;
    ready.statistics.compute_output.add(start.elapsed());
    Ok((encoded, ready))
}

fn response(
    ready: &Ready,
    request: &InferRequest,
    outputs: Vec<modelet_protocol::Tensor>,
) -> InferResponse {
    InferResponse {
        model_name: ready.model.to_string(),
        model_version: Some(ready.version.to_string()),
        id: request.id.clone(),
        parameters: Map::new(),
        outputs,
    }
}

/// All of a body, within the limits of size and time.
pub async fn read(body: Body, limit_bytes: usize, deadline: Instant) -> Result<Bytes, Failure> {
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(Failure::TooLarge { limit_bytes });
    }
    let collecting = Limited::new(body, limit_bytes).collect();
    match tokio::time::timeout_at(deadline.into(), collecting).await {
        Err(_) => Err(Failure::SlowBody),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::TooLarge { limit_bytes }),
        Ok(Err(error)) => Err(Failure::Malformed(format!(
            "the body cannot be read: {error}"
        ))),
    }
}

fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Failure> {
    let Some(value) = headers.get(HEADER_LENGTH) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .map(Some)
        .ok_or_else(|| {
            Failure::Malformed(format!(
                "Inference-Header-Content-Length is a number of bytes, not {value:?}"
            ))
        })
}

/// A caller may ask for less time than the server allows, in microseconds.
fn shortened(deadline: Instant, request: &InferRequest) -> Instant {
    match request
        .parameters
        .get("timeout")
        .and_then(|value| value.as_u64())
    {
        Some(microseconds) if microseconds > 0 => {
            let asked = Instant::now().checked_add(Duration::from_micros(microseconds));
            asked.map_or(deadline, |asked| deadline.min(asked))
        }
        _ => deadline,
    }
}

fn respond(encoded: Encoded, ready: Arc<Ready>) -> Response {
    let mut response = Response::new(Body::from(encoded.body));
    // For the log.
    response.extensions_mut().insert(ready);
    let headers = response.headers_mut();
    match encoded.json_length {
        Some(length) => {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            headers.insert(HEADER_LENGTH, HeaderValue::from(length));
        }
        None => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
    }
    response
}
