//! The Open Inference Protocol over HTTP: health, metadata, readiness, inference.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use modelet_protocol::rest::metadata::{ErrorBody, ModelMetadata, ModelReady, ServerMetadata};
use modelet_protocol::rest::{self, HEADER_LENGTH};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::infer::{Answer, Asked, REQUEST_ID, infer};
use crate::models::Models;

type Reply = Response<Full<Bytes>>;

/// What this host does beyond the protocol.
const EXTENSIONS: [&str; 2] = ["binary_tensor_data", "parameters"];

/// As Triton calls such models.
const PLATFORM: &str = "onnx_onnxv1";

/// Seconds after which a caller that was turned away may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// The answers of one host.
pub struct Rest {
    models: Arc<Models>,
    body_bytes: usize,
    timeout: Duration,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
}

/// A model, a version where the path has one, and what is asked of them.
struct Named<'a> {
    model: &'a str,
    version: Option<&'a str>,
    call: &'a str,
}

impl Rest {
    pub fn new(models: Models, arguments: &Arguments) -> Rest {
        Rest {
            models: Arc::new(models),
            body_bytes: arguments.body_bytes(),
            timeout: arguments.timeout,
            running: Arc::new(Semaphore::new(arguments.concurrency())),
            waiting: AtomicUsize::new(0),
            queue: arguments.queue,
        }
    }

    pub async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Reply {
        let id = request.headers().get(REQUEST_ID).cloned();
        let id = id.unwrap_or_else(fresh_id);
        let path = request.uri().path().to_owned();
        let reply = match named(&path) {
            Some(Named { call: "infer", .. }) if request.method() != Method::POST => {
                Err(wrong_method(&request))
            }
            Some(named @ Named { call: "infer", .. }) => {
                self.infer(named, request, &id, peer).await
            }
            named => match self.look(&path, named) {
                Err(nothing @ Failure::Path(_)) => Err(nothing),
                _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                    Err(wrong_method(&request))
                }
                found => found,
            },
        };
        let mut reply = reply.unwrap_or_else(|failure| error(&failure));
        reply.headers_mut().insert(REQUEST_ID, id);
        reply
    }

    /// What needs no model to run.
    fn look(&self, path: &str, named: Option<Named<'_>>) -> Result<Reply, Failure> {
        match (path, named) {
            ("/v2" | "/v2/", _) => Ok(reply(
                StatusCode::OK,
                &ServerMetadata {
                    name: "modelet".to_owned(),
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    extensions: EXTENSIONS.map(str::to_owned).to_vec(),
                },
            )),
            ("/v2/health/live", _) => Ok(reply(StatusCode::OK, &json!({"live": true}))),
            // Whatever can be loaded was loaded before the first connection was accepted.
            ("/v2/health/ready", _) => Ok(reply(StatusCode::OK, &json!({"ready": true}))),
            (_, Some(named)) if named.call.is_empty() => self.metadata(&named),
            (_, Some(named)) if named.call == "ready" => self.ready(&named),
            _ => Err(Failure::Path(path.to_owned())),
        }
    }

    fn metadata(&self, named: &Named<'_>) -> Result<Reply, Failure> {
        let (name, model) = self.models.get(named.model)?;
        let (_, modelet) = model.resolve(name, named.version)?;
        let versions = model.ready().map(|(version, _)| version.to_string());
        let signature = &modelet.facts().metadata.signature;
        let metadata = ModelMetadata::new(name.as_str(), versions.collect(), PLATFORM, signature);
        Ok(reply(StatusCode::OK, &metadata))
    }

    fn ready(&self, named: &Named<'_>) -> Result<Reply, Failure> {
        let (name, model) = self.models.get(named.model)?;
        let (status, ready) = match model.resolve(name, named.version) {
            Ok(_) => (StatusCode::OK, true),
            Err(Failure::NotReady { .. }) => (StatusCode::SERVICE_UNAVAILABLE, false),
            Err(failure) => return Err(failure),
        };
        let name = name.to_string();
        Ok(reply(status, &ModelReady { name, ready }))
    }

    async fn infer(
        &self,
        named: Named<'_>,
        request: Request<Incoming>,
        id: &HeaderValue,
        peer: SocketAddr,
    ) -> Result<Reply, Failure> {
        let deadline = Instant::now() + self.timeout;
        let (head, body) = request.into_parts();
        let encoding = head.headers.get(CONTENT_ENCODING);
        if let Some(encoding) = encoding.filter(|encoding| *encoding != "identity") {
            return Err(Failure::Encoding(format!("{encoding:?}")));
        }
        // Before the body is read: a name that nobody serves costs no memory.
        self.models.get(named.model)?;
        let json_length = json_length(&head.headers)?;
        let mut headers = texts(&head.headers);
        if let Ok(id) = id.to_str() {
            headers.insert(REQUEST_ID.to_owned(), id.to_owned());
        }
        let body = read(body, self.body_bytes, deadline).await?;
        let turn = self.turn(deadline).await?;
        let (model, version) = (named.model.to_owned(), named.version.map(str::to_owned));
        let models = self.models.clone();
        let called = tokio::task::spawn_blocking(move || {
            // Until the model is done, also when nobody waits for the answer any more.
            let _turn = turn;
            let asked = Asked {
                model: &model,
                version: version.as_deref(),
                headers,
                address: Some(peer.ip().to_string()),
                body: &body,
                json_length,
                deadline,
            };
            infer(&models, asked)
        });
        let lost = |error| Failure::Internal(format!("the call was lost: {error}"));
        called.await.map_err(lost)?.map(respond)
    }

    /// Waits for a place to run, if there is a place to wait.
    async fn turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(turn) = self.running.clone().try_acquire_owned() {
            return Ok(turn);
        }
        let place = Place::take(&self.waiting, self.queue).ok_or(Failure::QueueFull)?;
        let turn = tokio::time::timeout_at(deadline.into(), self.running.clone().acquire_owned());
        let turn = turn.await;
        drop(place);
        match turn {
            Ok(Ok(turn)) => Ok(turn),
            // The semaphore is never closed, so what is left is that time ran out.
            _ => Err(Failure::Waited),
        }
    }
}

