//! Operators that there are none of.

use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::tract_hir::internal::*;

use crate::advice::missing;

/// Operators are registered by their names alone. One that has the name of another under a domain that
/// is not among these would be taken for it.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", MICROSOFT];

pub const MICROSOFT: &str = "com.microsoft";

/// ONNX Runtime's operators whose names ONNX gave to others that compute something else.
const NAMESAKES: [&str; 1] = ["Attention"];

/// Refuses a graph that has an operator which `onnx` lacks, in a subgraph too. The error names the
/// operator and the node, and says how to do without it.
pub fn refuse(onnx: &Onnx, graph: &GraphProto) -> TractResult<()> {
    for node in &graph.node {
        if !is_known(onnx, node) {
            bail!(
                "no operator {}, which node `{}` is: {}",
                full_name(node),
                name(node),
                missing(node)
            );
        }
        for attribute in &node.attribute {
            for graph in attribute.g.iter().chain(&attribute.graphs) {
                refuse(onnx, graph)?;
            }
        }
    }
    Ok(())
}

fn is_known(onnx: &Onnx, node: &NodeProto) -> bool {
    let other = node.domain == MICROSOFT && NAMESAKES.contains(&&*node.op_type);
    has_known_domain(node) && !other && onnx.op_register.0.contains_key(&node.op_type)
}

pub fn has_known_domain(node: &NodeProto) -> bool {
    DOMAINS.contains(&&*node.domain)
}

/// With its domain, where that is not ONNX's own.
pub fn full_name(node: &NodeProto) -> String {
    match &*node.domain {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    }
}

/// A node without a name goes by its first output's.
pub fn name(node: &NodeProto) -> &str {
    match &*node.name {
        "" => node.output.first().map_or("", |output| output),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(op_type: &str, domain: &str) -> Option<String> {
        let mut onnx = tract_onnx::onnx();
        crate::register(&mut onnx);
        let node = NodeProto {
            name: "s".to_owned(),
            op_type: op_type.to_owned(),
            domain: domain.to_owned(),
            ..NodeProto::default()
        };
        let graph = GraphProto {
            node: vec![node],
            ..GraphProto::default()
        };
        refuse(&onnx, &graph).err().map(|error| error.to_string())
    }

    #[test]
    fn names_the_operator_and_the_node_and_says_what_to_do() {
        for (op_type, domain, advice) in [
            ("Solve", "com.microsoft", "SVC"),
            ("FusedMatMul", "com.microsoft", "optimiser"),
            ("Attention", "com.microsoft", "optimiser"),
            ("SequenceAt", "", "zipmap"),
            ("Loop", "", "write the loop out"),
            ("StringConcat", "", "before they are sent"),
            ("Optional", "", "target_opset"),
            ("Foo", "", "target_opset"),
        ] {
            let error = refusal(op_type, domain).unwrap();
            for part in [op_type, domain, "`s`", advice] {
                assert!(error.contains(part), "{error}");
            }
        }
        assert_eq!(refusal("Tokenizer", "com.microsoft"), None);
        assert_eq!(refusal("Scaler", "ai.onnx.ml"), None);
    }

    #[test]
    fn an_operator_of_somebody_else_is_not_taken_for_its_namesake() {
        for (domain, advice) in [
            ("mine", "register"),
            ("ai.onnx.contrib", "onnxruntime-extensions"),
            ("org.pytorch.aten", "dynamo=True"),
        ] {
            let error = refusal("Add", domain).unwrap();
            assert!(error.contains(&format!("{domain}.Add")), "{error}");
            assert!(error.contains(advice), "{error}");
        }
    }
}
