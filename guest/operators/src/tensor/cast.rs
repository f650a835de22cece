//! `Cast`, whose integers are what they are called.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::tract_hir::internal::*;

pub fn cast(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let number: i32 = node.get_attr("to")?;
    let of = DataType::try_from(number);
    let name = of.map_or("no datatype of ONNX", |of| of.as_str_name());
    let Some(to) = of.ok().and_then(|of| DatumType::try_from(of).ok()) else {
        return node.bail_attr(
            "to",
            &format!("{number} is {name}, which cannot be computed with"),
        );
    };
    Ok((expand(Cast { to }), vec![]))
}

#[derive(Debug, Clone)]
struct Cast {
    to: DatumType,
}

impl Cast {
    /// Sizes that hang on a symbol have no number yet: while exporters move them between INT64 and
    /// INT32 they stay tract's symbolic integers, or shapes made from them would be unknown. Anything
    /// else becomes what was asked for. (A detour over the symbolic type would cut 64 bits to 32.)
    fn from(&self, from: DatumType) -> DatumType {
        let stays = from == TDim::datum_type() && self.may_stay();
        if stays { from } else { self.to }
    }

    fn may_stay(&self) -> bool {
        matches!(self.to, DatumType::I32 | DatumType::I64)
    }
}

impl Expansion for Cast {
    fn name(&self) -> StaticName {
        "Cast".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].shape, &inputs[0].shape)?;
        if !self.may_stay() {
            return solver.equals(&outputs[0].datum_type, self.to);
        }
        solver.given(&inputs[0].datum_type, move |solver, from| {
            solver.equals(&outputs[0].datum_type, self.from(from))
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let from = model.outlet_fact(inputs[0])?.datum_type;
        model.wire_node(prefix, tract_core::ops::cast::cast(self.from(from)), inputs)
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::tensor_proto::DataType;

    use super::*;
    use crate::cases::{check, int, node};

    #[test]
    fn int64_is_64_bits_wide() {
        let cast = || node("Cast", 1, vec![int("to", DataType::Int64 as i64)]);
        check(
            cast(),
            tensor1(&[-1.9f32, 1.9, 2f32.powi(40)]),
            &[tensor1(&[-1i64, 1, 1 << 40])],
        );
        check(cast(), tensor1(&[1i64 << 40]), &[tensor1(&[1i64 << 40])]);
    }
}
