//! Models whose shapes hang on values that only a request has.
//!
//! tract cannot prepare such a model ahead. It is parsed, and for each request typed and run with the
//! request's tensors in the place of its inputs: as right as any other, and thousands of times slower.

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::ops::konst::Const;

#[derive(Debug)]
pub struct Late {
    model: InferenceModel,
}

impl Late {
    pub fn new(model: InferenceModel) -> Late {
        Late { model }
    }

    pub fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut model = self.model.clone();
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
