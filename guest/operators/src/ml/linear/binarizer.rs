//! `Binarizer`: whether each value is above a threshold.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::mapping::{Mapping, mapping};

pub fn binarizer(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let threshold = node.get_attr_opt("threshold")?.unwrap_or(0.0);
    Ok((mapping(Binarizer { threshold }), vec![]))
}

#[derive(Debug, Clone, PartialEq)]
struct Binarizer {
    threshold: f32,
}

// The threshold is compared only to tell equal nodes from different ones.
impl Eq for Binarizer {}

impl Mapping for Binarizer {
    const NAME: &'static str = "Binarizer";

    fn result(&self, from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        ensure!(from.is_number(), "numbers are wanted, got {from:?}");
        Ok((from, shape.into()))
    }

    fn eval(&self, input: &Tensor) -> TractResult<Tensor> {
        let values = input.cast_to::<f64>()?;
        let values = values.try_as_plain_ram()?.as_slice::<f64>()?;
        let above = |value: &f64| f32::from(u8::from(*value > f64::from(self.threshold)));
        let above: Vec<f32> = values.iter().map(above).collect();
        let above = Tensor::from_shape(input.shape(), &above)?;
        Ok(above.cast_to_dt(input.datum_type())?.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, float, node};

    #[test]
    fn is_one_above_the_threshold_only() {
        let binarizer = || node("Binarizer", 1, vec![float("threshold", 1.5)]);
        check(
            binarizer(),
            tensor2(&[[1.5f32, 1.6], [f32::NAN, f32::INFINITY]]),
            &[tensor2(&[[0f32, 1.0], [0.0, 1.0]])],
        );
        check(binarizer(), tensor2(&[[1i64, 2]]), &[tensor2(&[[0i64, 1]])]);
    }
}
