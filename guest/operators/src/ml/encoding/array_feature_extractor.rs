//! `ArrayFeatureExtractor`: some columns of a table, by their numbers.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::array::Gather;
use tract_onnx::tract_hir::tract_core::ops::cast::cast;

pub fn array_feature_extractor(
    _ctx: &ParsingContext,
    _node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(ArrayFeatureExtractor), vec![]))
}

/// The numbers may have any shape, a single one too; the last axis has one column for each.
#[derive(Debug, Clone)]
struct ArrayFeatureExtractor;

impl Expansion for ArrayFeatureExtractor {
    fn name(&self) -> StaticName {
        "ArrayFeatureExtractor".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        solver.given_2(
            &inputs[0].shape,
            &inputs[1].shape,
            move |solver, table, numbers| {
                ensure!(!table.is_empty(), "columns are wanted of a single value");
                let mut output = table;
                if let Some(last) = output.last_mut() {
                    *last = numbers.iter().product();
                }
                if output.len() == 1 {
                    output.insert(0, 1.to_dim());
                }
                solver.equals(&outputs[0].shape, output)
            },
        )
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let (mut table, mut numbers) = (inputs[0], inputs[1]);
        if model.outlet_fact(table)?.rank() == 1 {
            table = model.wire_node(format!("{prefix}.row"), AxisOp::Add(0), &[table])?[0];
        }
        let shape: TVec<TDim> = model.outlet_fact(numbers)?.shape.to_tvec();
        let flat = tvec!(shape.iter().product());
        if shape.len() != 1 {
            let flatten = AxisOp::Reshape(0, shape, flat);
            numbers = model.wire_node(format!("{prefix}.flat"), flatten, &[numbers])?[0];
        }
        let integer = cast(i64::datum_type());
        numbers = model.wire_node(format!("{prefix}.numbers"), integer, &[numbers])?[0];
        let axis = model.outlet_fact(table)?.rank() - 1;
        let gather = Gather {
            axis,
            output_type: None,
        };
        model.wire_node(prefix, gather, &[table, numbers])
    }
}
