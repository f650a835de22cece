//! One-node models, run. What is expected was computed with ONNX Runtime 1.32.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::Dimension;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Size;
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto,
};
use tract_onnx::tract_hir::internal::*;

/// A node `case` of one input and `n_outputs` outputs.
pub fn node(op_type: &str, n_outputs: usize, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: "case".to_owned(),
        op_type: op_type.to_owned(),
        domain: "ai.onnx.ml".to_owned(),
        input: vec!["input".to_owned()],
        output: (0..n_outputs)
            .map(|output| format!("output_{output}"))
            .collect(),
        attribute,
        ..NodeProto::default()
    }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto {
        i,
        ..attribute(name, AttributeType::Int)
    }
}

pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: ints.to_vec(),
        ..attribute(name, AttributeType::Ints)
    }
}

pub fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        f,
        ..attribute(name, AttributeType::Float)
    }
}

pub fn floats(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto {
        floats: floats.to_vec(),
        ..attribute(name, AttributeType::Floats)
    }
}

pub fn string(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        s: text.into(),
        ..attribute(name, AttributeType::String)
    }
}

pub fn strings(name: &str, texts: &[&str]) -> AttributeProto {
    let strings = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    AttributeProto {
        strings,
        ..attribute(name, AttributeType::Strings)
    }
}

/// A list of f32 in a tensor of its own.
pub fn tensor(name: &str, values: &[f32]) -> AttributeProto {
    let of_floats = TensorProto {
        dims: vec![values.len() as i64],
        data_type: DataType::Float as i32,
        float_data: values.to_vec(),
        ..TensorProto::default()
    };
    AttributeProto {
        t: Some(of_floats),
        ..attribute(name, AttributeType::Tensor)
    }
}

fn attribute(name: &str, r#type: AttributeType) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: r#type as i32,
        ..AttributeProto::default()
    }
}

/// Attributes of two trees of one test each: whether the first feature is at most one half.
pub fn float_trees(leaf: &str, targets: &[i64], weights: &[f32]) -> Vec<AttributeProto> {
    let leaves = |name| format!("{leaf}_{name}");
    vec![
        ints("nodes_treeids", &[0, 0, 0, 1, 1, 1]),
        ints("nodes_nodeids", &[0, 1, 2, 0, 1, 2]),
        ints("nodes_featureids", &[0; 6]),
        floats("nodes_values", &[0.5, 0.0, 0.0, 0.5, 0.0, 0.0]),
        strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"].repeat(2)),
        ints("nodes_truenodeids", &[1, 0, 0, 1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0, 2, 0, 0]),
        ints(&leaves("treeids"), &[0, 0, 1, 1]),
        ints(&leaves("nodeids"), &[1, 2, 1, 2]),
        ints(&leaves("ids"), targets),
        floats(&leaves("weights"), weights),
    ]
}

/// Loads a model of `node` with a symbolic number of rows, as the engine does, and runs it.
pub fn run(node: NodeProto, input: Tensor) -> TractResult<TVec<TValue>> {
    let info = |name: &String, r#type| ValueInfoProto {
        name: name.clone(),
        r#type,
        ..ValueInfoProto::default()
    };
    let graph = GraphProto {
        input: vec![info(&node.input[0], Some(type_of(&input)))],
        output: node.output.iter().map(|name| info(name, None)).collect(),
        node: vec![node],
        ..GraphProto::default()
    };
    let mut onnx = tract_onnx::onnx();
    crate::register(&mut onnx);
    let proto = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    let model = onnx.model_for_proto_model(&proto)?;
    model
        .into_optimized()?
        .into_runnable()?
        .run(tvec!(input.into_tvalue()))
}

fn type_of(input: &Tensor) -> TypeProto {
    let data_type = match input.datum_type() {
        DatumType::I64 => DataType::Int64,
        DatumType::F64 => DataType::Double,
        DatumType::String => DataType::String,
        _ => DataType::Float,
    };
    let sizes = input
        .shape()
        .iter()
        .map(|&size| dimension(Size::DimValue(size as i64)));
    let mut dim: Vec<Dimension> = sizes.collect();
    dim[0] = dimension(Size::DimParam("N".to_owned()));
    let shape = Some(TensorShapeProto { dim });
    let tensor = TensorType {
        elem_type: data_type as i32,
        shape,
    };
    TypeProto {
        value: Some(Value::TensorType(tensor)),
        ..TypeProto::default()
    }
}

fn dimension(size: Size) -> Dimension {
    Dimension {
        value: Some(size),
        ..Dimension::default()
    }
}

/// Runs and compares; `expected` is as close as ONNX Runtime's last digits.
#[track_caller]
pub fn check(node: NodeProto, input: Tensor, expected: &[Tensor]) {
    let outputs = run(node, input).unwrap();
    assert_eq!(outputs.len(), expected.len());
    for (output, expected) in outputs.iter().zip(expected) {
        if expected.datum_type() == f32::datum_type() {
            output.close_enough(expected, Approximation::Close).unwrap();
        } else {
            assert_eq!(&**output, expected);
        }
    }
}

/// Why the model of `node` cannot be loaded.
#[track_caller]
pub fn refusal(node: NodeProto) -> String {
    let error = run(node, tensor2(&[[0f32, 0.0]])).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("case"), "{text} does not name the node");
    text
}
