//! Why there is no answer, and the one place where that becomes a status.

use http::StatusCode;
use modelet_policy::deployment::Unknown;
use modelet_policy::fallback::Trigger;
use modelet_policy::names::ModelName;
use modelet_protocol::rest::{DecodeError, EncodeError};
use modelet_runtime::InferError;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Unknown(#[from] Unknown),
    #[error("model `{model}` is not ready{reason}")]
    NotReady { model: String, reason: String },
    /// The bytes of the request are not what they should be.
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Unsupported(String),
    #[error("the body is encoded as {0}; only bodies that are not encoded are read")]
    Encoding(String),
    #[error("the request has more than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the request did not arrive whole before its deadline")]
    SlowBody,
    #[error("overloaded: all places to run and to wait are taken")]
    QueueFull,
    #[error("the deadline passed while the request waited for its turn")]
    Waited,
    #[error("model `{model}` has failed too often; requests are kept away from it for a while")]
    BreakerOpen { model: String },
    #[error(transparent)]
    Infer(#[from] InferError),
    #[error("the model's answer was kept back: {0}")]
    Guarded(String),
    #[error("there is nothing at {0}")]
    Path(String),
    #[error("{path} does not take {method}")]
    Method { path: String, method: String },
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    pub fn unknown_version(model: &ModelName, version: &str) -> Failure {
        Failure::Unknown(Unknown::Version {
            model: model.to_string(),
            version: version.to_owned(),
        })
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Failure::Unknown(_) | Failure::Path(_) => StatusCode::NOT_FOUND,
            Failure::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Failure::NotReady { .. }
            | Failure::QueueFull
            | Failure::BreakerOpen { .. }
            | Failure::Infer(InferError::Exhausted(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Malformed(_) | Failure::Infer(InferError::InvalidInput(_)) => {
                StatusCode::BAD_REQUEST
            }
            Failure::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            Failure::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Failure::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Failure::Waited | Failure::Infer(InferError::DeadlineExceeded) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Failure::Infer(
                InferError::ModelFailed(_) | InferError::Trap(_) | InferError::MemoryLimit { .. },
            )
            | Failure::Guarded(_)
            | Failure::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What a failed call is to the policy; `None` for what is the caller's doing.
pub fn trigger(error: &InferError) -> Option<Trigger> {
    match error {
        InferError::InvalidInput(_) => None,
        InferError::ModelFailed(_) => Some(Trigger::Failed),
        InferError::Trap(_) => Some(Trigger::Trap),
        InferError::DeadlineExceeded => Some(Trigger::Deadline),
        InferError::MemoryLimit { .. } => Some(Trigger::Memory),
        InferError::Exhausted(_) => Some(Trigger::Overload),
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

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Failure {
        Failure::Malformed(error.to_string())
    }
}
