//! tract's own builders of operators that this crate replaces only in part.

use tract_onnx::model::{OnnxOpRegister, ParsingContext};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// An operator's name in ONNX, and the name its builder is kept under.
pub type Kept = (&'static str, &'static str);

pub const QUANTIZE_LINEAR: Kept = ("QuantizeLinear", "tract's QuantizeLinear");
pub const SLICE: Kept = ("Slice", "tract's Slice");
pub const SPACE_TO_DEPTH: Kept = ("SpaceToDepth", "tract's SpaceToDepth");

const ALL: [Kept; 3] = [QUANTIZE_LINEAR, SLICE, SPACE_TO_DEPTH];

/// The name that tract's builder of an operator is kept under, if it is.
pub fn kept(name: &str) -> Option<&'static str> {
    let found = ALL.iter().find(|(original, _)| *original == name);
    found.map(|(_, kept)| *kept)
}

/// To be called before anything is replaced.
pub fn keep(operators: &mut OnnxOpRegister) {
    for (name, kept) in ALL {
        if let Some(original) = operators.0.get(name).copied() {
            operators.insert(kept, original);
        }
    }
}

pub fn build(
    (name, kept): Kept,
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let original = ctx.framework.op_register.0.get(kept);
    original.with_context(|| format!("tract has no {name}"))?(ctx, node)
}
