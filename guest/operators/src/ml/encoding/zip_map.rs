//! `ZipMap`: the table of scores as it is.
//!
//! The operator would make a list of maps from label to score. The serving protocol has only
//! tensors, so the table goes out, its columns in the order of the labels.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::identity::Identity;

use crate::ml::labels::Labels;

pub fn zip_map(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Labels::parse(node, "classlabels_int64s")?;
    Ok((Box::<Identity>::default(), vec![]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, ints, node, refusal};

    #[test]
    fn passes_the_table_on() {
        let table = tensor2(&[[0.25f32, 0.75], [1.0, 0.0]]);
        check(
            node("ZipMap", 1, vec![ints("classlabels_int64s", &[5, 7])]),
            table.clone(),
            &[table],
        );
        assert!(refusal(node("ZipMap", 1, vec![])).contains("classlabels"));
    }
}
