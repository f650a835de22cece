//! `Slice`, whose ends may lie beyond any size.
//!
//! Exporters write "to the end" as a number too large to be a size. tract knows the largest integers
//! for that; another (TensorFlow's 10^9) becomes the size of an axis whose own size is a symbol.

use tract_onnx::model::{ParsingContext, optional_inputs};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::array::StridedSlice;

use crate::original;

/// From here on an end means: all the rest.
const NO_SIZE: i64 = 1_000_000_000;

pub fn slice(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    if (1..10).contains(&ctx.onnx_operator_set_version) {
        return original::build(original::SLICE, ctx, node);
    }
    let mut optional = optional_inputs(node).skip(3);
    let strided = StridedSlice {
        begin_mask: 0,
        end_mask: 0,
        shrink_axis_mask: 0,
        optional_axes_input: optional.next().flatten(),
        optional_steps_input: optional.next().flatten(),
    };
    Ok((expand(Slice { strided }), vec![]))
}

#[derive(Debug, Clone)]
struct Slice {
    strided: StridedSlice,
}

impl Slice {
    /// The ends that tract is to see, or nothing where they can stay.
    fn ends(&self, ends: &Tensor, steps: Option<&Tensor>) -> TractResult<Option<Tensor>> {
        if !matches!(ends.datum_type(), DatumType::I32 | DatumType::I64) {
            return Ok(None);
        }
        let mut ends = ends.cast_to::<i64>()?.into_owned();
        let steps = match steps {
            Some(steps) => steps
                .cast_to::<i64>()?
                .try_as_plain_ram()?
                .as_slice::<i64>()?
                .to_vec(),
            None => vec![],
        };
        let mut changed = false;
        for (index, end) in ends
            .try_as_plain_ram_mut()?
            .as_slice_mut::<i64>()?
            .iter_mut()
            .enumerate()
        {
            // Backwards, an end up there leaves nothing, which tract has right.
            if *end >= NO_SIZE && steps.get(index).copied().unwrap_or(1) > 0 {
                *end = i64::MAX;
                changed = true;
            }
        }
        Ok(changed.then_some(ends))
    }

    fn output_shape(&self, shape: &[TDim], parameters: &[Arc<Tensor>]) -> TractResult<TVec<TDim>> {
        let parameter = |input: Option<usize>| input.and_then(|input| parameters.get(input - 1));
        let steps = parameter(self.strided.optional_steps_input);
        let changed = self.ends(&parameters[1], steps.map(|steps| &**steps))?;
        let ends = changed.as_ref().unwrap_or(&parameters[1]);
        let steps: Vec<i32> = match steps {
            Some(steps) => integers(steps)?,
            None => vec![1; shape.len()],
        };
        let axes = match parameter(self.strided.optional_axes_input) {
            Some(axes) => self.axes(axes, shape.len())?,
            None => (0..parameters[0].len()).collect(),
        };
        let mut output: TVec<TDim> = shape.into();
        for (index, axis) in axes.into_iter().enumerate() {
            ensure!(axis < shape.len(), "there is no axis {axis} to slice");
            let range =
                self.strided
                    .prepare_one_dim(index, &shape[axis], &parameters[0], ends, &steps)?;
            output[axis] = range.soft_len()?;
        }
        Ok(output)
    }

    fn axes(&self, axes: &Tensor, rank: usize) -> TractResult<Vec<usize>> {
        let axis = |axis: i32| {
            if axis < 0 {
                axis as i64 + rank as i64
            } else {
                axis as i64
            }
        };
        integers(axes)?
            .into_iter()
            .map(|given| {
                usize::try_from(axis(given))
                    .with_context(|| format!("there is no axis {given} to slice"))
            })
            .collect()
    }
}

fn integers(tensor: &Tensor) -> TractResult<Vec<i32>> {
    Ok(tensor
        .cast_to::<i32>()?
        .try_as_plain_ram()?
        .as_slice::<i32>()?
        .to_vec())
}

impl Expansion for Slice {
    fn name(&self) -> StaticName {
        "Slice".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let optional = [
            self.strided.optional_axes_input,
            self.strided.optional_steps_input,
        ];
        check_input_arity(inputs, 3 + optional.into_iter().flatten().count())?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        solver.equals(&outputs[0].rank, &inputs[0].rank)?;
        for parameter in &inputs[1..] {
            solver.equals(&parameter.rank, 1)?;
            solver.equals(&parameter.shape[0], &inputs[1].shape[0])?;
        }
        if let Some(axes) = self.strided.optional_axes_input {
            solver.given_2(
                &inputs[axes].value,
                &inputs[0].rank,
                move |solver, axes, rank| {
                    let axes = self.axes(&axes, rank as usize)?;
                    (0..rank as usize)
                        .filter(|axis| !axes.contains(axis))
                        .try_for_each(|axis| {
                            solver.equals(&outputs[0].shape[axis], &inputs[0].shape[axis])
                        })
                },
            )?;
        }
        solver.given(&inputs[0].shape, move |solver, shape| {
            solver.given_all(
                inputs[1..].iter().map(|input| &input.value),
                move |solver, parameters| {
                    solver.equals(&outputs[0].shape, self.output_shape(&shape, &parameters)?)
                },
            )
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let mut inputs: TVec<OutletId> = inputs.into();
        let constant = |model: &TypedModel, outlet| {
            Ok::<_, TractError>(model.outlet_fact(outlet)?.konst.clone())
        };
        let steps = match self.strided.optional_steps_input {
            Some(steps) => constant(model, inputs[steps])?,
            None => None,
        };
        if let Some(ends) = constant(model, inputs[2])?
            && let Some(ends) = self.ends(&ends, steps.as_deref())?
        {
            inputs[2] = model.add_const(format!("{prefix}.ends"), ends)?;
        }
        model.wire_node(prefix, self.strided.clone(), &inputs)
    }
}
