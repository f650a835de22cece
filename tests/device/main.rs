//! Small devices: what `modelet compile` writes and `modelet-device` runs, as static binaries for this
//! machine, for another one in an emulator, and in wasmtime's portable bytecode.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "the end-to-end tests use all of it")]
#[path = "../e2e/built.rs"]
mod built;
mod device;
mod files;
mod golden;
mod lines;
#[allow(dead_code, reason = "the server's tests use all of it")]
#[path = "../../host/server/tests/server/modelet.rs"]
mod modelet;
mod size;
mod stories;
