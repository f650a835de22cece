//! ONNX operators that tract lacks or computes differently from ONNX Runtime.
//!
//! Absences: no unsafe code, no panic for a malformed file; a bad attribute is an error that names
//! its node when the file is loaded.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod activations;
mod advice;
pub mod attributes;
#[cfg(test)]
mod cases;
mod mapping;
mod ml;
mod needed;
mod original;
pub mod quantized;
mod recurrent;
mod tensor;
mod unknown;

use tract_onnx::Onnx;

pub use advice::unusable;
pub use needed::needed;
pub use unknown::{full_name, name, refuse};

/// Teaches `onnx` the operators of this crate, in place of tract's own where it has one.
pub fn register(onnx: &mut Onnx) {
    let operators = &mut onnx.op_register;
    original::keep(operators);
    operators.insert("Celu", activations::celu);
    operators.insert("GRU", recurrent::gru);
    operators.insert("LSTM", recurrent::lstm);
    operators.insert("RNN", recurrent::rnn);
    operators.insert("Swish", activations::swish);
    ml::register(operators);
    quantized::register(operators);
    tensor::register(operators);
}
