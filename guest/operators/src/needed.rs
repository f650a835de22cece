//! The operators that one model needs, of all that there are.

use tract_onnx::Onnx;
use tract_onnx::model::OnnxOpRegister;
use tract_onnx::pb::GraphProto;

use crate::original;

/// How to build the operators of a graph and of its subgraphs, and no others.
pub fn needed(onnx: &Onnx, graph: &GraphProto) -> OnnxOpRegister {
    let mut needed = OnnxOpRegister::default();
    add(onnx, graph, &mut needed);
    needed
}

fn add(onnx: &Onnx, graph: &GraphProto, needed: &mut OnnxOpRegister) {
    for node in &graph.node {
        let name = &*node.op_type;
        for name in [Some(name), original::kept(name)].into_iter().flatten() {
            if let Some(builder) = onnx.op_register.0.get(name) {
                needed.0.insert(name.to_owned(), *builder);
            }
        }
        for attribute in &node.attribute {
            for graph in attribute.g.iter().chain(&attribute.graphs) {
                add(onnx, graph, needed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{AttributeProto, NodeProto};

    use super::*;

    fn graph(nodes: &[(&str, Option<GraphProto>)]) -> GraphProto {
        let node = |(name, inner): &(&str, Option<GraphProto>)| NodeProto {
            op_type: (*name).to_owned(),
            attribute: vec![AttributeProto {
                g: inner.clone(),
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        };
        GraphProto {
            node: nodes.iter().map(node).collect(),
            ..GraphProto::default()
        }
    }

    #[test]
    fn operators_of_subgraphs_and_what_they_are_built_by_are_needed() {
        let mut onnx = tract_onnx::onnx();
        crate::register(&mut onnx);
        let inner = graph(&[("Slice", None), ("Add", None)]);
        let needed = needed(&onnx, &graph(&[("Scan", Some(inner)), ("None such", None)]));
        let mut names: Vec<_> = needed.0.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["Add", "Scan", "Slice", "tract's Slice"]);
    }
}
