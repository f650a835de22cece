//! The Open Inference Protocol v2 as plain values: datatypes, tensors, signatures, and how they
//! are written as JSON and as binary tensors.
//!
//! Absences: this crate opens no socket, reads no file, and knows nothing of wasmtime or tract. It
//! compiles for wasm32, where the gateway and the browser host speak the same protocol.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod compare;
pub mod datatype;
pub mod golden;
pub mod rest;
pub mod rows;
pub mod signature;
pub mod tensor;

pub use compare::Difference;
pub use datatype::Datatype;
pub use golden::GoldenCase;
pub use signature::{Dimension, InvalidInput, Signature, TensorSpec};
pub use tensor::Tensor;
