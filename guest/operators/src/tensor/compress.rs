//! `Compress`: what a list of conditions picks, whose number is known only when it runs.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

pub fn compress(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let compress = Compress {
        axis: node.get_attr_opt("axis")?,
        n_picked: ctx.template.symbols.new_with_prefix("picked"),
    };
    Ok((expand(compress), vec![]))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Compress {
    /// Counted from the end where negative. Without one the elements are picked from, in a row.
    axis: Option<i64>,
    n_picked: Symbol,
}

impl Compress {
    /// The shape with the picked dimension, and which it is.
    fn shape<D: Clone>(&self, shape: &[D], picked: D) -> TractResult<(TVec<D>, Option<usize>)> {
        let Some(axis) = self.axis else {
            return Ok((tvec!(picked), None));
        };
        let from_start = if axis < 0 {
            axis + shape.len() as i64
        } else {
            axis
        };
        let axis = usize::try_from(from_start).ok();
        let Some(axis) = axis.filter(|axis| *axis < shape.len()) else {
            bail!("a tensor of rank {} has no axis {axis:?}", shape.len());
        };
        let mut shape: TVec<D> = shape.into();
        shape[axis] = picked;
        Ok((shape, Some(axis)))
    }
}

impl Op for Compress {
    fn name(&self) -> StaticName {
        "Compress".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Compress {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (input, conditions) = args_2!(inputs);
        let conditions = conditions.try_as_plain_ram()?.as_slice::<bool>()?;
        let places: Vec<usize> = (0..conditions.len())
            .filter(|place| conditions[*place])
            .collect();
        let (shape, axis) = self.shape(input.shape(), places.len())?;
        let (input, axis) = match axis {
            Some(axis) => (input.into_tensor(), axis),
            None => {
                let length = input.len();
                (input.into_tensor().into_shape(&[length])?, 0)
            }
        };
        let length = input.shape()[axis];
        ensure!(
            places.iter().all(|place| *place < length),
            "a condition is true beyond the {length} that there are"
        );
        if places.is_empty() {
            let none = Tensor::zero_dt(input.datum_type(), &shape)?;
            return Ok(tvec!(none.into_tvalue()));
        }
        let picked: Vec<Tensor> = places
            .iter()
            .map(|&place| input.slice(axis, place, place + 1))
            .collect::<TractResult<_>>()?;
        Ok(tvec!(Tensor::stack_tensors(axis, &picked)?.into_tvalue()))
    }
}

impl TypedOp for Compress {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let (shape, _) = self.shape(&inputs[0].shape.to_tvec(), self.n_picked.to_dim())?;
        Ok(tvec!(inputs[0].datum_type.fact(shape)))
    }

    as_op!();
}

impl Expansion for Compress {
    fn name(&self) -> StaticName {
        "Compress".into()
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
        solver.equals(&inputs[1].datum_type, bool::datum_type())?;
        solver.equals(&inputs[1].rank, 1)?;
        let Some(axis) = self.axis else {
            return solver.equals(&outputs[0].rank, 1);
        };
        // How many are picked has a number where the conditions are known already, and a symbol only
        // once it is certain that they are not.
        solver.equals(&outputs[0].rank, &inputs[0].rank)?;
        solver.given(&inputs[0].rank, move |solver, rank| {
            let from_start = if axis < 0 { axis + rank } else { axis };
            for other in (0..rank).filter(|other| *other != from_start) {
                let other = other as usize;
                solver.equals(&outputs[0].shape[other], &inputs[0].shape[other])?;
            }
            Ok(())
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
