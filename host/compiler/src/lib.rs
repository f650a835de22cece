//! Compiles modelets once: for this process, for the next one by a cache, or ahead for other machines.
//!
//! Absences: no tokio, no HTTP, no policy, and no call of a model.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod ahead;
mod cache;
mod compile;
mod functions;
mod parts;

pub use ahead::precompile;
pub use compile::{Compiled, Compiler, Config};
