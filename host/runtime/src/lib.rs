//! Calls modelets in fresh instances, in microseconds.
//!
//! Absences: no compiler, no tokio, no HTTP, no policy. Calls block their thread; whoever calls from an
//! async runtime does so on a thread that may block.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod bindings;
pub mod contract;
mod engine;
mod error;
mod instance;
mod modelet;
pub mod precompiled;
mod target;

pub use engine::Engine;
pub use error::{InferError, LoadError};
pub use instance::{Bounds, panic_message};
pub use modelet::{Limits, Modelet};
pub use precompiled::Precompiled;
pub use target::Target;
