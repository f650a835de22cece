//! `RNN`, `GRU` and `LSTM`: tract's own, kept from what it silently computes differently.
//!
//! tract reads no `direction` and runs a single direction forward; here a reverse one runs forward
//! over reversed time. Other parameters that tract does not read are refused.

use tract_onnx::model::ParsingContext;
use tract_onnx::ops::rec::{gru, lstm, rnn};
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::downsample::Downsample;

use crate::attributes;

pub fn rnn(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    checked(node, &["Tanh"])?;
    directed(node, rnn::rnn(ctx, node)?)
}

pub fn gru(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    checked(node, &["Sigmoid", "Tanh"])?;
    directed(node, gru::gru(ctx, node)?)
}

pub fn lstm(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    checked(node, &["Sigmoid", "Tanh", "Tanh"])?;
    let input_forget: i64 = node.get_attr_opt("input_forget")?.unwrap_or(0);
    node.expect_attr(
        "input_forget",
        input_forget == 0,
        "0: coupled gates are not supported",
    )?;
    directed(node, lstm::lstm(ctx, node)?)
}

/// `activations` are those of one direction.
fn checked(node: &NodeProto, activations: &[&str]) -> TractResult<()> {
    let given: Vec<&str> = attributes::list(node, "activations")?;
    let usual = given.chunks(activations.len()).all(|given| {
        given.len() == activations.len()
            && given
                .iter()
                .zip(activations)
                .all(|(given, usual)| given.eq_ignore_ascii_case(usual))
    });
    node.expect_attr("activations", usual, || {
        format!("{activations:?}, got {given:?}")
    })?;
    let clip: Option<f32> = node.get_attr_opt("clip")?;
    node.expect_attr("clip", clip.is_none(), "none: clipping is not supported")
}

fn directed(
    node: &NodeProto,
    forward: (Box<dyn InferenceOp>, Vec<String>),
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    if node.get_attr_opt::<&str>("direction")? != Some("reverse") {
        return Ok(forward);
    }
    let (forward, closures) = forward;
    let Some(forward) = forward.as_op().downcast_ref::<Box<dyn Expansion>>() else {
        return node.bail("a reverse direction is not supported");
    };
    let reverse = Reverse {
        forward: forward.clone(),
        time_axis: node.get_attr_opt("layout")?.unwrap_or(0),
        has_sequence: node.output.first().is_some_and(|name| !name.is_empty()),
    };
    Ok((expand(reverse), closures))
}

#[derive(Debug, Clone)]
struct Reverse {
    forward: Box<dyn Expansion>,
    /// Of the input and of the output sequence alike.
    time_axis: usize,
    /// The first output is the sequence; any others are the state at the end, which has no time.
    has_sequence: bool,
}

impl Expansion for Reverse {
    fn name(&self) -> StaticName {
        self.forward.name()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        self.forward.as_ref().nboutputs()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        self.forward.rules(solver, inputs, outputs)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let backwards = || Downsample::new(self.time_axis, -1, 0);
        let mut inputs: TVec<OutletId> = inputs.into();
        inputs[0] =
            model.wire_node(format!("{prefix}.from_the_end"), backwards(), &inputs[..1])?[0];
        let mut outputs = self
            .forward
            .wire(&format!("{prefix}.forward"), model, &inputs)?;
        if self.has_sequence {
            outputs[0] =
                model.wire_node(format!("{prefix}.to_the_start"), backwards(), &outputs[..1])?[0];
        }
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{float, node, strings};

    #[test]
    fn refuses_what_tract_would_ignore() {
        let check = |attribute| {
            checked(
                &node("LSTM", 1, vec![attribute]),
                &["Sigmoid", "Tanh", "Tanh"],
            )
        };
        check(strings(
            "activations",
            &["Sigmoid", "Tanh", "Tanh"].repeat(2),
        ))
        .unwrap();
        check(strings("activations", &["sigmoid", "tanh", "tanh"])).unwrap();
        let relu = check(strings("activations", &["Sigmoid", "Relu", "Tanh"]))
            .unwrap_err()
            .to_string();
        assert!(relu.contains("Relu"), "{relu}");
        check(strings("activations", &["Sigmoid"])).unwrap_err();
        let clip = check(float("clip", 3.0)).unwrap_err().to_string();
        assert!(clip.contains("clip"), "{clip}");
    }
}
