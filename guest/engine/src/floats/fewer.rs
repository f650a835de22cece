//! Some of the values: each so many along an axis, or the greatest of each window of an image.

use modelet_kernels::floats::layout::downsample;
use modelet_kernels::floats::pool::MaxPool;
use modelet_kernels::floats::reduction::Along;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::Downsample;
use tract_onnx::tract_hir::tract_core::ops::cnn::OptMaxPool;

use super::{values, written};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fewer {
    output: TypedFact,
    which: Which,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Every {
        axis: usize,
        first: usize,
        step: usize,
    },
    Greatest(MaxPool),
}

pub fn own(node: &TypedNode, input: &TypedFact, output: &TypedFact) -> Option<Box<dyn TypedOp>> {
    let which = match node.op_as::<Downsample>() {
        Some(op) => Which::Every {
            axis: op.axis,
            first: op.modulo,
            step: usize::try_from(op.stride).ok()?,
        },
        None => Which::Greatest(pool(node.op_as()?, input)?),
    };
    let output = output.without_value();
    Some(Fewer { output, which }.into())
}

/// Of images whose channels lie one after the other.
fn pool(op: &OptMaxPool, input: &TypedFact) -> Option<MaxPool> {
    let spec = &op.pool_spec;
    if op.with_index_outputs.is_some() || spec.data_format.c_is_last() {
        return None;
    }
    let shape = spec.data_format.shape(input.shape.as_concrete()?).ok()?;
    let [height, width] = *shape.hw_dims() else {
        return None;
    };
    let padding = spec.computed_padding(shape.hw_dims());
    let [down, across] = &*padding else {
        return None;
    };
    let each = |value: &dyn Fn(usize) -> usize| [value(0), value(1)];
    Some(MaxPool {
        image: [height, width],
        before: [down.pad_before, across.pad_before],
        window: each(&|axis| spec.kernel_shape[axis]),
        steps: each(&|axis| spec.stride(axis)),
        dilations: each(&|axis| spec.dilation(axis)),
        outputs: [down.convoluted, across.convoluted],
    })
}

impl Op for Fewer {
    fn name(&self) -> StaticName {
        match self.which {
            Which::Every { .. } => "Every".into(),
            Which::Greatest(_) => "MaxPool".into(),
        }
    }

    op_as_typed_op!();
}

impl TypedOp for Fewer {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.output.clone()))
    }

    as_op!();
}

impl EvalOp for Fewer {
    not_out_of_plan!();

    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = self.output.shape.eval_to_usize(context.symbols)?;
        let values = values(&inputs[0])?;
        match &self.which {
            Which::Every { axis, first, step } => {
                let along = Along::axes(inputs[0].shape(), *axis, *axis);
                written(&shape, |to| downsample(values, along, *first, *step, to))
            }
            Which::Greatest(pool) => written(&shape, |to| pool.write(values, to)),
        }
    }
}
