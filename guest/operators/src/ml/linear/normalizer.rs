//! `Normalizer`: each row divided by its norm.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

pub fn normalizer(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let norm = match node.get_attr_opt::<&str>("norm")? {
        None | Some("MAX") => Norm::Max,
        Some("L1") => Norm::L1,
        Some("L2") => Norm::L2,
        Some(unknown) => {
            node.bail_attr("norm", &format!("`{unknown}` is none of MAX, L1 or L2"))?
        }
    };
    Ok((expand(Normalizer { norm }), vec![]))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalizer {
    pub norm: Norm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// The largest value, with its sign: not the largest magnitude.
    Max,
    L1,
    L2,
}

impl Norm {
    fn of(self, row: &[f32]) -> f32 {
        match self {
            Norm::Max => row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            Norm::L1 => row.iter().map(|value| value.abs()).sum(),
            Norm::L2 => row.iter().map(|value| value * value).sum::<f32>().sqrt(),
        }
    }

    /// A row of norm zero stays as it is.
    pub fn divide(self, row: &mut [f32]) {
        let norm = self.of(row);
        if norm != 0.0 {
            row.iter_mut().for_each(|value| *value /= norm);
        }
    }
}

impl Op for Normalizer {
    fn name(&self) -> StaticName {
        "Normalizer".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Normalizer {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut table = args_1!(inputs).cast_to::<f32>()?.into_owned();
        let n_columns = table.shape().last().copied().unwrap_or(0);
        if n_columns > 0 {
            let mut plain = table.try_as_plain_ram_mut()?;
            for row in plain.as_slice_mut::<f32>()?.chunks_exact_mut(n_columns) {
                self.norm.divide(row);
            }
        }
        Ok(tvec!(table.into_tvalue()))
    }
}

impl TypedOp for Normalizer {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(inputs[0].shape.iter())))
    }

    as_op!();
}

impl Expansion for Normalizer {
    fn name(&self) -> StaticName {
        "Normalizer".into()
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
        solver.equals(&outputs[0].shape, &inputs[0].shape)
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
    use crate::cases::{check, node, refusal, string};

    #[test]
    fn divides_by_each_norm() {
        let rows = || tensor2(&[[3f32, -4.0], [0.0, 0.0]]);
        for (norm, expected) in [
            ("MAX", [1f32, -1.3333334]),
            ("L1", [0.42857143, -0.5714286]),
            ("L2", [0.6, -0.8]),
        ] {
            let expected = tensor2(&[expected, [0.0, 0.0]]);
            check(
                node("Normalizer", 1, vec![string("norm", norm)]),
                rows(),
                &[expected],
            );
        }
        assert!(refusal(node("Normalizer", 1, vec![string("norm", "L3")])).contains("L3"));
    }
}
