//! What a user reads where tract cannot use a model.

use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::tract_hir::internal::*;

use super::whole::described;
use crate::{Dimension, TensorSpec, values};

/// The operator, the node, the reason, and what to do about it: where tract names a node of `graph`.
/// `inputs` are those of the model.
pub fn explain(error: &TractError, graph: &GraphProto, inputs: &[TensorSpec]) -> String {
    let said: Vec<String> = error.chain().map(ToString::to_string).collect();
    let found = said.iter().enumerate().find_map(|(position, said)| {
        let node = graph.node.iter().filter(|node| names(said, node));
        // A node's name can be the beginning of another's.
        Some((
            position,
            node.max_by_key(|node| modelet_operators::name(node).len())?,
        ))
    });
    let Some((position, node)) = found else {
        return said.join(": ");
    };
    let reasons: Vec<&str> = said[position + 1..]
        .iter()
        .map(|reason| without_node(reason, node))
        .filter(|reason| !OF_TRACT.iter().any(|begin| reason.starts_with(begin)))
        .collect();
    let what_to_do = match fixed(inputs) {
        Some(options) if !said[position].starts_with(BUILDING) => {
            format!("sizes that are open may be what hinders it: try fixed ones, {options}")
        }
        _ => modelet_operators::unusable(node).to_owned(),
    };
    format!(
        "{} cannot be used: {}; {what_to_do}",
        described(node),
        reasons.join(": ")
    )
}

/// How tract begins where a node's attributes are at fault, and not what goes in.
const BUILDING: &str = "Building node ";

/// How tract begins where it says only which part of itself was at work.
const OF_TRACT: [&str; 2] = ["Infering facts", "Applying rule"];

/// Whether tract speaks of this node, by its name or that of an operation it made of it.
fn names(said: &str, node: &NodeProto) -> bool {
    let name = modelet_operators::name(node);
    let of_file = said
        .strip_prefix(BUILDING)
        .and_then(|rest| rest.strip_suffix(')'));
    match of_file {
        Some(rest) => rest == format!("{} ({}", node.name, node.op_type),
        None => said.contains(&format!("\"{name}\"")) || said.contains(&format!("\"{name}.")),
    }
}

/// What tract says of the node, without its name before it once more.
fn without_node<'a>(reason: &'a str, node: &NodeProto) -> &'a str {
    let again = format!("Node {} ({})", node.name, node.op_type);
    let rest = reason.strip_prefix(&again).unwrap_or(reason);
    rest.trim_start_matches([',', ':', ' '])
}

/// Options of `build` that fix what is open, if something is. Which sizes there are only the user knows.
fn fixed(inputs: &[TensorSpec]) -> Option<String> {
    let is_open = |size: &Dimension| matches!(size, Dimension::Symbolic(_));
    let options: Vec<String> = inputs
        .iter()
        .filter(|input| input.shape.iter().any(is_open))
        .map(|input| {
            let sizes = input.shape.iter().map(|size| match size {
                Dimension::Fixed(size) => size.to_string(),
                Dimension::Symbolic(symbol) => format!("<{symbol}>"),
            });
            let sizes = sizes.collect::<Vec<_>>().join(",");
            let datatype = values::name(input.datatype);
            format!("--input '{}={datatype}[{sizes}]'", input.name)
        })
        .collect();
    (!options.is_empty()).then(|| options.join(" "))
}
