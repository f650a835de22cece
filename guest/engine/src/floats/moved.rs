//! An axis at another place among the others.

use modelet_kernels::floats::layout::transpose;
use tract_onnx::tract_hir::internal::*;

use super::{values, written};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Moved {
    from: usize,
    to: usize,
}

pub fn own(node: &TypedNode) -> Option<Box<dyn TypedOp>> {
    match *node.op_as::<AxisOp>()? {
        AxisOp::Move(from, to) => Some(Moved { from, to }.into()),
        _ => None,
    }
}

impl Op for Moved {
    fn name(&self) -> StaticName {
        "Moved".into()
    }

    op_as_typed_op!();
}

impl TypedOp for Moved {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.to_tvec();
        let axis = shape.remove(self.from);
        shape.insert(self.to, axis);
        Ok(tvec!(f32::fact(shape)))
    }

    as_op!();
}

impl EvalOp for Moved {
    not_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = inputs[0].shape();
        let size = |axes: &[usize]| axes.iter().product();
        let (first, last) = (self.from.min(self.to), self.from.max(self.to));
        // It changes places with those that it goes past.
        let middle = if self.from < self.to { first + 1 } else { last };
        let sizes = [
            size(&shape[..first]),
            size(&shape[first..middle]),
            size(&shape[middle..=last]),
            size(&shape[last + 1..]),
        ];
        let mut moved: TVec<usize> = shape.into();
        let axis = moved.remove(self.from);
        moved.insert(self.to, axis);
        let values = values(&inputs[0])?;
        written(&moved, |to| transpose(values, sizes, to))
    }
}
