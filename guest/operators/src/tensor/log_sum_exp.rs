//! `ReduceLogSumExp`, whose exponentials do not overflow.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::math;
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer};

use crate::attributes;

pub fn log_sum_exp(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let reduction = LogSumExp {
        axes: attributes::list(node, "axes")?,
        axes_are_an_input: node.input.len() > 1 && !node.input[1].is_empty(),
        keep_dims: attributes::flag(node, "keepdims", true)?,
        none_is_none: attributes::flag(node, "noop_with_empty_axes", false)?,
    };
    Ok((expand(reduction), vec![]))
}

#[derive(Debug, Clone)]
struct LogSumExp {
    axes: Vec<i64>,
    /// From operator set 18 on.
    axes_are_an_input: bool,
    keep_dims: bool,
    /// Without axes nothing is added up; otherwise everything is.
    none_is_none: bool,
}

impl LogSumExp {
    /// The axes, ascending, of a tensor of this rank.
    fn axes(&self, given: Option<&Tensor>, rank: usize) -> TractResult<TVec<usize>> {
        let mut named = self.axes.clone();
        if let Some(given) = given {
            let given = given.cast_to::<i64>()?;
            named = given.try_as_plain_ram()?.as_slice::<i64>()?.to_vec();
        }
        if named.is_empty() && !self.none_is_none {
            return Ok((0..rank).collect());
        }
        let mut axes: TVec<usize> = tvec!();
        for name in named {
            let axis = if name < 0 { name + rank as i64 } else { name };
            match usize::try_from(axis) {
                Ok(axis) if axis < rank => axes.push(axis),
                _ => bail!("a tensor of rank {rank} has no axis {name}"),
            }
        }
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }

    /// The axes that come as an input.
    fn given(&self, model: &TypedModel, inputs: &[OutletId]) -> TractResult<Option<Arc<Tensor>>> {
        if !self.axes_are_an_input {
            return Ok(None);
        }
        let axes = model.outlet_fact(inputs[1])?.konst.clone();
        let axes = axes.context("the axes are not known when the model is loaded")?;
        Ok(Some(axes))
    }

    fn shape(&self, shape: &[TDim], axes: &[usize]) -> TVec<TDim> {
        let mut reduced: TVec<TDim> = tvec!();
        for (axis, size) in shape.iter().enumerate() {
            if !axes.contains(&axis) {
                reduced.push(size.clone());
            } else if self.keep_dims {
                reduced.push(1.to_dim());
            }
        }
        reduced
    }
}

impl Expansion for LogSumExp {
    fn name(&self) -> StaticName {
        "ReduceLogSumExp".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1 + usize::from(self.axes_are_an_input))?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        if !self.axes_are_an_input {
            return solver.given(&inputs[0].shape, move |solver, shape| {
                let axes = self.axes(None, shape.len())?;
                solver.equals(&outputs[0].shape, self.shape(&shape, &axes))
            });
        }
        solver.given_2(
            &inputs[0].shape,
            &inputs[1].value,
            move |solver, shape, axes| {
                let axes = self.axes(Some(&axes), shape.len())?;
                solver.equals(&outputs[0].shape, self.shape(&shape, &axes))
            },
        )
    }

    /// The largest element of each sum is taken out of it and added again at the end.
    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let fact = model.outlet_fact(inputs[0])?.clone();
        let axes = self.axes(self.given(model, inputs)?.as_deref(), fact.rank())?;
        let positive = model.add_const(format!("{prefix}.positive"), limit(&fact, 1.0)?)?;
        let negative = model.add_const(format!("{prefix}.negative"), limit(&fact, -1.0)?)?;
        let reduce = |reducer| Box::new(Reduce::new(axes.clone(), reducer));
        let mut step = |name: &str, op: Box<dyn TypedOp>, inputs: &[OutletId]| {
            let wire = model.wire_node(format!("{prefix}.{name}"), op, inputs);
            wire.map(|wire| wire[0])
        };
        let max = step("max", reduce(Reducer::Max), &inputs[..1])?;
        // An infinity less itself would be no number.
        let finite = step("above", Box::new(math::max()), &[max, negative])?;
        let finite = step("finite", Box::new(math::min()), &[finite, positive])?;
        let rest = step("rest", Box::new(math::sub()), &[inputs[0], finite])?;
        let exp = step("exp", Box::new(math::exp()), &[rest])?;
        let sum = step("sum", reduce(Reducer::Sum), &[exp])?;
        let log = step("log", Box::new(math::ln()), &[sum])?;
        let mut wire = step("whole", Box::new(math::add()), &[log, finite])?;
        if !self.keep_dims {
            for axis in axes.iter().rev() {
                let name = format!("without_{axis}");
                wire = step(&name, Box::new(AxisOp::Rm(*axis)), &[wire])?;
            }
        }
        Ok(tvec!(wire))
    }
}

/// The largest finite number of a type with this sign, to be combined with tensors like `fact`.
fn limit(fact: &TypedFact, sign: f64) -> TractResult<Tensor> {
    let largest = match fact.datum_type {
        DatumType::F16 => f64::from(f16::MAX.to_f32()),
        DatumType::F64 => f64::MAX,
        _ => f64::from(f32::MAX),
    };
    let limit = tensor0(largest * sign)
        .cast_to_dt(fact.datum_type)?
        .into_owned();
    limit.broadcast_into_rank(fact.rank())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, int, ints, node};

    #[test]
    fn large_numbers_do_not_overflow() {
        const INFINITY: f32 = f32::INFINITY;
        let rows = || {
            tensor2(&[
                [1000f32, 1000.0],
                [-1000.0, -1000.0],
                [-INFINITY, -INFINITY],
                [INFINITY, 0.0],
            ])
        };
        let expected = tensor2(&[[1000.6931f32], [-999.306_8], [-INFINITY], [INFINITY]]);
        let attributes = vec![ints("axes", &[-1])];
        check(node("ReduceLogSumExp", 1, attributes), rows(), &[expected]);
        let attributes = vec![ints("axes", &[1]), int("keepdims", 0)];
        let expected = tensor1(&[1000.6931f32, -999.306_8, -INFINITY, INFINITY]);
        check(node("ReduceLogSumExp", 1, attributes), rows(), &[expected]);
    }
}
