//! Which layers become one node, and what a file can have wrong with them.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Size};
use tract_onnx::pb::type_proto::{Tensor as TensorType, Value};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
};
use tract_onnx::tract_hir::internal::*;

use super::fold;

const IMAGE: [usize; 4] = [1, 2, 3, 3];

/// From an image `x` to `y`.
fn graph(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> GraphProto {
    let info = |name: &str, r#type| ValueInfoProto {
        name: name.to_owned(),
        r#type,
        ..ValueInfoProto::default()
    };
    let dim = IMAGE.map(|size| Dimension {
        value: Some(Size::DimValue(size as i64)),
        ..Dimension::default()
    });
    let image = TypeProto {
        value: Some(Value::TensorType(TensorType {
            elem_type: DataType::Float as i32,
            shape: Some(TensorShapeProto { dim: dim.into() }),
        })),
        ..TypeProto::default()
    };
    GraphProto {
        input: vec![info("x", Some(image))],
        output: vec![info("y", None)],
        node: nodes,
        initializer: constants,
        ..GraphProto::default()
    }
}

fn node(op_type: &str, inputs: &str, output: &str) -> NodeProto {
    NodeProto {
        name: format!("node of {output}"),
        op_type: op_type.to_owned(),
        input: inputs.split(' ').map(str::to_owned).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

fn constant(name: &str, dims: &[i64], of: DataType, raw: &[u8]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: of as i32,
        raw_data: raw.to_vec(),
        ..TensorProto::default()
    }
}

fn scale(name: &str, value: f32) -> TensorProto {
    constant(name, &[], DataType::Float, &value.to_le_bytes())
}

/// Levels with a step of one half, around a zero point of 100; weights of one filter, one to nine for each channel.
fn constants() -> Vec<TensorProto> {
    let weights: Vec<u8> = (1..=9).chain(1..=9).collect();
    vec![
        scale("s", 0.5),
        constant("z", &[], DataType::Uint8, &[100]),
        constant("w", &[1, 2, 3, 3], DataType::Int8, &weights),
        scale("ws", 0.25),
        constant("wz", &[], DataType::Int8, &[0]),
        scale("ys", 4.0),
        constant("yz", &[], DataType::Uint8, &[10]),
    ]
}

/// The layer as exporters write it, with `between` the convolution and its levels.
fn between(between: &[&str]) -> Vec<NodeProto> {
    let mut nodes = vec![
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xd"),
        node("DequantizeLinear", "w ws wz", "wd"),
        node("Conv", "xd wd", "c"),
    ];
    let mut last = "c".to_owned();
    for op_type in between {
        let output = format!("{last}.{op_type}");
        nodes.push(node(op_type, &last, &output));
        last = output;
    }
    nodes.push(node("QuantizeLinear", &format!("{last} ys yz"), "yq"));
    nodes.push(node("DequantizeLinear", "yq ys yz", "y"));
    nodes
}

fn folded(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> GraphProto {
    let mut graph = graph(nodes, constants);
    fold(&mut graph);
    graph
}

fn operators(graph: &GraphProto) -> Vec<&str> {
    graph.node.iter().map(|node| &*node.op_type).collect()
}

fn run(graph: GraphProto, image: Tensor) -> TractResult<Tensor> {
    let mut onnx = tract_onnx::onnx();
    crate::register(&mut onnx);
    let opset = OperatorSetIdProto {
        version: 17,
        ..OperatorSetIdProto::default()
    };
    let proto = ModelProto {
        opset_import: vec![opset],
        graph: Some(graph),
        ..ModelProto::default()
    };
    let model = onnx.model_for_proto_model(&proto)?;
    let model = model.into_optimized()?.into_runnable()?;
    Ok(model
        .run(tvec!(image.into_tvalue()))?
        .remove(0)
        .into_tensor())
}

/// Two channels of ones and minus ones: their sum is zero but for one place.
fn image() -> Tensor {
    let mut values = vec![1f32; 9];
    values.extend([-1.0; 9]);
    values[8] = 3.0;
    Tensor::from_shape(&IMAGE, &values).unwrap()
}

#[test]
fn a_layer_between_levels_is_one_node_and_its_weights_stay_as_they_are() {
    let layer = folded(between(&[]), constants());
    let wanted = [
        "QuantizeLinear",
        "quantized convolution",
        "DequantizeLinear",
    ];
    assert_eq!(operators(&layer), wanted);
    assert!(layer.initializer.iter().all(|it| it.name != "w"));
    // Nine quarters, twice.
    let y = run(layer, image()).unwrap();
    assert_eq!(y.cast_to_scalar::<f32>().unwrap(), 4.0);
}

#[test]
fn limits_become_limits_of_the_levels() {
    let layer = folded(between(&["Relu"]), constants());
    assert_eq!(layer.node.len(), 3);
    let negative = image().cast_to::<f32>().unwrap().into_owned();
    let values = negative.try_as_plain_ram().unwrap();
    let turned: Vec<f32> = values
        .as_slice::<f32>()
        .unwrap()
        .iter()
        .map(|it| -it)
        .collect();
    let turned = Tensor::from_shape(&IMAGE, &turned).unwrap();
    let y = run(layer, turned.clone()).unwrap();
    assert_eq!(y.cast_to_scalar::<f32>().unwrap(), 0.0);
    let y = run(folded(between(&[]), constants()), turned).unwrap();
    assert_eq!(y.cast_to_scalar::<f32>().unwrap(), -4.0);
}

#[test]
fn what_others_read_too_is_left_alone() {
    for op_type in ["Sigmoid", "LeakyRelu"] {
        let layer = folded(between(&[op_type]), constants());
        assert!(operators(&layer).contains(&"Conv"), "{op_type}");
    }
    let mut nodes = between(&[]);
    nodes.last_mut().unwrap().output = vec!["once".to_owned()];
    nodes.push(node("Add", "once c", "y"));
    let layer = folded(nodes, constants());
    assert!(operators(&layer).contains(&"Conv"));
}

#[test]
fn levels_of_other_widths_are_left_alone() {
    let mut constants = constants();
    constants[1] = constant("z", &[], DataType::Int16, &[100, 0]);
    assert!(operators(&folded(between(&[]), constants)).contains(&"Conv"));
}

#[test]
fn what_another_domain_calls_a_convolution_is_none() {
    let mut nodes = between(&[]);
    nodes[3].domain = "somebody".to_owned();
    assert_eq!(folded(nodes, constants()).node.len(), 6);
}

#[test]
fn a_runtimes_own_operators_are_written_as_steps() {
    let mut sum = node("QLinearAdd", "xq s z xq s z ys yz", "yq");
    sum.domain = "com.microsoft".to_owned();
    let nodes = vec![
        node("QuantizeLinear", "x s z", "xq"),
        sum,
        node("DequantizeLinear", "yq ys yz", "y"),
    ];
    let layer = folded(nodes, constants());
    assert_eq!(
        operators(&layer),
        ["QuantizeLinear", "quantized sum", "DequantizeLinear"]
    );
    let y = run(layer, image()).unwrap();
    // Twice one is half of a step, and goes to the even level; twice three is one step and a half, and goes to two.
    assert_eq!(
        y.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap()[7..9],
        [0.0, 8.0]
    );
}

#[test]
fn a_runtimes_own_operator_may_have_no_zero_points() {
    for inputs in ["xq s  xq s  ys ", "xq s  xq s  ys"] {
        let mut product = node("QLinearMul", inputs, "yq");
        product.domain = "com.microsoft".to_owned();
        let nodes = vec![
            node("QuantizeLinear", "x s", "xq"),
            product,
            node("DequantizeLinear", "yq ys", "y"),
        ];
        let y = run(folded(nodes, constants()), image()).unwrap();
        // Three times three is two steps of four and a quarter.
        let y = y
            .try_as_plain_ram()
            .unwrap()
            .as_slice::<f32>()
            .unwrap()
            .to_vec();
        assert_eq!((y[0], y[8], y[9]), (0.0, 8.0, 0.0), "{inputs}");
    }
}

#[test]
fn softmax_between_levels_is_not_taken_for_an_operation_on_each_value() {
    let nodes = vec![
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xd"),
        node("Softmax", "xd", "softmax"),
        node("QuantizeLinear", "softmax ws z", "yq"),
        node("DequantizeLinear", "yq ws z", "y"),
    ];
    let flat = Tensor::from_shape(&IMAGE, &[0.0f32; 18]).unwrap();
    let y = run(folded(nodes, constants()), flat).unwrap();
    // A third, in steps of a quarter.
    assert_eq!(
        y.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap(),
        [0.25; 18]
    );
}

#[test]
fn a_file_whose_numbers_do_not_fit_is_refused() {
    let number = |name: &str, ints: &[i64], r#type: AttributeType| AttributeProto {
        name: name.to_owned(),
        r#type: r#type as i32,
        i: ints[0],
        ints: ints.to_vec(),
        ..AttributeProto::default()
    };
    for (attribute, word) in [
        (number("strides", &[0, 1], AttributeType::Ints), "steps"),
        (number("strides", &[1], AttributeType::Ints), "each axis"),
        (number("pads", &[1, 1], AttributeType::Ints), "pads"),
        (number("group", &[3], AttributeType::Int), "group"),
    ] {
        let mut nodes = between(&[]);
        nodes[3].attribute.push(attribute);
        let error = run(folded(nodes, constants()), image()).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(word) && text.contains("node of c"), "{text}");
    }
    let mut constants = constants();
    constants[3] = scale("ws", f32::NAN);
    let error = run(folded(between(&[]), constants), image()).unwrap_err();
    assert!(format!("{error:#}").contains("no numbers"), "{error:#}");
}
