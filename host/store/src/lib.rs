//! The model repository, `<repository>/<model>/<version>/model.wasm` and `<model>/model.toml`, and the
//! state that outlives a process, in a database.
//!
//! Absences: no wasmtime, no HTTP; artifacts are bytes here.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod repository;
mod state;

pub use repository::{
    ARTIFACT, ArtifactFile, Listing, ModelEntry, Problem, Repository, Stamp, StoreError,
};
pub use state::{Entry, Joined, Prediction, Saved, State, StateError};
