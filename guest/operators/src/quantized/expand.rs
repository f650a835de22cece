//! ONNX Runtime's own operators on levels, as ONNX's on what the levels stand for.

use tract_onnx::pb::NodeProto;

use crate::unknown::{MICROSOFT, name};

/// The operator that computes it, and where levels, scale and zero point of each operand are among the inputs; the
/// scale and zero point of the result are after them, or first.
struct Known {
    inner: &'static str,
    operands: usize,
}

fn known(node: &NodeProto) -> Option<Known> {
    let (inner, operands) = match node.op_type.strip_prefix("QLinear")? {
        "Add" => ("Add", 2),
        "Mul" => ("Mul", 2),
        "AveragePool" => ("AveragePool", 1),
        "GlobalAveragePool" => ("GlobalAveragePool", 1),
        "LeakyRelu" => ("LeakyRelu", 1),
        "ReduceMean" => ("ReduceMean", 1),
        "Sigmoid" => ("Sigmoid", 1),
        "Softmax" => ("Softmax", 1),
        "Concat" => ("Concat", node.input.len().saturating_sub(2) / 3),
        _ => return None,
    };
    // Channels last are ONNX Runtime's alone.
    let channels_last = node
        .attribute
        .iter()
        .any(|it| it.name == "channels_last" && it.i != 0);
    (node.domain == MICROSOFT && !channels_last).then_some(Known { inner, operands })
}

/// The same in steps; other nodes are what they were.
pub fn expand(node: NodeProto) -> Vec<NodeProto> {
    let Some(Known { inner, operands }) = known(&node) else {
        return vec![node];
    };
    let levels_first = inner != "Concat";
    let start = if levels_first { 0 } else { 2 };
    let result = if levels_first { 3 * operands } else { 0 };
    let Some(output) = node.output.first().cloned() else {
        return vec![node];
    };
    // A zero point may be absent, at the end without a name.
    let mut inputs = node.input.clone();
    inputs.resize(inputs.len().max(3 * operands + 2), String::new());
    let step = |op_type: &str, what: &str, input: Vec<String>, output: String| NodeProto {
        name: format!("{}, {what}", name(&node)),
        op_type: op_type.to_owned(),
        input: input.into_iter().filter(|name| !name.is_empty()).collect(),
        output: vec![output],
        ..NodeProto::default()
    };
    let mut steps = vec![];
    let mut values = vec![];
    for (index, operand) in inputs[start..][..3 * operands].chunks_exact(3).enumerate() {
        let what = format!("operand {index}");
        let value = format!("{output}, {what}");
        steps.push(step(
            "DequantizeLinear",
            &what,
            operand.to_vec(),
            value.clone(),
        ));
        values.push(value);
    }
    let value = format!("{output}, value");
    let attributes = node.attribute.iter();
    let attribute = attributes.filter(|it| !["channels_last", "opset"].contains(&&*it.name));
    steps.push(NodeProto {
        attribute: attribute.cloned().collect(),
        ..step(inner, "result", values, value.clone())
    });
    let (scale, zero) = (inputs[result].clone(), inputs[result + 1].clone());
    steps.push(step(
        "QuantizeLinear",
        "levels",
        vec![value, scale, zero],
        output,
    ));
    steps
}
