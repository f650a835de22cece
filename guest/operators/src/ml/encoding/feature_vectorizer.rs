//! `FeatureVectorizer`: tables side by side, as floats.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::array::TypedConcat;
use tract_onnx::tract_hir::tract_core::ops::cast::cast;

pub fn feature_vectorizer(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let widths: Vec<i64> = node.get_attr_vec("inputdimensions")?;
    node.expect_attr("inputdimensions", widths.len() == node.input.len(), || {
        format!(
            "one for each of {} inputs, got {}",
            node.input.len(),
            widths.len()
        )
    })?;
    Ok((expand(FeatureVectorizer { widths }), vec![]))
}

#[derive(Debug, Clone)]
struct FeatureVectorizer {
    /// How many columns each input has.
    widths: Vec<i64>,
}

impl Expansion for FeatureVectorizer {
    fn name(&self) -> StaticName {
        "FeatureVectorizer".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, self.widths.len())?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, f32::datum_type())?;
        solver.equals(&outputs[0].rank, 2)?;
        solver.equals(
            &outputs[0].shape[1],
            self.widths.iter().sum::<i64>().to_dim(),
        )?;
        for (input, width) in inputs.iter().zip(&self.widths) {
            crate::ml::same_rows(solver, input, &outputs[0])?;
            solver.given(&input.rank, move |solver, rank| {
                solver.equals(&input.shape[rank as usize - 1], width.to_dim())
            })?;
        }
        Ok(())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let mut tables = tvec!();
        for (position, &input) in inputs.iter().enumerate() {
            let name = |step| format!("{prefix}.{step}_{position}");
            let mut table = model.wire_node(name("float"), cast(f32::datum_type()), &[input])?[0];
            if model.outlet_fact(table)?.rank() == 1 {
                table = model.wire_node(name("row"), AxisOp::Add(0), &[table])?[0];
            }
            tables.push(table);
        }
        model.wire_node(prefix, TypedConcat::new(1), &tables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, ints, node, refusal};

    #[test]
    fn tables_become_floats() {
        check(
            node("FeatureVectorizer", 1, vec![ints("inputdimensions", &[2])]),
            tensor2(&[[1i64, 2], [3, 4]]),
            &[tensor2(&[[1f32, 2.0], [3.0, 4.0]])],
        );
    }

    #[test]
    fn refuses_widths_that_do_not_fit() {
        let widths = |widths| {
            node(
                "FeatureVectorizer",
                1,
                vec![ints("inputdimensions", widths)],
            )
        };
        assert!(refusal(widths(&[1, 1])).contains("got 2"));
        refusal(widths(&[3]));
    }
}
