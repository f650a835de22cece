//! The one place where a failure becomes a status.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use modelet_protocol::rest::DecodeError;
use modelet_protocol::rest::metadata::ErrorBody;
use modelet_runtime::InferError;
use serde::Serialize;
use tonic::Code;

use crate::attempt::admission::Refused;
use crate::registry::{Ready, ResolveError};
use crate::request::{Answer, By, Failure};

/// Parameters of a response that somebody else gave than the version asked first.
const SERVED_BY: &str = "modelet_served_by";
const FALLBACK_REASON: &str = "modelet_fallback_reason";

/// The parameter that names whose answers are in an ensemble's.
const MEMBERS: &str = "modelet_members";

/// Seconds after which a caller that was turned away may try again.
const RETRY_AFTER_SECONDS: &str = "1";

impl Failure {
    /// The HTTP status and its gRPC counterpart.
    pub fn status(&self) -> (StatusCode, Code) {
        match self {
            Failure::Resolve(
                ResolveError::UnknownModel(_) | ResolveError::UnknownVersion { .. },
            ) => (StatusCode::NOT_FOUND, Code::NotFound),
            Failure::Resolve(ResolveError::NotReady { .. } | ResolveError::NotLoaded { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable)
            }
            Failure::Invalid(_)
            | Failure::Malformed(_)
            | Failure::Infer(InferError::InvalidInput(_)) => {
                (StatusCode::BAD_REQUEST, Code::InvalidArgument)
            }
            Failure::Unsupported(_) => (StatusCode::NOT_IMPLEMENTED, Code::Unimplemented),
            Failure::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
            Failure::Encoding(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument),
            Failure::SlowBody => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded),
            Failure::Refused(Refused::QueueFull)
            | Failure::BreakerOpen { .. }
            | Failure::State(_)
            | Failure::Infer(InferError::Exhausted(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable)
            }
            Failure::Remote { .. } | Failure::RemoteRefused { .. } => {
                (StatusCode::BAD_GATEWAY, Code::Unavailable)
            }
            Failure::Refused(Refused::Deadline) | Failure::Infer(InferError::DeadlineExceeded) => {
                (StatusCode::GATEWAY_TIMEOUT, Code::DeadlineExceeded)
            }
            Failure::Infer(
                InferError::ModelFailed(_) | InferError::Trap(_) | InferError::MemoryLimit { .. },
            )
            | Failure::Guarded(_)
            | Failure::Combine(_)
            | Failure::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
        }
    }
}

impl Answer {
    /// Such as `iris/2`, or `iris/2@models.example.com` of another server; `static` for what stands in
    /// `model.toml`.
    pub fn served_by(&self) -> String {
        match &self.by {
            By::Version(ready) => name(ready),
            By::Remote {
                host,
                model,
                version: Some(version),
            } => format!("{model}/{version}@{host}"),
            By::Remote { host, model, .. } => format!("{model}@{host}"),
            By::Static => "static".to_owned(),
        }
    }

    /// What is to be known of who answered, as parameters of the response.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        if let Some(reason) = self.fallback {
            parameters.push((FALLBACK_REASON, reason.word().to_owned()));
            parameters.push((SERVED_BY, self.served_by()));
        }
        if !self.members.is_empty() {
            let members: Vec<String> = self.members.iter().map(|ready| name(ready)).collect();
            parameters.push((MEMBERS, members.join(",")));
        }
        parameters
    }

    /// The model and the version that answered, if they have names.
    pub fn model(&self) -> Option<(&str, Option<String>)> {
        match &self.by {
            By::Version(ready) => Some((ready.model.as_str(), Some(ready.version.to_string()))),
            By::Remote { model, version, .. } => {
                Some((model.as_str(), version.map(|version| version.to_string())))
            }
            By::Static => None,
        }
    }

    /// Says in headers who answered, and why it was not the one who was asked.
    pub fn tell(&self, headers: &mut HeaderMap) {
        // A model's name has no character that a header could not have, nor has an address.
        if let Ok(served_by) = HeaderValue::try_from(self.served_by()) {
            headers.insert("modelet-served-by", served_by);
        }
        if let Some(reason) = self.fallback {
            let reason = HeaderValue::from_static(reason.word());
            headers.insert("modelet-fallback-reason", reason);
        }
    }
}

