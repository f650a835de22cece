//! One node for each layer.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::expand::expand;
use super::view::{
    Dequantized, Quantization, Quantized, View, attribute, count, int, is_of_bytes, is_single,
};
use super::{CONVOLUTION, PRODUCT, SUM};
use crate::unknown::has_known_domain;

/// Writes the layers of `graph` as operators of this module. A graph that will be refused is left alone.
pub fn fold(graph: &mut GraphProto) {
    if !graph.node.iter().all(has_known_domain) {
        return;
    }
    let nodes = std::mem::take(&mut graph.node);
    graph.node = nodes.into_iter().flat_map(expand).collect();
    let view = View::of(graph);
    let layers: Vec<Layer> = (0..graph.node.len())
        .filter_map(|index| layer(&view, &graph.node[index], index))
        .collect();
    if layers.is_empty() {
        return;
    }
    for Layer { node, at, instead } in layers {
        for index in instead {
            graph.node[index] = NodeProto::default();
        }
        graph.node[at] = node;
    }
    graph.node.retain(|node| !node.output.is_empty());
    forget_unread(graph);
}

/// Takes out what only folded nodes read.
fn forget_unread(graph: &mut GraphProto) {
    for op_type in ["DequantizeLinear", "Constant"] {
        let view = View::of(graph);
        let is_read = |node: &NodeProto| node.op_type != op_type || !view.is_unread(node);
        let mut read: Vec<bool> = graph.node.iter().map(is_read).collect();
        let mut read = read.drain(..);
        graph.node.retain(|_| read.next() == Some(true));
    }
    let view = View::of(graph);
    let is_input = |name: &str| graph.input.iter().any(|input| input.name == name);
    let is_read = |tensor: &TensorProto| view.is_read(&tensor.name) || is_input(&tensor.name);
    let mut read: Vec<bool> = graph.initializer.iter().map(is_read).collect();
    let mut read = read.drain(..);
    graph.initializer.retain(|_| read.next() == Some(true));
}

struct Layer {
    node: NodeProto,
    /// The node in whose place it is.
    at: usize,
    /// What is computed by it too.
    instead: Vec<usize>,
}

fn layer(view: &View<'_>, node: &NodeProto, index: usize) -> Option<Layer> {
    match &*node.op_type {
        "Conv" => between(view, node, index, CONVOLUTION),
        "MatMul" | "Gemm" => between(view, node, index, PRODUCT),
        "Add" => sum(view, node, index),
        "QLinearConv" => of_levels(view, node, index, CONVOLUTION),
        "QLinearMatMul" | "QGemm" => of_levels(view, node, index, PRODUCT),
        "ConvInteger" => of_integers(view, node, index, CONVOLUTION),
        "MatMulInteger" => of_integers(view, node, index, PRODUCT),
        _ => None,
    }
}

/// A layer of `f32` between levels.
fn between(view: &View<'_>, node: &NodeProto, index: usize, op_type: &str) -> Option<Layer> {
    let [input, weights, bias @ ..] = &node.input[..] else {
        return None;
    };
    let input = view
        .dequantized(input)
        .filter(|input| view.are_bytes(input))?;
    let by = view.dequantized(weights)?;
    let weights = Weights::of(node, view.constant(by.levels)?, op_type)?;
    let is_along_rows =
        is_single(by.by.scale) || by.axis.rem_euclid(weights.rank()) == weights.axis;
    let quantized = view.quantized(node)?;
    let mut attributes = weights.attributes(by.by)?;
    match bias {
        [] => {}
        [bias] => attributes.extend(weights.bias(view, bias)?),
        _ => return None,
    }
    attributes.extend(scale_and_zero("x", input.by));
    attributes.extend(of_output(&quantized));
    attributes.extend(geometry(node)?);
    let Quantized {
        node: at,
        mut between,
        ..
    } = quantized;
    between.push(index);
    is_along_rows.then_some(Layer {
        node: NodeProto {
            attribute: attributes,
            ..written(
                node,
                op_type,
                vec![input.levels.to_owned()],
                view.output(at)?,
            )
        },
        at,
        instead: between,
    })
}

