//! Every decision about which model answers, as pure functions over plain values.
//!
//! Absences: no clock, no environment, no file, no thread, no randomness, no async. Time and keys
//! are arguments. It compiles for wasm32 and decides the same there.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

pub mod batching;
pub mod breaker;
pub mod condition;
pub mod deployment;
pub mod ensemble;
pub mod fallback;
pub mod feedback;
pub mod guard;
pub mod names;
pub mod retry;
pub mod rollout;
pub mod routing;
pub mod spec;
pub mod statistics;
pub mod units;
pub mod versions;
