//! Maps that a caller would give, as tables.
//!
//! `DictVectorizer` makes a row of a map from words to numbers. The protocol has no maps: the model
//! takes the rows instead, a column for each word of its vocabulary and zero where a map has none.

use modelet_operators::attributes;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Size};
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value};
use tract_onnx::pb::{GraphProto, NodeProto, TensorShapeProto, TypeProto};
use tract_onnx::tract_hir::internal::*;

const VECTORIZER: &str = "DictVectorizer";

/// Declares the inputs of `graph` that only a `DictVectorizer` reads as tables of FP32, and lets them
/// through. The values of a map can be of other types, which is not read: a table of FP32 it is.
pub fn as_tables(graph: &mut GraphProto) -> TractResult<()> {
    for node in &mut graph.node {
        if node.op_type != VECTORIZER {
            continue;
        }
        let n_words = vocabulary(node)?;
        let [name] = &node.input[..] else {
            return node.bail("one input is wanted");
        };
        let input = graph.input.iter_mut().find(|input| input.name == *name);
        let Some(input) = input else {
            return node.bail("only a map that is an input of the model can be read");
        };
        input.r#type = Some(table(n_words));
        "Identity".clone_into(&mut node.op_type);
        node.domain.clear();
        node.attribute.clear();
    }
    Ok(())
}

fn vocabulary(node: &NodeProto) -> TractResult<usize> {
    let (words, ints): (Vec<String>, Vec<i64>) =
        attributes::one_of_two(node, ["string_vocabulary", "int64_vocabulary"])?;
    Ok(words.len().max(ints.len()))
}

/// FP32, with any number of rows.
fn table(n_columns: usize) -> TypeProto {
    let columns = Dimension {
        value: Some(Size::DimValue(n_columns as i64)),
        ..Dimension::default()
    };
    let shape = Some(TensorShapeProto {
        dim: vec![Dimension::default(), columns],
    });
    let tensor = TensorType {
        elem_type: DataType::Float as i32,
        shape,
    };
    TypeProto {
        value: Some(Value::TensorType(tensor)),
        ..TypeProto::default()
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::attribute_proto::AttributeType;
    use tract_onnx::pb::{AttributeProto, ValueInfoProto};

    use super::*;

    fn graph(input: &str) -> GraphProto {
        let vocabulary = AttributeProto {
            name: "string_vocabulary".to_owned(),
            r#type: AttributeType::Strings as i32,
            strings: vec![b"a".to_vec(), b"b".to_vec()],
            ..AttributeProto::default()
        };
        GraphProto {
            input: vec![ValueInfoProto {
                name: "map".to_owned(),
                ..ValueInfoProto::default()
            }],
            node: vec![NodeProto {
                name: "v".to_owned(),
                op_type: VECTORIZER.to_owned(),
                input: vec![input.to_owned()],
                attribute: vec![vocabulary],
                ..NodeProto::default()
            }],
            ..GraphProto::default()
        }
    }

    #[test]
    fn a_map_becomes_a_table_of_its_vocabulary() {
        let mut graph = graph("map");
        as_tables(&mut graph).unwrap();
        assert_eq!(graph.node[0].op_type, "Identity");
        assert_eq!(graph.input[0].r#type, Some(table(2)));
    }

    #[test]
    fn a_map_made_inside_is_refused() {
        let error = as_tables(&mut graph("elsewhere")).unwrap_err();
        assert!(error.to_string().contains("input of the model"));
    }
}