/// A layer that has its scales among its inputs.
fn of_levels(view: &View<'_>, node: &NodeProto, index: usize, op_type: &str) -> Option<Layer> {
    let mut inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
    if node.op_type == "QGemm" {
        // The bias is before the result's scale there, and may be absent.
        let bias = (inputs.len() > 6).then(|| inputs.remove(6));
        inputs.extend(bias.filter(|bias| !bias.is_empty()));
    }
    let [
        input,
        x_scale,
        x_zero,
        weights,
        w_scale,
        w_zero,
        y_scale,
        y_zero,
        bias @ ..,
    ] = &inputs[..]
    else {
        return None;
    };
    let weights = Weights::of(node, view.constant(weights)?, op_type)?;
    let output = view.quantization(y_scale, Some(y_zero))?;
    let mut attributes = weights.attributes(view.quantization(w_scale, Some(w_zero))?)?;
    match bias {
        [] | [""] => {}
        [bias] => attributes.push(attribute("bias", weights.of_rows(view.constant(bias)?)?)),
        _ => return None,
    }
    attributes.extend(of_bytes("x", view.quantization(x_scale, Some(x_zero))?)?);
    attributes.extend(of_bytes("y", output)?);
    attributes.extend(geometry(node)?);
    Some(Layer {
        node: NodeProto {
            attribute: attributes,
            ..written(
                node,
                op_type,
                vec![(*input).to_owned()],
                node.output.first()?,
            )
        },
        at: index,
        instead: vec![],
    })
}

/// A layer whose results are its sums.
fn of_integers(view: &View<'_>, node: &NodeProto, index: usize, op_type: &str) -> Option<Layer> {
    let [input, weights, zeros @ ..] = &node.input[..] else {
        return None;
    };
    let zero = |index: usize| zeros.get(index).filter(|name| !name.is_empty());
    let weights = Weights::of(node, view.constant(weights)?, op_type)?;
    let mut attributes = vec![attribute("w", weights.tensor)];
    if let Some(zero) = zero(1) {
        let zero = weights.of_rows(view.constant(zero)?)?;
        is_of_bytes(zero).then(|| attributes.push(attribute("w_zero_point", zero)))?;
    }
    let mut inputs = vec![input.clone()];
    if let Some(zero) = zero(0) {
        match view.constant(zero) {
            Some(zero) if is_single(zero) && is_of_bytes(zero) => {
                attributes.push(attribute("x_zero_point", zero))
            }
            Some(_) => return None,
            // The only operator that computes one computes a single one.
            None if view.producer(zero)?.op_type == "DynamicQuantizeLinear" => {
                inputs.push(zero.clone());
            }
            None => return None,
        }
    }
    attributes.extend(geometry(node)?);
    let (mut at, mut instead) = (index, vec![]);
    if inputs.len() > 1
        && let Some(scaled) = scaled(view, node, &weights, op_type)
    {
        attributes.push(attribute("w_scale", scaled.by));
        inputs.push(scaled.scale.to_owned());
        instead = vec![index, scaled.cast];
        at = scaled.at;
    }
    Some(Layer {
        node: NodeProto {
            attribute: attributes,
            ..written(node, op_type, inputs, view.output(at)?)
        },
        at,
        instead,
    })
}

/// Sums that are multiplied by the scale of their input, which the model computes, and by that of their weights.
struct Scaled<'a> {
    scale: &'a str,
    by: &'a TensorProto,
    cast: usize,
    /// The node that multiplies.
    at: usize,
}

fn scaled<'a>(
    view: &View<'a>,
    node: &NodeProto,
    weights: &Weights<'_>,
    op_type: &str,
) -> Option<Scaled<'a>> {
    let (cast, values) = view.next(node)?;
    let (at, product) = view.next(values)?;
    let is_float = int(values, "to") == Some(DataType::Float as i64);
    if values.op_type != "Cast" || !is_float || product.op_type != "Mul" {
        return None;
    }
    let cast_value = values.output.first()?;
    let other = product.input.iter().find(|input| *input != cast_value)?;
    let scales = view.producer(other)?;
    if scales.op_type != "Mul" {
        return None;
    }
    let is_computed = |name: &String| {
        let producer = view.producer(name);
        producer.is_some_and(|node| {
            node.op_type == "DynamicQuantizeLinear" && node.output.get(1) == Some(name)
        })
    };
    let scale = scales.input.iter().find(|input| is_computed(input))?;
    let by = view.constant(scales.input.iter().find(|input| *input != scale)?)?;
    // Of a product the rows are the last axis.
    let fits =
        is_single(by) || op_type == PRODUCT && by.dims.len() == 1 && weights.of_rows(by).is_some();
    let is_plain = by.data_type == DataType::Float as i32;
    (fits && is_plain).then_some(Scaled {
        scale,
        by,
        cast,
        at,
    })
}

fn sum(view: &View<'_>, node: &NodeProto, index: usize) -> Option<Layer> {
    let [left, right] = &node.input[..] else {
        return None;
    };
    let operands = [view.dequantized(left)?, view.dequantized(right)?];
    let quantized = view.quantized(node)?;
    let mut attributes = vec![];
    if !operands.iter().all(|operand| view.are_bytes(operand)) {
        return None;
    }
    for (tensor, operand) in ["a", "b"].into_iter().zip(&operands) {
        attributes.extend(scale_and_zero(tensor, operand.by));
    }
    attributes.extend(of_output(&quantized));
    let inputs = operands.iter().map(|operand| operand.levels.to_owned());
    let Quantized {
        node: at,
        mut between,
        ..
    } = quantized;
    between.push(index);
    Some(Layer {
        node: NodeProto {
            attribute: attributes,
            ..written(node, SUM, inputs.collect(), view.output(at)?)
        },
        at,
        instead: between,
    })
}

