//! Operators that there are none of, and what to do about them.

use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::tract_hir::internal::*;

/// Refuses a graph that has an operator which `onnx` lacks, in a subgraph too. The error names the
/// operator and the node, and says how to do without it.
pub fn refuse(onnx: &Onnx, graph: &GraphProto) -> TractResult<()> {
    for node in &graph.node {
        if !onnx.op_register.0.contains_key(&node.op_type) {
            bail!(
                "no operator {}, which node `{}` is: {}",
                full_name(node),
                name(node),
                advice(node)
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

fn full_name(node: &NodeProto) -> String {
    match &*node.domain {
        "" | "ai.onnx" => node.op_type.clone(),
        domain => format!("{domain}.{}", node.op_type),
    }
}

/// A node without a name goes by its first output's.
fn name(node: &NodeProto) -> &str {
    match &*node.name {
        "" => node.output.first().map_or("", |output| output),
        name => name,
    }
}

fn advice(node: &NodeProto) -> &'static str {
    match &*node.op_type {
        "Solve" => {
            "skl2onnx makes it of GaussianProcessClassifier, and ONNX Runtime does not run it either; \
             SVC(probability=True) is close to it"
        }
        "MurmurHash3" => "use CountVectorizer or OneHotEncoder in place of hashed features",
        "CastMap" => {
            "maps cannot be sent to a model; train on columns, with OneHotEncoder for those of texts"
        }
        "SequenceAt" | "SequenceMap" | "SplitToSequence" | "SequenceInsert" => {
            "convert with skl2onnx's options={'zipmap': False}, or each estimator by itself"
        }
        "Loop" => "export with fixed sizes, so that the exporter can write the loop out",
        "RegexFullMatch" | "StringSplit" | "StringConcat" => {
            "do this to the texts before they are sent"
        }
        _ if node.domain == "com.microsoft" => {
            "convert again and leave ONNX Runtime's optimiser out, which puts in operators of its own"
        }
        _ => "convert with another target_opset, or leave this step out of the model",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_operator_and_the_node_and_says_what_to_do() {
        let mut onnx = tract_onnx::onnx();
        crate::register(&mut onnx);
        let node = NodeProto {
            name: "s".to_owned(),
            op_type: "Solve".to_owned(),
            domain: "com.microsoft".to_owned(),
            ..NodeProto::default()
        };
        let graph = GraphProto {
            node: vec![node],
            ..GraphProto::default()
        };
        let error = refuse(&onnx, &graph).unwrap_err().to_string();
        for part in ["com.microsoft.Solve", "`s`", "SVC"] {
            assert!(error.contains(part), "{error}");
        }
        refuse(&onnx, &GraphProto::default()).unwrap();
    }
}
