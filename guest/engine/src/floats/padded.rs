//! Values within a border of one value.

use modelet_kernels::floats::layout::pad;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::array::{Pad, PadMode};

use super::{values, written};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Padded {
    before: TVec<usize>,
    after: TVec<usize>,
    /// A tensor of one value.
    border: Arc<Tensor>,
}

pub fn own(node: &TypedNode) -> Option<Box<dyn TypedOp>> {
    let op = node.op_as::<Pad>()?;
    let PadMode::Constant(border) = &op.mode else {
        return None;
    };
    let is_one = border.datum_type() == f32::datum_type() && border.len() == 1;
    let (before, after) = op.pads.iter().copied().unzip::<_, _, Vec<_>, Vec<_>>();
    let padded = Padded {
        before: before.into(),
        after: after.into(),
        border: border.clone(),
    };
    is_one.then(|| padded.into())
}

impl Op for Padded {
    fn name(&self) -> StaticName {
        "Padded".into()
    }

    op_as_typed_op!();
}

impl TypedOp for Padded {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let borders = self.before.iter().zip(&self.after);
        let axes = inputs[0].shape.iter().zip(borders);
        let shape: TVec<TDim> = axes
            .map(|(size, (before, after))| size.clone() + (before + after))
            .collect();
        Ok(tvec!(f32::fact(shape)))
    }

    as_op!();
}

impl EvalOp for Padded {
    not_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = inputs[0].shape();
        let borders = self.before.iter().zip(&self.after);
        let within: TVec<usize> = shape
            .iter()
            .zip(borders)
            .map(|(size, (before, after))| before + size + after)
            .collect();
        let border = *values(&self.border)?.first().context("no border")?;
        let values = values(&inputs[0])?;
        written(&within, |to| {
            pad(values, shape, &self.before, border, to, &within);
        })
    }
}
