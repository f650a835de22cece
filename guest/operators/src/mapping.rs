//! Operators from one tensor to one tensor, whose result's type and shape follow from the input's.

use tract_onnx::tract_hir::internal::*;

/// What such an operator computes.
pub trait Mapping: std::fmt::Debug + Clone + Eq + Send + Sync + 'static {
    const NAME: &'static str;

    /// The type and the shape of what `eval` makes of a tensor of this type and shape.
    fn result(&self, from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)>;

    fn eval(&self, input: &Tensor) -> TractResult<Tensor>;
}

pub fn mapping(mapping: impl Mapping) -> Box<dyn InferenceOp> {
    expand(Mapped(mapping))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapped<M>(M);

impl<M: Mapping> Op for Mapped<M> {
    fn name(&self) -> StaticName {
        M::NAME.into()
    }

    op_as_typed_op!();
}

impl<M: Mapping> EvalOp for Mapped<M> {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        Ok(tvec!(self.0.eval(&input)?.into_tvalue()))
    }
}

impl<M: Mapping> TypedOp for Mapped<M> {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let (datum_type, shape) = self
            .0
            .result(inputs[0].datum_type, &inputs[0].shape.to_tvec())?;
        Ok(tvec!(datum_type.fact(shape)))
    }

    as_op!();
}

impl<M: Mapping> Expansion for Mapped<M> {
    fn name(&self) -> StaticName {
        M::NAME.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.given_2(
            &inputs[0].datum_type,
            &inputs[0].shape,
            move |solver, from, shape| {
                let (datum_type, shape) = self.0.result(from, &shape)?;
                solver.equals(&outputs[0].datum_type, datum_type)?;
                solver.equals(&outputs[0].shape, shape)
            },
        )
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}
