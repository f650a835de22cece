//! `Scaler`: each feature less its offset, times its scale.

use std::ops::{Mul, Sub};

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

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
    let n_features = offset.len().max(scale.len());
    let pairs = offset.into_iter().cycle().zip(scale.into_iter().cycle());
    let features = pairs.take(n_features).collect();
    Ok((expand(Scaler { features }), vec![]))
}

#[derive(Debug, Clone, PartialEq)]
struct Scaler {
    /// Offset and scale of each feature, or of all.
    features: Vec<(f32, f32)>,
}

impl Eq for Scaler {}

impl Scaler {
    fn scaled<T>(&self, mut table: Tensor) -> TractResult<Tensor>
    where
        T: Datum + Copy + From<f32> + Sub<Output = T> + Mul<Output = T>,
    {
        let scaled = |value, (offset, scale)| (value - T::from(offset)) * T::from(scale);
        let mut plain = table.try_as_plain_ram_mut()?;
        let values = plain.as_slice_mut::<T>()?;
        if let [of_all] = self.features[..] {
            values
                .iter_mut()
                .for_each(|value| *value = scaled(*value, of_all));
            return Ok(table);
        }
        let n_features = self.features.len();
        ensure!(
            values.len().is_multiple_of(n_features),
            "{n_features} features are wanted in each row"
        );
        for row in values.chunks_exact_mut(n_features) {
            for (value, feature) in row.iter_mut().zip(&self.features) {
                *value = scaled(*value, *feature);
            }
        }
        Ok(table)
    }
}

impl Op for Scaler {
    fn name(&self) -> StaticName {
        "Scaler".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Scaler {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let table = args_1!(inputs);
        // Doubles keep their precision until the end.
        let scaled = if table.datum_type() == f64::datum_type() {
            let scaled = self.scaled::<f64>(table.into_tensor())?;
            scaled.cast_to::<f32>()?.into_owned()
        } else if table.datum_type() == f32::datum_type() {
            self.scaled::<f32>(table.into_tensor())?
        } else {
            self.scaled::<f32>(table.cast_to::<f32>()?.into_owned())?
        };
        Ok(tvec!(scaled.into_tvalue()))
    }
}

impl TypedOp for Scaler {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(inputs[0].shape.iter())))
    }

    as_op!();
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
        let n_features = self.features.len();
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
        model.wire_node(prefix, self.clone(), inputs)
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
