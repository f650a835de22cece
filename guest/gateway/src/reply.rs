//! The one place where a failure becomes a status. Texts and statuses are those of `modelet serve`.

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use modelet_policy::deployment::Unknown;
use modelet_policy::fallback::Trigger;
use modelet_protocol::InvalidInput;
use modelet_protocol::rest::DecodeError;
use modelet_protocol::rest::metadata::ErrorBody;
use serde::Serialize;

/// A response, whole.
pub type Reply = Response<Vec<u8>>;

/// Seconds after which a caller that was turned away may try again.
const RETRY_AFTER_SECONDS: &str = "1";

/// Why there is no answer.
#[derive(Clone, Debug)]
pub enum Failure {
    Unknown(Unknown),
    /// No version of this model could be asked.
    NotReady(String),
    Invalid(InvalidInput),
    /// The bytes of the request are not what they should be.
    Malformed(String),
    Unsupported(String),
    TooLarge(usize),
    Encoding(String),
    Breaker(String),
    /// What the modelet itself says of the request.
    Refused(String),
    ModelFailed(String),
    Guarded(String),
    /// Something that is needed for this request cannot be used now.
    Unreachable(String),
    Internal(String),
}

impl Failure {
    pub fn status(&self) -> StatusCode {
        match self {
            Failure::Unknown(_) => StatusCode::NOT_FOUND,
            Failure::NotReady(_) | Failure::Breaker(_) | Failure::Unreachable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Failure::Invalid(_) | Failure::Malformed(_) | Failure::Refused(_) => {
                StatusCode::BAD_REQUEST
            }
            Failure::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            Failure::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Failure::ModelFailed(_) | Failure::Guarded(_) | Failure::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// What it is to the policy; `None` for what is the caller's doing.
    pub fn trigger(&self) -> Option<Trigger> {
        match self {
            Failure::NotReady(_) => Some(Trigger::Load),
            Failure::Breaker(_) => Some(Trigger::Breaker),
            Failure::ModelFailed(_) => Some(Trigger::Failed),
            Failure::Guarded(_) => Some(Trigger::Guard),
            Failure::Internal(_) => Some(Trigger::Trap),
            Failure::Unknown(_)
            | Failure::Invalid(_)
            | Failure::Malformed(_)
            | Failure::Unsupported(_)
            | Failure::TooLarge(_)
            | Failure::Encoding(_)
            | Failure::Unreachable(_)
            | Failure::Refused(_) => None,
        }
    }

    /// What it says of the version that was asked; `None` for nothing. Callers make mistakes with every
    /// version: one that refuses more than the other has another signature.
    pub fn judged(&self) -> Option<Trigger> {
        match self {
            Failure::Invalid(_) | Failure::Refused(_) => Some(Trigger::Failed),
            failure => failure.trigger(),
        }
    }

    pub fn reply(&self) -> Reply {
        error(self.status(), self.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Unknown(unknown) => unknown.fmt(f),
            Failure::NotReady(model) => write!(f, "model `{model}` is not ready"),
            Failure::Invalid(reason) => reason.fmt(f),
            Failure::TooLarge(limit_bytes) => {
                write!(f, "the request has more than {limit_bytes} bytes")
            }
            Failure::Encoding(encoding) => {
                write!(
                    f,
                    "the body is encoded as {encoding}; the gateway reads it as it is"
                )
            }
            Failure::Breaker(model) => write!(
                f,
                "model `{model}` has failed too often; requests are kept away from it for a while"
            ),
            Failure::ModelFailed(reason) => write!(f, "the model failed: {reason}"),
            Failure::Guarded(reason) => write!(f, "the model's answer was kept back: {reason}"),
            Failure::Malformed(reason)
            | Failure::Unsupported(reason)
            | Failure::Refused(reason)
            | Failure::Unreachable(reason)
            | Failure::Internal(reason) => f.write_str(reason),
        }
    }
}

impl From<Unknown> for Failure {
    fn from(unknown: Unknown) -> Failure {
        Failure::Unknown(unknown)
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Failure {
        match error.is_unsupported() {
            true => Failure::Unsupported(error.to_string()),
            false => Failure::Malformed(error.to_string()),
        }
    }
}

/// A response that is not a success, as the protocol has them.
pub fn error(status: StatusCode, error: String) -> Reply {
    let mut reply = json(status, &ErrorBody { error });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let after = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        reply.headers_mut().insert(RETRY_AFTER, after);
    }
    reply
}

pub fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    // No body of ours has keys that are not strings, which is all that can fail.
    let mut reply = Response::new(serde_json::to_vec(body).unwrap_or_default());
    *reply.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply
}
