//! ONNX operators that tract lacks or computes differently from ONNX Runtime.
//!
//! Absences: no unsafe code, no panic for a malformed file; a bad attribute is an error that names
//! its node when the file is loaded.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod activations;
#[cfg(test)]
mod cases;
mod cast;
mod ml;
mod original;
mod recurrent;
mod slice;
mod space_to_depth;

use tract_onnx::Onnx;

/// Teaches `onnx` the operators of this crate, in place of tract's own where it has one.
pub fn register(onnx: &mut Onnx) {
    let operators = &mut onnx.op_register;
    original::keep(operators);
    operators.insert(
        "ArrayFeatureExtractor",
        ml::array_feature_extractor::array_feature_extractor,
    );
    operators.insert("Cast", cast::cast);
    operators.insert("Celu", activations::celu);
    operators.insert("GRU", recurrent::gru);
    operators.insert("LSTM", recurrent::lstm);
    operators.insert("LinearClassifier", ml::linear_classifier::linear_classifier);
    operators.insert("Normalizer", ml::normalizer::normalizer);
    operators.insert("RNN", recurrent::rnn);
    operators.insert("Scaler", ml::scaler::scaler);
    operators.insert("Slice", slice::slice);
    operators.insert("SpaceToDepth", space_to_depth::space_to_depth);
    operators.insert("Swish", activations::swish);
    operators.insert(
        "TreeEnsembleClassifier",
        ml::tree_classifier::tree_classifier,
    );
    operators.insert("TreeEnsembleRegressor", ml::tree_regressor::tree_regressor);
    operators.insert("ZipMap", ml::zip_map::zip_map);
}
