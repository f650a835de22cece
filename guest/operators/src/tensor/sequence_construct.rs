//! `SequenceConstruct`: tensors of one shape as one tensor with a first axis more.
//!
//! The operator would make a list. The serving protocol has only tensors, so the list goes out as
//! one, in its order.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::array::TypedConcat;

pub fn sequence_construct(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let length = node.input.len();
    Ok((expand(SequenceConstruct { length }), vec![]))
}

#[derive(Debug, Clone)]
struct SequenceConstruct {
    length: usize,
}

impl Expansion for SequenceConstruct {
    fn name(&self) -> StaticName {
        "SequenceConstruct".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, self.length)?;
        check_output_arity(outputs, 1)?;
        for input in &inputs[1..] {
            solver.equals(&input.datum_type, &inputs[0].datum_type)?;
            solver.equals(&input.shape, &inputs[0].shape)?;
        }
        solver.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        solver.given(&inputs[0].shape, move |solver, mut shape| {
            shape.insert(0, self.length.to_dim());
            solver.equals(&outputs[0].shape, shape)
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let mut items = tvec!();
        for (position, &input) in inputs.iter().enumerate() {
            let name = format!("{prefix}.item_{position}");
            items.push(model.wire_node(name, AxisOp::Add(0), &[input])?[0]);
        }
        model.wire_node(prefix, TypedConcat::new(0), &items)
    }
}
