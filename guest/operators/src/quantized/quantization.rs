//! `QuantizeLinear` by one scale.
//!
//! tract computes what lies between its `DequantizeLinear` and its `QuantizeLinear` once for each level, and takes
//! softmax for an operation on each value by itself.

use modelet_kernels::integer::{Steps, quantize};
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::original::{QUANTIZE_LINEAR, build};

pub fn quantization(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let (general, outer) = build(QUANTIZE_LINEAR, ctx, node)?;
    let general = general.into_any().downcast::<Box<dyn Expansion>>();
    let Ok(general) = general else {
        bail!("tract's QuantizeLinear is no expansion");
    };
    Ok((expand(AnyQuantization(*general)), outer))
}

/// Also with a scale for each channel, or to other types, which is tract's.
#[derive(Debug, Clone)]
struct AnyQuantization(Box<dyn Expansion>);

/// Makes levels of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantization {
    scale: f32,
    steps: Steps,
    datum_type: DatumType,
}

impl Eq for Quantization {}

impl Quantization {
    /// `None`: there is more to it.
    fn of(model: &TypedModel, inputs: &[OutletId]) -> TractResult<Option<Quantization>> {
        let constant = |input: usize| -> TractResult<Option<Arc<Tensor>>> {
            Ok(model.outlet_fact(inputs[input])?.konst.clone())
        };
        let values = model.outlet_fact(inputs[0])?.datum_type;
        let Some(scale) = constant(1)? else {
            return Ok(None);
        };
        let zero = match inputs.len() {
            2 => Some(rctensor0(0u8)),
            _ => constant(2)?,
        };
        let Some(zero) = zero else {
            return Ok(None);
        };
        let limits = match zero.datum_type() {
            DatumType::U8 => [0, 255],
            DatumType::I8 => [-128, 127],
            _ => return Ok(None),
        };
        let are_floats = [values, scale.datum_type()] == [f32::datum_type(); 2];
        if !are_floats || [scale.len(), zero.len()] != [1, 1] {
            return Ok(None);
        }
        let datum_type = zero.datum_type();
        let zero = zero.cast_to::<i32>()?;
        Ok(Some(Quantization {
            scale: scale.try_as_plain_ram()?.as_slice::<f32>()?[0],
            steps: Steps {
                zero: zero.try_as_plain_ram()?.as_slice::<i32>()?[0],
                limits,
            },
            datum_type,
        }))
    }
}

impl Expansion for AnyQuantization {
    fn name(&self) -> StaticName {
        self.0.name()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        self.0.rules(solver, inputs, outputs)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        match Quantization::of(model, inputs)? {
            Some(quantization) => model.wire_node(prefix, quantization, &inputs[..1]),
            None => self.0.wire(prefix, model, inputs),
        }
    }
}

impl Op for Quantization {
    fn name(&self) -> StaticName {
        "Quantization".into()
    }

    op_as_typed_op!();
}

impl TypedOp for Quantization {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.datum_type.fact(inputs[0].shape.clone())))
    }

    as_op!();
}

impl EvalOp for Quantization {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let values = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        let mut levels = Tensor::zero_dt(self.datum_type, inputs[0].shape())?;
        let mut to = levels.try_as_plain_ram_mut()?;
        quantize(values, self.scale, &self.steps, to.as_bytes_mut());
        Ok(tvec!(levels.into_tvalue()))
    }
}
