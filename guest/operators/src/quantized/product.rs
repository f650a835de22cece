//! Products of rows that a request brings and a constant matrix.

use std::sync::Arc;

use modelet_kernels::integer::{Columns, Weights, product as multiply};
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::becoming::{Becoming, Zero, bytes, weights};
use crate::attributes::flag;

/// Takes levels, whose last axis is multiplied, and their zero point and scale where the model computes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizedProduct(Arc<Layer>);

#[derive(Debug, PartialEq, Eq)]
struct Layer {
    weights: Weights,
    zero: Zero,
    becoming: Becoming,
}

pub fn product(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let is_transposed = flag(node, "transB", false)?;
    let values = weights(ctx, node, if is_transposed { 0 } else { 1 })?;
    let [rows, depth] = *values.shape() else {
        bail!("weights of rank {}", values.rank());
    };
    let values = values.try_as_plain_ram()?;
    let values = values.as_slice::<i16>()?;
    let layer = Layer {
        weights: Weights::new(rows, depth, |row, at| values[row * depth + at]),
        zero: Zero::of(ctx, node)?,
        becoming: Becoming::of(ctx, node, rows)?,
    };
    Ok((expand(QuantizedProduct(Arc::new(layer))), vec![]))
}

impl Layer {
    fn shape<D: DimLike>(&self, input: &[D]) -> TractResult<TVec<D>> {
        let (depth, others) = input.split_last().context("rows")?;
        ensure!(
            *depth == self.weights.depth().into(),
            "rows of another size"
        );
        let mut shape: TVec<D> = others.into();
        shape.push(self.weights.rows().into());
        Ok(shape)
    }

    fn run(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let (input, zero) = (&inputs[0], self.zero.value(inputs)?);
        let factors = self.becoming.factors(inputs)?;
        let shape = self.shape(input.shape())?;
        let mut output = Tensor::zero_dt(self.becoming.datum_type(), &shape)?;
        let mut to = output.try_as_plain_ram_mut()?;
        let rows = self.weights.rows();
        let columns = bytes(input)?.less(zero);
        let mut written = self
            .becoming
            .output(&mut to, 0, 0..rows, [1, rows], &factors)?;
        multiply(&self.weights, Columns::Lines(&columns), &mut written);
        Ok(output)
    }
}

impl Expansion for QuantizedProduct {
    fn name(&self) -> StaticName {
        "QuantizedProduct".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, self.0.becoming.datum_type())?;
        solver.given(&inputs[0].shape, move |solver, shape| {
            solver.equals(&outputs[0].shape, self.0.shape(&shape)?)
        })
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

impl Op for QuantizedProduct {
    fn name(&self) -> StaticName {
        "QuantizedProduct".into()
    }

    op_as_typed_op!();
}

impl TypedOp for QuantizedProduct {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = self.0.shape(&inputs[0].shape)?;
        Ok(tvec!(self.0.becoming.datum_type().fact(shape)))
    }

    as_op!();
}

impl EvalOp for QuantizedProduct {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        Ok(tvec!(self.0.run(&inputs)?.into_tvalue()))
    }
}
