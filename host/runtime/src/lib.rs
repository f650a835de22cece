//! Compiles modelets once and calls them in fresh instances, in microseconds.
//!
//! Absences: no tokio, no HTTP, no policy. Calls block their thread; whoever calls from an async
//! runtime does so on a thread that may block.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod bindings;
mod cache;
mod compile;
pub mod contract;
mod engine;
mod error;
mod instance;
mod modelet;
mod parts;

pub use compile::Compiled;
pub use engine::{Config, Engine};
pub use error::{InferError, LoadError};
pub use modelet::{Limits, Modelet};
