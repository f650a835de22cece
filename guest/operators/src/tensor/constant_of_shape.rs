//! `ConstantOfShape`: one value in a shape that may have open dimensions.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{NodeProto, TensorProto};
use tract_onnx::tract_hir::internal::*;

pub fn constant_of_shape(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let value = match node.get_attr_opt::<&TensorProto>("value")? {
        Some(value) => ctx.load_tensor(value)?,
        None => tensor1(&[0f32]),
    };
    node.expect_attr("value", value.len() == 1, "one element")?;
    let value = value.into_shape(&[])?.into_arc_tensor();
    Ok((expand(ConstantOfShape { value }), vec![]))
}

#[derive(Debug, Clone)]
struct ConstantOfShape {
    value: Arc<Tensor>,
}

impl Expansion for ConstantOfShape {
    fn name(&self) -> StaticName {
        "ConstantOfShape".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, self.value.datum_type())?;
        solver.equals(&inputs[0].rank, 1)?;
        solver.equals(&inputs[0].shape[0], outputs[0].rank.bex().to_dim())?;
        solver.given(&inputs[0].value, move |solver, shape| {
            solver.equals(&outputs[0].shape, dimensions(&shape)?)
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let shape = model.outlet_fact(inputs[0])?.konst.clone();
        let shape =
            dimensions(&*shape.context("the shape is not known when the model is loaded")?)?;
        let value = model.add_const(format!("{prefix}.value"), self.value.clone())?;
        let shape = shape.into();
        model.wire_node(prefix, Filled { shape }, &[value])
    }
}

fn dimensions(shape: &Tensor) -> TractResult<TVec<TDim>> {
    let shape = shape.cast_to::<TDim>()?;
    Ok(shape.try_as_plain_ram()?.as_slice::<TDim>()?.into())
}

/// A single value everywhere. It is not tract's own broadcast, which tract takes out from before a
/// product of matrices, whatever axes the product sums over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Filled {
    shape: ShapeFact,
}

impl Op for Filled {
    fn name(&self) -> StaticName {
        "ConstantOfShape".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Filled {
    op_out_of_plan!();

    fn eval(&self, ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = self.shape.eval_to_usize(ctx.symbols)?;
        Ok(tvec!(inputs[0].broadcast_to_shape(&shape)?.into_tvalue()))
    }
}

impl TypedOp for Filled {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(inputs[0].datum_type.fact(self.shape.clone())))
    }

    as_op!();
}
