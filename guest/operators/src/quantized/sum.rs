//! Sums of what two tensors of levels stand for.

use modelet_kernels::integer::add;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::binary::wire_rank_broadcast;
use tract_onnx::tract_hir::tract_core::broadcast::multi_broadcast;
use tract_onnx::tract_hir::tract_core::ops::array::MultiBroadcastTo;

use super::becoming::{ResultLevels, bytes, number};

#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedSum {
    operands: [Operand; 2],
    result: ResultLevels,
}

impl Eq for QuantizedSum {}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Operand {
    zero: i16,
    /// In steps of the result's scale.
    factor: f32,
}

pub fn sum(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let result = ResultLevels::of(ctx, node)?.context("y_scale")?;
    let operand = |scale: &str, zero: &str| -> TractResult<Operand> {
        let scale = number::<f32>(ctx, node, scale)?.context("a scale")?;
        Ok(Operand {
            zero: number(ctx, node, zero)?.unwrap_or(0),
            factor: scale / result.scale,
        })
    };
    let operands = [
        operand("a_scale", "a_zero_point")?,
        operand("b_scale", "b_zero_point")?,
    ];
    Ok((expand(QuantizedSum { operands, result }), vec![]))
}

impl Expansion for QuantizedSum {
    fn name(&self) -> StaticName {
        "QuantizedSum".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, self.result.datum_type)?;
        solver.given_2(
            &inputs[0].shape,
            &inputs[1].shape,
            move |solver, left, right| {
                solver.equals(&outputs[0].shape, multi_broadcast(&[left, right])?)
            },
        )
    }

    /// Levels are repeated where one of the two has fewer.
    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let mut inputs = wire_rank_broadcast(prefix, model, inputs)?;
        let shape = |model: &TypedModel, input: OutletId| -> TractResult<TVec<TDim>> {
            Ok(model.outlet_fact(input)?.shape.to_tvec())
        };
        let shapes = [shape(model, inputs[0])?, shape(model, inputs[1])?];
        let whole = multi_broadcast(&shapes)?;
        for (index, input) in inputs.iter_mut().enumerate() {
            if shapes[index] != whole {
                let repeat = MultiBroadcastTo::new(whole.clone().into());
                *input = model.wire_node(format!("{prefix}.{index}"), repeat, &[*input])?[0];
            }
        }
        model.wire_node(prefix, self.clone(), &inputs)
    }
}

impl Op for QuantizedSum {
    fn name(&self) -> StaticName {
        "QuantizedSum".into()
    }

    op_as_typed_op!();
}

impl TypedOp for QuantizedSum {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        ensure!(
            inputs[0].shape == inputs[1].shape,
            "sums of tensors of different shapes"
        );
        let shape = inputs[0].shape.clone();
        Ok(tvec!(self.result.datum_type.fact(shape)))
    }

    as_op!();
}

impl EvalOp for QuantizedSum {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let [left, right] = &self.operands;
        let (a, b) = (bytes(&inputs[0])?, bytes(&inputs[1])?);
        ensure!(a.len() == b.len(), "sums of tensors of different sizes");
        let mut output = Tensor::zero_dt(self.result.datum_type, inputs[0].shape())?;
        let mut to = output.try_as_plain_ram_mut()?;
        let operands = [(a, left.zero, left.factor), (b, right.zero, right.factor)];
        add(operands, &self.result.steps, to.as_bytes_mut());
        Ok(tvec!(output.into_tvalue()))
    }
}
