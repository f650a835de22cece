//! From an ONNX file to a modelet: a component without imports whose memory already holds the
//! prepared model. One file per stage.
//!
//! Absences: no server, no store, no policy; nothing is written anywhere but to the code cache.
//! The caller gets bytes and facts.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod build;
mod check;
mod seal;
mod snapshot;
mod template;

pub use build::{Builder, Built, Options, Stage};
