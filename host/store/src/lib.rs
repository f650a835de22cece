//! The model repository: `<repository>/<model>/<version>/model.wasm` and `<model>/model.toml`.
//!
//! Absences: no wasmtime, no HTTP; artifacts are bytes here.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod repository;

pub use repository::{
    ARTIFACT, ArtifactFile, Listing, ModelEntry, Problem, Repository, Stamp, StoreError,
};
