//! `DynamicQuantizeLinear`: levels for the range of a tensor.

use modelet_kernels::integer::{Steps, quantize, range};
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// Makes the levels of a tensor, their scale and their zero point.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DynamicQuantization;

pub fn dynamic_quantization(
    _ctx: &ParsingContext,
    _node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    Ok((expand(DynamicQuantization), vec![]))
}

impl Expansion for DynamicQuantization {
    fn name(&self) -> StaticName {
        "DynamicQuantization".into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(3)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 3)?;
        solver.equals(&inputs[0].datum_type, f32::datum_type())?;
        solver.equals(&inputs[0].shape, &outputs[0].shape)?;
        let types = [u8::datum_type(), f32::datum_type(), u8::datum_type()];
        for (output, datum_type) in outputs.iter().zip(types) {
            solver.equals(&output.datum_type, datum_type)?;
        }
        solver.equals(&outputs[1].rank, 0)?;
        solver.equals(&outputs[2].rank, 0)
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

impl Op for DynamicQuantization {
    fn name(&self) -> StaticName {
        "DynamicQuantization".into()
    }

    op_as_typed_op!();
}

impl TypedOp for DynamicQuantization {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let scalar: [usize; 0] = [];
        Ok(tvec!(
            u8::fact(inputs[0].shape.clone()),
            f32::fact(scalar),
            u8::fact(scalar)
        ))
    }

    as_op!();
}

impl EvalOp for DynamicQuantization {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let values = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        let [least, most] = range(values);
        // Of nothing but zeros any scale will do: this is ONNX Runtime's.
        let scale = if least == most {
            1.0
        } else {
            (most - least) / 255.0
        };
        let zero = (-least / scale).round_ties_even().clamp(0.0, 255.0) as u8;
        let steps = Steps {
            zero: zero.into(),
            limits: [0, 255],
        };
        let mut levels = Tensor::zero::<u8>(inputs[0].shape())?;
        let mut to = levels.try_as_plain_ram_mut()?;
        quantize(values, scale, &steps, to.as_bytes_mut());
        Ok(tvec!(
            levels.into_tvalue(),
            tensor0(scale).into_tvalue(),
            tensor0(zero).into_tvalue()
        ))
    }
}
