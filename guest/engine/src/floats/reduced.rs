//! One value from all along some axes.

use modelet_kernels::floats::reduction::{Along, Position, Reduction};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, Reducer};

use super::{neighbours, values, written};

/// Along the axes from `first` to `last`, which have a length of one afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reduced {
    first: usize,
    last: usize,
    to: To,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Value(Reduction),
    Position(Position),
}

pub fn own(node: &TypedNode) -> Option<Box<dyn TypedOp>> {
    let op = node.op_as::<Reduce>()?;
    let position = |of_least, last| To::Position(Position { of_least, last });
    let to = match op.reducer {
        Reducer::Sum => To::Value(Reduction::Sum),
        Reducer::MeanOfSquares => To::Value(Reduction::MeanOfSquares),
        Reducer::Max => To::Value(Reduction::Max),
        Reducer::Min => To::Value(Reduction::Min),
        Reducer::ArgMax(last) => position(false, last),
        Reducer::ArgMin(last) => position(true, last),
        Reducer::Prod | Reducer::All | Reducer::Any => return None,
    };
    let (first, last) = neighbours(&op.axes)?;
    Some(Reduced { first, last, to }.into())
}

impl Reduced {
    fn is_reduced(&self, axis: usize) -> bool {
        (self.first..=self.last).contains(&axis)
    }
}

impl Op for Reduced {
    fn name(&self) -> StaticName {
        "Reduced".into()
    }

    op_as_typed_op!();
}

impl TypedOp for Reduced {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.to_tvec();
        (self.first..=self.last).for_each(|axis| shape[axis] = 1.to_dim());
        let datum_type = match self.to {
            To::Value(_) => f32::datum_type(),
            To::Position(_) => i64::datum_type(),
        };
        Ok(tvec!(datum_type.fact(shape)))
    }

    as_op!();
}

impl EvalOp for Reduced {
    not_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = inputs[0].shape();
        let axes = shape.iter().enumerate();
        let reduced: TVec<usize> = axes
            .map(|(axis, size)| if self.is_reduced(axis) { 1 } else { *size })
            .collect();
        let along = Along::axes(shape, self.first, self.last);
        let values = values(&inputs[0])?;
        match self.to {
            To::Value(reduction) => written(&reduced, |to| reduction.write(values, along, to)),
            To::Position(position) => {
                // SAFETY: each value is written.
                let mut places = unsafe { Tensor::uninitialized::<i64>(&reduced)? };
                let mut to = places.try_as_plain_ram_mut()?;
                position.write(values, along, to.as_slice_mut::<i64>()?);
                Ok(tvec!(places.into_tvalue()))
            }
        }
    }
}
