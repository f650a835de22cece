//! A convolution of small windows, and what follows it, with fewer multiplications.

use modelet_kernels::Convolution as Sizes;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::matmul::optimized::ProtoFusedSpec;
use tract_onnx::tract_hir::tract_core::tract_linalg::mmm::EagerPackedInput;

use crate::product::resolve;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convolution {
    pub output: TypedFact,
    pub sizes: Sizes,
    /// The input with the image.
    pub image: usize,
    pub weights: EagerPackedInput,
    /// The last is to store the result.
    pub following: Vec<ProtoFusedSpec>,
}

impl Op for Convolution {
    fn name(&self) -> StaticName {
        "Convolution".into()
    }

    op_as_typed_op!();
}

impl TypedOp for Convolution {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.output.clone()))
    }

    as_op!();
}

impl EvalOp for Convolution {
    not_out_of_plan!();

    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Sizes {
            channels,
            height,
            width,
            filters,
            out_height,
            out_width,
            ..
        } = self.sizes;
        let shape = self.output.shape.eval_to_usize(context.symbols)?;
        let image = inputs[self.image].try_as_plain_ram()?.as_slice::<f32>()?;
        ensure!(
            image.len() == channels * height * width
                && shape.iter().product::<usize>() == filters * out_height * out_width,
            "an image or output of another size"
        );
        // SAFETY: each value is written.
        let mut output = unsafe { Tensor::uninitialized::<f32>(&shape)? };
        let first: TVec<usize> = tvec!(0; shape.len());
        let lines = [filters, out_height * out_width];
        let mut following = Vec::with_capacity(self.following.len());
        for operation in &self.following {
            following.push(resolve(operation, &inputs, &first, lines, &mut output)?);
        }
        // SAFETY: image and output are as large as was checked, and the weights are those of as many filters.
        let done = unsafe { self.sizes.run(image.as_ptr(), &self.weights, &following) };
        done.context("something else follows a convolution than was planned")?;
        Ok(tvec!(output.into_tvalue()))
    }
}
