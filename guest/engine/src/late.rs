//! Models whose shapes hang on values that only a request has.
//!
//! tract cannot prepare such a model ahead. It is kept as a file, and for each request read, typed and run
//! with the request's tensors in the place of its inputs: as right as any other, and thousands of times
//! slower. What was read is not kept: it is much larger than the file, and typing it leaves symbols
//! behind that would add up from request to request.

use std::fmt;

use prost::Message as _;
use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::ops::konst::Const;

use crate::Signature;
use crate::infer::Plan;

pub struct Late {
    /// Knows only the operators of this model, so that no others are part of its modelet.
    framework: Onnx,
    proto: Vec<u8>,
}

impl Late {
    /// `proto` is as tract can take it.
    pub fn new(framework: &Onnx, proto: &ModelProto) -> Late {
        let none = GraphProto::default();
        let graph = proto.graph.as_ref().unwrap_or(&none);
        let mut framework = framework.clone();
        framework.op_register = modelet_operators::needed(&framework, graph);
        Late {
            framework,
            proto: proto.encode_to_vec(),
        }
    }

    /// Reads the model and runs it on `inputs`.
    pub fn run_once(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let proto = self.framework.proto_model_for_read(&mut &*self.proto)?;
        let mut model = self.framework.model_for_proto_model(&proto)?;
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

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late").finish_non_exhaustive()
    }
}
