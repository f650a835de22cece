//! The model repository, `<repository>/<model>/<version>/model.wasm` and `<model>/model.toml`, the way of
//! artifacts to and from others, their signatures, and the state that outlives a process, in a database.
//!
//! Absences: no wasmtime, and nobody is served; artifacts are looked at and never run here.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod digest;
mod file;
mod repository;
mod signature;
mod state;
pub mod transfer;

pub use digest::{Digest, InvalidDigest};
pub use repository::{
    ARTIFACT, ArtifactFile, Listing, ModelEntry, Problem, Repository, Stamp, StoreError,
};
pub use signature::{InvalidKey, PublicKey, SIGNATURE_ENDING, SecretKey, Untrusted, verify};
pub use state::{Entry, Joined, Prediction, Saved, State, StateError};
