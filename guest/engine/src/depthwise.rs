//! A depthwise convolution of an image, and the limits that follow it.

use modelet_kernels::{Depthwise as Sizes, DepthwiseValues};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::tract_linalg::BinOp;

/// Takes the image, the weights (which lie as the image does), the bias, and the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depthwise {
    pub output: TypedFact,
    pub sizes: Sizes,
    /// At least and at most, in this order, each the number of an input.
    pub limits: Option<(usize, Option<usize>)>,
}

impl Depthwise {
    /// The same with one more limit. `None`: it is none that can follow.
    pub fn with(mut self, operator: BinOp, input: usize) -> Option<Depthwise> {
        self.limits = match (self.limits, operator) {
            (None, BinOp::Max) => Some((input, None)),
            (Some((least, None)), BinOp::Min) => Some((least, Some(input))),
            _ => return None,
        };
        Some(self)
    }
}

impl Op for Depthwise {
    fn name(&self) -> StaticName {
        "Depthwise".into()
    }

    op_as_typed_op!();
}

impl TypedOp for Depthwise {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.output.clone()))
    }

    as_op!();
}

impl EvalOp for Depthwise {
    not_out_of_plan!();

    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let values = |input: usize| inputs[input].try_as_plain_ram()?.as_slice::<f32>();
        let (image, weights, bias) = (values(0)?, values(1)?, values(2)?);
        let limit = |input: usize| -> TractResult<f32> {
            Ok(*inputs[input].try_as_plain_ram()?.to_scalar::<f32>()?)
        };
        let limits = match self.limits {
            Some((least, most)) => {
                let most = most.map_or(Ok(f32::INFINITY), limit)?;
                Some([limit(least)?, most])
            }
            None => None,
        };
        let shape = self.output.shape.eval_to_usize(context.symbols)?;
        let Sizes {
            channels,
            image: [height, width],
            window,
            outputs,
            ..
        } = self.sizes;
        ensure!(
            image.len() == channels * height * width
                && weights.len() == channels * window[0] * window[1]
                && bias.len() == channels
                && shape.iter().product::<usize>() == channels * outputs[0] * outputs[1],
            "an image, weights or an output of another size"
        );
        // SAFETY: each value is written.
        let mut output = unsafe { Tensor::uninitialized::<f32>(&shape)? };
        let values = DepthwiseValues {
            image: image.as_ptr(),
            weights: weights.as_ptr(),
            bias: bias.as_ptr(),
            output: output
                .try_as_plain_ram_mut()?
                .as_slice_mut::<f32>()?
                .as_mut_ptr(),
            limits,
        };
        // SAFETY: all are as large as was checked.
        unsafe { self.sizes.run(&values) };
        Ok(tvec!(output.into_tvalue()))
    }
}
