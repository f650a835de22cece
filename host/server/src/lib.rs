//! The HTTP and gRPC front of the host, on one port.
//!
//! A request's way is `request.rs`; what is loaded is `registry.rs`; which error is which status is
//! `respond.rs`.
//!
//! Absences: no tract, no builder, no command line. The caller brings the listener and says when to
//! stop.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod admin;
mod app;
mod attempt;
mod config;
mod connection;
mod grpc;
mod registry;
mod replica;
mod request;
mod respond;
mod rest;
mod rollouts;
mod route;
mod statistics;

pub use app::{App, StartError};
pub use config::{Config, Role, Token};
pub use connection::{REQUEST_LOG, run};
pub use replica::{follow, tell};
