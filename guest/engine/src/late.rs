//! Models whose shapes hang on values that only a request has.
//!
//! tract cannot prepare such a model ahead. Its file is kept, and for each request read, typed and run
//! with the request's tensors in the place of its inputs: as right as any other, and thousands of times
//! slower. What was read is not kept: it is much larger than the file, and typing it leaves symbols
//! behind that would add up from request to request.

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::ops::konst::Const;

use crate::infer::Plan;
use crate::{Signature, TensorSpec, load};

#[derive(Debug)]
pub struct Late {
    onnx: Vec<u8>,
    overrides: Vec<TensorSpec>,
}

impl Late {
    pub fn new(onnx: &[u8], overrides: &[TensorSpec]) -> Late {
        Late {
            onnx: onnx.to_vec(),
            overrides: overrides.to_vec(),
        }
    }

    /// Reads the model and runs it on `inputs`.
    pub fn run_once(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut model = load::untyped(&self.onnx, &self.overrides)?.model;
        for (outlet, input) in model.inputs.clone().into_iter().zip(inputs) {
            let tensor = input.into_arc_tensor();
            let source = model.node_mut(outlet.node);
            source.outputs[0].fact = InferenceFact::try_from(&tensor)?;
            source.op = Box::new(Const::new(tensor)?);
        }
        model.set_input_outlets(&[])?;
        // All of it is known, so that typing computes it: nothing is left to optimise.
        model.into_typed()?.into_runnable()?.run(tvec!())
    }
}

impl Plan for Late {
    fn run(&self, inputs: TVec<TValue>, _signature: &Signature) -> TractResult<TVec<TValue>> {
        self.run_once(inputs)
    }
}
