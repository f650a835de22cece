//! `Flatten`, also where several dimensions are open.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::array;

pub fn flatten(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let axis = node.get_attr_opt("axis")?.unwrap_or(1);
    Ok((expand(Flatten { axis }), vec![]))
}

#[derive(Debug, Clone)]
struct Flatten {
    /// The first axis of the second half; counted from the end where negative.
    axis: i64,
}

impl Flatten {
    fn halves<'a>(&self, shape: &'a [TDim]) -> TractResult<(&'a [TDim], &'a [TDim])> {
        let rank = shape.len() as i64;
        let axis = if self.axis < 0 {
            self.axis + rank
        } else {
            self.axis
        };
        let halves = usize::try_from(axis)
            .ok()
            .and_then(|axis| shape.split_at_checked(axis));
        halves.with_context(|| format!("a tensor of rank {rank} has no axis {}", self.axis))
    }
}

impl Expansion for Flatten {
    fn name(&self) -> StaticName {
        "Flatten".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        solver.given(&inputs[0].shape, move |solver, shape| {
            let (rows, columns) = self.halves(&shape)?;
            let table: TVec<TDim> = tvec!(rows.iter().product(), columns.iter().product());
            solver.equals(&outputs[0].shape, table)
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let shape: TVec<TDim> = model.outlet_fact(inputs[0])?.shape.to_tvec();
        let (rows, columns) = self.halves(&shape)?;
        // tract knows better steps for the shapes that it takes, and a table needs none.
        if shape.iter().filter(|size| size.to_usize().is_err()).count() <= 1 {
            return array::Flatten::new(self.axis).wire(prefix, model, inputs);
        }
        let mut wire = inputs[0];
        for (start, half, step) in [(rows.len(), columns, "columns"), (0, rows, "rows")] {
            if half.len() != 1 {
                let flat = tvec!(half.iter().product());
                let reshape = AxisOp::Reshape(start, half.into(), flat);
                wire = model.wire_node(format!("{prefix}.{step}"), reshape, &[wire])?[0];
            }
        }
        Ok(tvec!(wire))
    }
}
