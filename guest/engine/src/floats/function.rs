//! A function of each value, and softmax.

use modelet_kernels::floats::function::{Function, softmax};
use modelet_kernels::floats::reduction::Along;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::nn::{GeluApproximate, Softmax, SoftmaxKind};

use super::neighbours;

/// In place, unless somebody else has the values too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InPlace {
    Each(Function),
    /// Along the axes from the first to the last.
    Softmax {
        first: usize,
        last: usize,
        is_log: bool,
    },
}

pub fn own(node: &TypedNode) -> Option<Box<dyn TypedOp>> {
    if let Some(op) = node.op_as::<ElementWiseOp>() {
        let function = function(op)?;
        return op.1.is_none().then(|| InPlace::Each(function).into());
    }
    let op = node.op_as::<Softmax>()?;
    let (first, last) = neighbours(&op.axes)?;
    let is_log = op.kind == SoftmaxKind::LogSoftmax;
    let softmax = InPlace::Softmax {
        first,
        last,
        is_log,
    };
    Some(softmax.into())
}

fn function(op: &ElementWiseOp) -> Option<Function> {
    if let Some(gelu) = op.0.downcast_ref::<GeluApproximate>() {
        return (!gelu.fast_impl).then_some(Function::Gelu);
    }
    Some(match &*op.0.name() {
        "Square" => Function::Square,
        "Sqrt" => Function::Sqrt,
        "Recip" => Function::Recip,
        "Rsqrt" => Function::Rsqrt,
        "Exp" => Function::Exp,
        "Sigmoid" => Function::Sigmoid,
        _ => return None,
    })
}

impl Op for InPlace {
    fn name(&self) -> StaticName {
        match self {
            InPlace::Each(_) => "Each".into(),
            InPlace::Softmax { .. } => "Softmax".into(),
        }
    }

    op_as_typed_op!();
}

impl TypedOp for InPlace {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(inputs[0].without_value()))
    }

    as_op!();
}

impl EvalOp for InPlace {
    not_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut result = args_1!(inputs).into_tensor();
        let shape: TVec<usize> = result.shape().into();
        let mut values = result.try_as_plain_ram_mut()?;
        let values = values.as_slice_mut::<f32>()?;
        match *self {
            InPlace::Each(function) => function.apply(values),
            InPlace::Softmax {
                first,
                last,
                is_log,
            } => softmax(values, Along::axes(&shape, first, last), is_log),
        }
        Ok(tvec!(result.into_tvalue()))
    }
}
