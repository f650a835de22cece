//! Another server of the same protocol, asked over REST.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use modelet_policy::breaker::Limits;
use modelet_policy::fallback::Remote;
use modelet_policy::names::ModelName;
use modelet_protocol::rest::metadata::ErrorBody;
use modelet_protocol::rest::{
    Encoded, HEADER_LENGTH, InferResponse, decode_response, encode_request,
};

use super::breaker::Breaker;
use crate::app::App;
use crate::request::{Answer, By, Failure, Request};

/// Says that a request comes from another server, which is to answer it itself.
pub const FORWARDED: &str = "modelet-forwarded";

/// The way to other servers.
#[derive(Default)]
pub struct Remotes {
    /// Made when it is first needed: most servers have no others to fall back to.
    client: Mutex<Option<Http>>,
    /// One for each address.
    breakers: Mutex<BTreeMap<String, Arc<Breaker>>>,
}

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

impl Remotes {
    /// Asks another server, for no longer than its own time and, where others could answer after it,
    /// half of what is left.
    pub async fn ask(
        &self,
        app: &App,
        remote: &Remote,
        model: &ModelName,
        request: &Request,
        is_last: bool,
    ) -> Result<Answer, Failure> {
        let breaker = self.breaker(&remote.url);
        let model = remote.model.as_ref().unwrap_or(model);
        let watched = breaker
            .begin(app.now())
            .ok_or_else(|| Failure::BreakerOpen {
                model: format!("{model} of {}", remote.url),
            })?;
        let left = request.deadline.saturating_duration_since(Instant::now());
        let left = if is_last { left } else { left / 2 };
        let time = left.min(remote.timeout);
        let asking = self.send(app, remote, model, request, time);
        let answer = match tokio::time::timeout(time, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(Reason::Trouble(format!("its {time:?} are over"))),
        };
        // That it refuses a request says nothing of how it is.
        watched.end(app.now(), matches!(answer, Err(Reason::Trouble(_))));
        answer.map_err(|reason| {
            let url = remote.url.clone();
            match reason {
                Reason::Refusal(reason) => Failure::RemoteRefused { url, reason },
                Reason::Trouble(reason) => Failure::Remote { url, reason },
            }
        })
    }

    async fn send(
        &self,
        app: &App,
        remote: &Remote,
        model: &ModelName,
        request: &Request,
        time: Duration,
    ) -> Result<Answer, Reason> {
        let timeout = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let body = encode_request(&request.id, timeout, &request.inputs, &request.outputs)
            .map_err(|error| Reason::Refusal(error.to_string()))?;
        let version = remote.version.map(|version| format!("/versions/{version}"));
        let version = version.unwrap_or_default();
        let url = format!("{}/v2/models/{model}{version}/infer", remote.url);
        let response = self.client()?.request(post(&url, body)?).await;
        let response = response.map_err(|error| Reason::trouble(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, app.config.body_bytes).collect().await;
        let body = body.map_err(|error| Reason::Trouble(error.to_string()))?;
        let answered = outputs(head.status, &head.headers, &body.to_bytes())?;
        let (_, host) = remote.url.split_once("://").unwrap_or_default();
        // What it says of itself is only believed as far as it is a version.
        let version = answered.model_version.and_then(|text| text.parse().ok());
        let by = By::Remote {
            host: host.to_owned(),
            model: model.clone(),
            version: version.or(remote.version),
        };
        Ok(Answer::new(answered.outputs, by))
    }

    fn client(&self) -> Result<Http, Reason> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| Reason::Trouble(format!("no certificate is trusted: {error}")))?
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .build();
        let made = Client::builder(TokioExecutor::new()).build(connector);
        Ok(client.insert(made).clone())
    }

    fn breaker(&self, url: &str) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = breakers.get(url) {
            return breaker.clone();
        }
        let breaker = Arc::new(Breaker::new(Some(Limits::default()), url));
        breakers.insert(url.to_owned(), breaker.clone());
        breaker
    }
}

/// Why another server has no answer.
enum Reason {
    /// It would have none to this request at any time.
    Refusal(String),
    Trouble(String),
}

impl Reason {
    /// With what caused it: alone, hyper's errors say little.
    fn trouble(error: &dyn std::error::Error) -> Reason {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text += &format!(": {cause}");
            source = cause.source();
        }
        Reason::Trouble(text)
    }
}

fn post(url: &str, body: Encoded) -> Result<HttpRequest<Full<Bytes>>, Reason> {
    let mut request = HttpRequest::new(Full::from(body.body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url
        .parse()
        .map_err(|error| Reason::Refusal(format!("{url} is no address: {error}")))?;
    let headers = request.headers_mut();
    headers.insert(FORWARDED, HeaderValue::from_static("1"));
    let kind = match body.json_length {
        Some(length) => {
            headers.insert(HEADER_LENGTH, length.into());
            "application/octet-stream"
        }
        None => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(request)
}

fn outputs(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<InferResponse, Reason> {
    if !status.is_success() {
        let said = serde_json::from_slice(body).map(|body: ErrorBody| body.error);
        let text = format!("{status}: {}", said.unwrap_or_default());
        return Err(match status.is_client_error() {
            true => Reason::Refusal(text),
            false => Reason::Trouble(text),
        });
    }
    let json_length = headers.get(HEADER_LENGTH);
    let json_length = json_length.map(|length| length.to_str().ok()?.parse().ok());
    let decoded = match json_length {
        Some(None) => return Err(Reason::Trouble(format!("its {HEADER_LENGTH} is no number"))),
        Some(length) => decode_response(body, length),
        None => decode_response(body, None),
    };
    decoded.map_err(|error| Reason::Trouble(error.to_string()))
}