/// A node of this module in place of another.
fn written(node: &NodeProto, op_type: &str, input: Vec<String>, output: &str) -> NodeProto {
    NodeProto {
        name: node.name.clone(),
        op_type: op_type.to_owned(),
        input,
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// Constant weights.
struct Weights<'a> {
    tensor: &'a TensorProto,
    /// The axis of the rows: what has scales, zero points and a bias of its own.
    axis: i64,
}

impl<'a> Weights<'a> {
    fn of(node: &NodeProto, tensor: &'a TensorProto, op_type: &str) -> Option<Weights<'a>> {
        let rank = tensor.dims.len();
        let is_transposed = op_type == PRODUCT && int(node, "transB").unwrap_or(0) != 0;
        let (axis, fits) = match op_type {
            // Over one or two axes.
            CONVOLUTION => (0, rank == 3 || rank == 4),
            _ => (i64::from(!is_transposed), rank == 2),
        };
        let is_there = tensor.dims.iter().all(|size| *size > 0);
        (fits && is_there && is_of_bytes(tensor)).then_some(Weights { tensor, axis })
    }

    fn rank(&self) -> i64 {
        self.tensor.dims.len() as i64
    }

    fn rows(&self) -> i64 {
        self.tensor.dims[self.axis as usize]
    }

    /// A value for all rows, or one for each.
    fn of_rows(&self, tensor: &'a TensorProto) -> Option<&'a TensorProto> {
        (is_single(tensor) || count(tensor) == self.rows()).then_some(tensor)
    }

    fn attributes(&self, by: Quantization<'_>) -> Option<Vec<AttributeProto>> {
        let fits = |tensor: &TensorProto| is_single(tensor) || count(tensor) == self.rows();
        let is_zero = |zero: &TensorProto| fits(zero) && is_of_bytes(zero);
        if !fits(by.scale) || !by.zero.is_none_or(is_zero) {
            return None;
        }
        let mut attributes = scale_and_zero("w", by);
        attributes.push(attribute("w", self.tensor));
        Some(attributes)
    }

    /// Of `f32`, or of levels.
    fn bias(&self, view: &View<'a>, name: &str) -> Option<Vec<AttributeProto>> {
        if let Some(bias) = view.constant(name) {
            return Some(vec![attribute("bias", self.of_rows(bias)?)]);
        }
        let Dequantized { levels, by, .. } = view.dequantized(name)?;
        let scale = attribute("bias_scale", self.of_rows(by.scale)?);
        let bias = attribute("bias", self.of_rows(view.constant(levels)?)?);
        let zero = by.zero.map(|zero| self.of_rows(zero));
        let mut attributes = vec![bias, scale];
        if let Some(zero) = zero {
            attributes.push(attribute("bias_zero_point", zero?));
        }
        Some(attributes)
    }
}

/// Of a tensor with levels of eight bits by one scale.
fn of_bytes(tensor: &str, by: Quantization<'_>) -> Option<Vec<AttributeProto>> {
    by.is_of_bytes().then(|| scale_and_zero(tensor, by))
}

fn scale_and_zero(tensor: &str, by: Quantization<'_>) -> Vec<AttributeProto> {
    let mut attributes = vec![attribute(&format!("{tensor}_scale"), by.scale)];
    let zero = by
        .zero
        .map(|zero| attribute(&format!("{tensor}_zero_point"), zero));
    attributes.extend(zero);
    attributes
}

fn of_output(quantized: &Quantized<'_>) -> Vec<AttributeProto> {
    let mut attributes = scale_and_zero("y", quantized.by);
    let limits = [("least", &quantized.least), ("most", &quantized.most)];
    for (name, limit) in limits {
        attributes.extend(limit.as_ref().map(|limit| attribute(name, limit)));
    }
    attributes
}

/// How windows lie, and whether weights are transposed. `None`: there is more to it.
fn geometry(node: &NodeProto) -> Option<Vec<AttributeProto>> {
    let mut attributes = vec![];
    for attribute in &node.attribute {
        match &*attribute.name {
            "transA" if attribute.i != 0 => return None,
            "alpha" | "beta" if attribute.f != 1.0 => return None,
            "transA" | "alpha" | "beta" => {}
            "transB" | "auto_pad" | "dilations" | "group" | "kernel_shape" | "pads" | "strides" => {
                attributes.push(attribute.clone());
            }
            _ if attribute.r#type == AttributeType::Undefined as i32 => {}
            _ => return None,
        }
    }
    Some(attributes)
}