/// A place in the queue; also given back when the caller hangs up.
struct Place<'a>(&'a AtomicUsize);

impl Place<'_> {
    fn take(waiting: &AtomicUsize, queue: usize) -> Option<Place<'_>> {
        let more = |waiting| (waiting < queue).then_some(waiting + 1);
        let taken = waiting.try_update(Relaxed, Relaxed, more);
        taken.ok().map(|_| Place(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What a path says: `/v2/models/MODEL[/versions/VERSION][/CALL]`.
fn named(path: &str) -> Option<Named<'_>> {
    let mut parts = path.strip_prefix("/v2/models/")?.split('/');
    let model = parts.next()?;
    let (version, call) = match parts.next() {
        Some("versions") => (Some(parts.next()?), parts.next()),
        call => (None, call),
    };
    let call = call.unwrap_or_default();
    parts.next().is_none().then_some(Named {
        model,
        version,
        call,
    })
}

/// All of a body, within the limits of size and time.
async fn read(body: Incoming, limit_bytes: usize, deadline: Instant) -> Result<Bytes, Failure> {
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

/// The headers that are text. Cookies may come in several.
fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::<String, String>::new();
    for (name, value) in headers {
        let Ok(value) = value.to_str() else { continue };
        let text = texts.entry(name.as_str().to_owned());
        if name == http::header::COOKIE {
            let text = text.or_default();
            text.push_str(value);
            text.push(';');
        } else {
            // As a look-up in a map of headers would find them: the first.
            text.or_insert_with(|| value.to_owned());
        }
    }
    texts
}

fn fresh_id() -> HeaderValue {
    use std::hash::{BuildHasher as _, RandomState};

    let draw = || RandomState::new().hash_one(Instant::now());
    HeaderValue::try_from(format!("{:016x}{:016x}", draw(), draw()))
        .expect("hexadecimal digits may stand in a header")
}

fn wrong_method(request: &Request<Incoming>) -> Failure {
    Failure::Method {
        path: request.uri().path().to_owned(),
        method: request.method().to_string(),
    }
}

fn respond(answer: Answer) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(answer.encoded.body)));
    let headers = reply.headers_mut();
    let kind = match answer.encoded.json_length {
        Some(length) => {
            headers.insert(HEADER_LENGTH, HeaderValue::from(length));
            "application/octet-stream"
        }
        None => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // A model's name has no character that a header could not have.
    if let Ok(served_by) = HeaderValue::try_from(answer.served_by) {
        headers.insert("modelet-served-by", served_by);
    }
    if let Some(reason) = answer.fallback {
        let reason = HeaderValue::from_static(reason.word());
        headers.insert("modelet-fallback-reason", reason);
    }
    reply
}

/// A response that is not a success, as the protocol has them.
fn error(failure: &Failure) -> Reply {
    let status = failure.status();
    let error = failure.to_string();
    let mut reply = reply(status, &ErrorBody { error });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let after = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        reply.headers_mut().insert(RETRY_AFTER, after);
    }
    reply
}

fn reply(status: StatusCode, body: &impl Serialize) -> Reply {
    // No body of ours has keys that are not strings, which is all that can fail.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply
}
