//! `SpaceToDepth`: tract's own, which knows one order of the depth and reads no `mode`.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::original;

pub fn space_to_depth(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let mode = node.get_attr_opt::<&str>("mode")?.unwrap_or("DCR");
    node.expect_attr("mode", mode == "DCR", || format!("DCR, got {mode}"))?;
    original::build(original::SPACE_TO_DEPTH, ctx, node)
}
