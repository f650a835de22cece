//! `POST …/infer`: parse, the request's life, encode.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use modelet_protocol::Signature;
use modelet_protocol::rest::{
    self, Encoded, HEADER_LENGTH, InferRequest, InferResponse, decode_request, encode_response,
};

use super::named::Named;
use crate::app::App;
use crate::connection::REQUEST_ID;
use crate::registry::{Found, Ready};
use crate::request::{self, Answer, Failure, Request};
use crate::route::{Asked, Peer, Route};

pub async fn infer(
    State(app): State<Arc<App>>,
    named: Named,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let peer = peer.map(|Extension(peer)| peer);
    match answer(&app, &named, peer, &headers, body).await {
        Ok((encoded, answer)) => respond(encoded, answer),
        Err(failure) => failure.into_response(),
    }
}

async fn answer(
    app: &Arc<App>,
    named: &Named,
    peer: Option<Peer>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Encoded, Answer), Failure> {
    let deadline = Instant::now() + app.config.request_timeout;
    // Before the body is read: a name that nobody serves costs no memory.
    let found = app.registry.find(&named.model)?;
    let version = named.version.as_deref();
    let reader = reader(&found, version)?;
    let signature = reader.as_ref().map(|ready| ready.signature());
    let body = read(headers, body, app.config.body_bytes, deadline).await?;

    let start = Instant::now();
    let mut decoded = decode_request(
        &body,
        json_length(headers)?,
        signature.unwrap_or(&Signature::default()),
    )?;
    drop(body);
    let route = route(app, found, version, headers, &decoded, peer);
    let decoding = start.elapsed();

    let request = Request {
        id: id(decoded.id.as_deref(), headers),
        inputs: std::mem::take(&mut decoded.inputs),
        outputs: decoded.output_names(),
        deadline: shortened(deadline, &decoded),
    };
    let mut answer = request::infer(app, route, request).await?;

    let start = Instant::now();
    let response = response(named, &decoded, &mut answer);
    let encoded = encode_response(&response, &decoded)
        .map_err(|error| Failure::Malformed(error.to_string()))?;
    if let Some(ready) = answer.ready() {
        ready.statistics.compute_input.add(decoding);
        ready.statistics.compute_output.add(start.elapsed());
    }
    Ok((encoded, answer))
}

fn route(
    app: &App,
    found: Found,
    version: Option<&str>,
    headers: &HeaderMap,
    request: &InferRequest,
    peer: Option<Peer>,
) -> Route {
    let asked = Asked {
        version,
        headers,
        parameter: &|name| request.key(name),
        peer,
    };
    Route::new(app, found, &asked)
}

/// The version whose signature a raw body is read by. Where none is ready there must be others who
/// may answer.
fn reader(found: &Found, version: Option<&str>) -> Result<Option<Arc<Ready>>, Failure> {
    match version {
        Some(version) => Ok(Some(found.named(version)?)),
        None if found.model().spec.fallback.chain.is_empty() => Ok(Some(found.any()?)),
        None => Ok(found.any().ok()),
    }
}

/// The request's own id, else the one that its connection gave it.
pub fn id(own: Option<&str>, headers: &HeaderMap) -> String {
    let own = own.filter(|id| !id.is_empty());
    let given = || headers.get(REQUEST_ID)?.to_str().ok();
    own.or_else(given).unwrap_or_default().to_owned()
}

fn response(named: &Named, request: &InferRequest, answer: &mut Answer) -> InferResponse {
    let parameters = answer.parameters().into_iter();
    let parameters = parameters.map(|(name, text)| (name.to_owned(), text.into()));
    let parameters = parameters.collect();
    let (model_name, model_version) = match answer.model() {
        Some((name, version)) => (name.to_owned(), version),
        None => (named.model.clone(), None),
    };
    InferResponse {
        model_name,
        model_version,
        id: request.id.clone(),
        parameters,
        outputs: std::mem::take(&mut answer.outputs),
    }
}

/// All of a body, within the limits of size and time.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    limit_bytes: usize,
    deadline: Instant,
) -> Result<Bytes, Failure> {
    // An encoding that was undone is not in the headers any more.
    let encoding = headers.get(CONTENT_ENCODING);
    if let Some(encoding) = encoding.filter(|it| *it != "identity") {
        return Err(Failure::Encoding(encoding.clone()));
    }
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
    let header = headers.get(HEADER_LENGTH).map(HeaderValue::as_bytes);
    rest::json_length(header).map_err(Failure::Malformed)
}

/// A caller may ask for less time than the server allows.
fn shortened(deadline: Instant, request: &InferRequest) -> Instant {
    let asked = request.timeout();
    let asked = asked.and_then(|time| Instant::now().checked_add(time));
    asked.map_or(deadline, |asked| deadline.min(asked))
}

fn respond(encoded: Encoded, answer: Answer) -> Response {
    let mut response = Response::new(Body::from(encoded.body));
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
    answer.tell(headers);
    if let Some(ready) = answer.ready() {
        // For the log.
        response.extensions_mut().insert(ready.clone());
    }
    response
}
