//! What can go wrong between here and there.

use std::io;
use std::path::{Path, PathBuf};

use oci_client::errors::OciDistributionError;

use crate::digest::Digest;
use crate::signature::Untrusted;

/// Why an artifact was not pushed or pulled.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{what} is not a modelet: {source}")]
    Invalid {
        what: String,
        source: modelet_artifact::Invalid,
    },
    #[error("{what} cannot be reached")]
    Store {
        what: String,
        source: Box<object_store::Error>,
    },
    #[error("{what} cannot be reached")]
    Registry {
        what: String,
        source: Box<OciDistributionError>,
    },
    #[error("the credentials for {registry} cannot be read: {reason}")]
    Credentials { registry: String, reason: String },
    #[error("there is no modelet at {0}")]
    Missing(String),
    #[error(
        "{place} has other bytes, {there}; a version is never overwritten: push {here} as another one"
    )]
    Taken {
        place: String,
        there: Digest,
        here: Digest,
    },
    #[error("{path} has other bytes, {there}; remove it, or pull {here} to another place")]
    InTheWay {
        path: PathBuf,
        there: Digest,
        here: Digest,
    },
    #[error("{what} is damaged: its bytes are {found}, and should be {expected}")]
    Damaged {
        what: String,
        expected: Digest,
        found: Digest,
    },
    #[error("{what} is no artifact of ours: {reason}")]
    Unsuitable { what: String, reason: String },
    #[error("{what} is not trusted: {source}")]
    Untrusted { what: String, source: Untrusted },
    #[error("{what} broke off; {kept} of {total} bytes are kept: pull again to go on from there")]
    Cut {
        what: String,
        kept: u64,
        total: u64,
        source: io::Error,
    },
    #[error("somebody else is writing {0}")]
    Busy(PathBuf),
}

impl TransferError {
    /// Whether it is of what was found there, and will be the same next time.
    pub fn is_of_content(&self) -> bool {
        matches!(
            self,
            TransferError::Invalid { .. }
                | TransferError::Damaged { .. }
                | TransferError::Unsuitable { .. }
        )
    }
}

pub fn read_error(path: &Path) -> impl Fn(io::Error) -> TransferError {
    move |source| TransferError::Read {
        path: path.to_owned(),
        source,
    }
}

pub fn write_error(path: &Path) -> impl Fn(io::Error) -> TransferError {
    move |source| TransferError::Write {
        path: path.to_owned(),
        source,
    }
}
