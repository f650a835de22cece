//! The same values, of whichever datatype, in another shape.

use tract_onnx::tract_hir::internal::*;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reshaped {
    output: TypedFact,
}

pub fn own(node: &TypedNode, output: &TypedFact) -> Option<Box<dyn TypedOp>> {
    let reshaped = Reshaped {
        output: output.without_value(),
    };
    match node.op_as::<AxisOp>()? {
        AxisOp::Move(..) => None,
        AxisOp::Add(_) | AxisOp::Rm(_) | AxisOp::Reshape(..) => Some(reshaped.into()),
    }
}

impl Op for Reshaped {
    fn name(&self) -> StaticName {
        "Reshaped".into()
    }

    op_as_typed_op!();
}

impl TypedOp for Reshaped {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.output.clone()))
    }

    as_op!();
}

impl EvalOp for Reshaped {
    not_out_of_plan!();

    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = self.output.shape.eval_to_usize(context.symbols)?;
        let mut values = args_1!(inputs).into_tensor();
        values.set_shape(&shape)?;
        Ok(tvec!(values.into_tvalue()))
    }
}
