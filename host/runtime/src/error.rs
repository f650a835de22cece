//! What can go wrong, told apart by who is to blame and what a caller may do about it.

use crate::precompiled::Refused;

/// Why an artifact cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Invalid(#[from] modelet_artifact::Invalid),
    #[error("the component does not compile: {0}")]
    Compile(String),
    #[error("the component does not fit the limits of this host: {0}")]
    Limits(String),
    #[error("the signature embedded in the file is not the one that the model itself gives")]
    Signature,
    #[error("{0}")]
    Cache(String),
    #[error(transparent)]
    Precompiled(#[from] Refused),
}

/// Why a call gave no answer. Only the first is the caller's doing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    #[error("{0}")]
    InvalidInput(String),
    /// The model answered that it cannot: an operator refused these values.
    #[error("the model failed: {0}")]
    ModelFailed(String),
    /// The instance died (a panic, an out-of-bounds access, a stack overflow); the host did not.
    #[error("the model trapped: {0}")]
    Trap(String),
    #[error("the model did not answer before its deadline")]
    DeadlineExceeded,
    #[error("the model asked for more memory than its limit of {limit_bytes} bytes")]
    MemoryLimit { limit_bytes: u64 },
    /// No room for one more instance on this host at this moment.
    #[error("no instance is free: {0}")]
    Exhausted(String),
}
