//! The gateway on wasmtime's own host of WASI HTTP and in `wasmtime serve`, over real HTTP: `cargo xtask gateway`.
//!
//! Spin itself is not here, because no package registry has it. What it does is done as its source does
//! it: the modelets are composed by what `spin.toml` says, and the key-value store is offered as its
//! interface describes it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod application;
mod client;
mod cost;
mod golden;
mod host;
mod manifest;
#[allow(dead_code, reason = "the server's tests have more of them")]
#[path = "../../../host/server/tests/server/modelet.rs"]
mod modelet;
mod protection;
mod refused;
mod rollouts;
mod same;
mod serve;
mod shelf;