fn name(ready: &Ready) -> String {
    format!("{}/{}", ready.model, ready.version)
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Failure {
        if error.is_unsupported() {
            Failure::Unsupported(error.to_string())
        } else {
            Failure::Malformed(error.to_string())
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        error(self.status().0, self.to_string())
    }
}

impl From<Failure> for tonic::Status {
    fn from(failure: Failure) -> tonic::Status {
        tonic::Status::new(failure.status().1, failure.to_string())
    }
}

/// A response that is not a success, as the protocol has them.
pub fn error(status: StatusCode, error: impl Into<String>) -> Response {
    let mut response = json(
        status,
        &ErrorBody {
            error: error.into(),
        },
    );
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let after = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, after);
    }
    response
}

pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_vec(body) else {
        // No body of ours has keys that are not strings, which is all that can fail.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_failure_has_its_statuses() {
        let text = || "why".to_owned();
        let resolve = |error| Failure::Resolve(error);
        let (model, reason) = (text, text);
        for (failure, status, code) in [
            (
                resolve(ResolveError::UnknownModel(text())),
                404,
                Code::NotFound,
            ),
            (
                resolve(ResolveError::UnknownVersion {
                    model: model(),
                    version: text(),
                }),
                404,
                Code::NotFound,
            ),
            (
                resolve(ResolveError::NotReady {
                    model: model(),
                    reason: reason(),
                }),
                503,
                Code::Unavailable,
            ),
            (
                resolve(ResolveError::NotLoaded {
                    model: model(),
                    reason: reason(),
                }),
                503,
                Code::Unavailable,
            ),
            (Failure::Malformed(text()), 400, Code::InvalidArgument),
            (
                Failure::Infer(InferError::InvalidInput(text())),
                400,
                Code::InvalidArgument,
            ),
            (Failure::Unsupported(text()), 501, Code::Unimplemented),
            (
                Failure::TooLarge { limit_bytes: 1 },
                413,
                Code::ResourceExhausted,
            ),
            (
                Failure::Encoding(HeaderValue::from_static("br")),
                415,
                Code::InvalidArgument,
            ),
            (Failure::SlowBody, 408, Code::DeadlineExceeded),
            (Failure::Refused(Refused::QueueFull), 503, Code::Unavailable),
            (
                Failure::Refused(Refused::Deadline),
                504,
                Code::DeadlineExceeded,
            ),
            (
                Failure::Infer(InferError::Exhausted(text())),
                503,
                Code::Unavailable,
            ),
            (
                Failure::Infer(InferError::DeadlineExceeded),
                504,
                Code::DeadlineExceeded,
            ),
            (
                Failure::Infer(InferError::ModelFailed(text())),
                500,
                Code::Internal,
            ),
            (
                Failure::Infer(InferError::Trap(text())),
                500,
                Code::Internal,
            ),
            (
                Failure::Infer(InferError::MemoryLimit { limit_bytes: 1 }),
                500,
                Code::Internal,
            ),
            (
                Failure::BreakerOpen { model: model() },
                503,
                Code::Unavailable,
            ),
            (Failure::Guarded(text()), 500, Code::Internal),
            (Failure::Combine(text()), 500, Code::Internal),
            (
                Failure::Remote {
                    url: model(),
                    reason: reason(),
                },
                502,
                Code::Unavailable,
            ),
            (
                Failure::RemoteRefused {
                    url: model(),
                    reason: reason(),
                },
                502,
                Code::Unavailable,
            ),
            (Failure::Internal(text()), 500, Code::Internal),
        ] {
            check(failure, status, code).await;
        }
    }

    async fn check(failure: Failure, status: u16, code: Code) {
        let said = failure.to_string();
        assert_eq!(failure.status().1, code, "{said}");
        let response = failure.into_response();
        assert_eq!(response.status(), status, "{said}");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let after = response.headers().get(RETRY_AFTER);
        assert_eq!(after.is_some(), status == 503, "{said}");
        let body = axum::body::to_bytes(response.into_body(), 1000)
            .await
            .unwrap();
        let body: ErrorBody = serde_json::from_slice(&body).unwrap();
        assert_eq!(body.error, said);
    }
}
