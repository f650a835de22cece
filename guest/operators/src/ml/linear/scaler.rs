//! `Scaler`: each feature less its offset, times its scale.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::tract_core::ops::math::{mul, sub};

pub fn scaler(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let offset: Vec<f32> = node
        .get_attr_opt_vec("offset")?
        .unwrap_or_else(|| vec![0.0]);
    let scale: Vec<f32> = node.get_attr_opt_vec("scale")?.unwrap_or_else(|| vec![1.0]);
    let agree = offset.len() == scale.len() || offset.len() == 1 || scale.len() == 1;
    node.expect(agree && !offset.is_empty() && !scale.is_empty(), || {
        format!(
            "one offset and one scale, or one for each feature, got {} and {}",
            offset.len(),
            scale.len()
        )
    })?;
    Ok((
        expand(Scaler {
            offset: rctensor1(&offset),
            scale: rctensor1(&scale),
        }),
        vec![],
    ))
}

#[derive(Debug, Clone)]
struct Scaler {
    /// One value, or one for each feature.
    offset: Arc<Tensor>,
    scale: Arc<Tensor>,
}

impl Scaler {
    /// Wires a constant that lines up with the last axis of the operand.
    fn constant(
        model: &mut TypedModel,
        name: String,
        values: &Tensor,
        operand: &TypedFact,
    ) -> TractResult<OutletId> {
        let values = values.cast_to_dt(operand.datum_type)?.into_owned();
        model.add_const(name, values.broadcast_into_rank(operand.rank())?)
    }
}

impl Expansion for Scaler {
    fn name(&self) -> StaticName {
        "Scaler".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, f32::datum_type())?;
        solver.equals(&outputs[0].shape, &inputs[0].shape)?;
        let n_features = self.offset.len().max(self.scale.len());
        solver.given(&inputs[0].rank, move |solver, rank| {
            ensure!(rank > 0, "a scaler wants features, got a single value");
            match n_features {
                1 => Ok(()),
                _ => solver.equals(&inputs[0].shape[rank as usize - 1], n_features.to_dim()),
            }
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let mut wire = inputs[0];
        // Doubles keep their precision until the end.
        if model.outlet_fact(wire)?.datum_type != f64::datum_type() {
            wire = model.wire_node(format!("{prefix}.float"), cast(f32::datum_type()), &[wire])?[0];
        }
        let fact = model.outlet_fact(wire)?.clone();
        let offset = Self::constant(model, format!("{prefix}.offset"), &self.offset, &fact)?;
        let scale = Self::constant(model, format!("{prefix}.scale"), &self.scale, &fact)?;
        wire = model.wire_node(format!("{prefix}.shifted"), sub(), &[wire, offset])?[0];
        wire = model.wire_node(format!("{prefix}.scaled"), mul(), &[wire, scale])?[0];
        model.wire_node(prefix, cast(f32::datum_type()), &[wire])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, floats, node, refusal};

    fn node_of(offset: &[f32], scale: &[f32]) -> NodeProto {
        node(
            "Scaler",
            1,
            vec![floats("offset", offset), floats("scale", scale)],
        )
    }

    #[test]
    fn scales_each_feature() {
        let expected = tensor2(&[[1f32, 0.3], [-3.0, 0.1]]);
        let (offset, scale) = ([0.5, -1.0], [2.0, 0.1]);
        check(
            node_of(&offset, &scale),
            tensor2(&[[1f32, 2.0], [-1.0, 0.0]]),
            std::slice::from_ref(&expected),
        );
        check(
            node_of(&offset, &scale),
            tensor2(&[[1f64, 2.0], [-1.0, 0.0]]),
            &[expected],
        );
        let whole = tensor2(&[[1i64, 2], [-1, 0]]);
        check(
            node_of(&[0.5], &[2.0]),
            whole,
            &[tensor2(&[[1f32, 3.0], [-3.0, -1.0]])],
        );
    }

    #[test]
    fn refuses_lists_that_do_not_fit() {
        assert!(refusal(node_of(&[1.0, 2.0], &[1.0, 2.0, 3.0])).contains("2 and 3"));
        assert!(refusal(node_of(&[], &[1.0])).contains("0 and 1"));
        // The row has two features.
        refusal(node_of(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]));
    }
}
