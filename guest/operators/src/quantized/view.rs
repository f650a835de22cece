//! A graph, looked at from each of its values.

use std::collections::HashMap;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

pub struct View<'a> {
    nodes: &'a [NodeProto],
    constants: HashMap<&'a str, &'a TensorProto>,
    producers: HashMap<&'a str, usize>,
    /// Who reads a value; `None` stands for the caller, or a graph within.
    readers: HashMap<&'a str, Vec<Option<usize>>>,
}

/// What levels stand for: `(level - zero) · scale`.
#[derive(Clone, Copy)]
pub struct Quantization<'a> {
    pub scale: &'a TensorProto,
    /// Zero, if it is not there.
    pub zero: Option<&'a TensorProto>,
}

/// A value that is made of levels.
#[derive(Clone, Copy)]
pub struct Dequantized<'a> {
    pub levels: &'a str,
    pub by: Quantization<'a>,
    /// Of the scales, if there are several.
    pub axis: i64,
}

/// What a value goes through before it is levels.
pub struct Quantized<'a> {
    /// The node that makes the levels.
    pub node: usize,
    pub by: Quantization<'a>,
    pub least: Option<TensorProto>,
    pub most: Option<TensorProto>,
    /// Nodes in between.
    pub between: Vec<usize>,
}

impl<'a> View<'a> {
    pub fn of(graph: &'a GraphProto) -> View<'a> {
        let mut view = View {
            nodes: &graph.node,
            constants: HashMap::new(),
            producers: HashMap::new(),
            readers: HashMap::new(),
        };
        for tensor in &graph.initializer {
            view.constants.insert(&tensor.name, tensor);
        }
        for output in &graph.output {
            view.readers.entry(&output.name).or_default().push(None);
        }
        for (index, node) in graph.node.iter().enumerate() {
            for output in &node.output {
                view.producers.insert(output, index);
            }
            for input in &node.input {
                view.readers.entry(input).or_default().push(Some(index));
            }
            if node.op_type == "Constant"
                && let [output] = &node.output[..]
                && let Some(tensor) = tensor_of(node, "value")
            {
                view.constants.insert(output, tensor);
            }
            for attribute in &node.attribute {
                for graph in attribute.g.iter().chain(&attribute.graphs) {
                    view.read_within(graph);
                }
            }
        }
        view
    }

    /// Graphs within may read all values.
    fn read_within(&mut self, graph: &'a GraphProto) {
        for output in &graph.output {
            self.readers.entry(&output.name).or_default().push(None);
        }
        for node in &graph.node {
            for input in &node.input {
                self.readers.entry(input).or_default().push(None);
            }
            for attribute in &node.attribute {
                for graph in attribute.g.iter().chain(&attribute.graphs) {
                    self.read_within(graph);
                }
            }
        }
    }

    /// Whether nobody reads any of a node's outputs.
    pub fn is_unread(&self, node: &NodeProto) -> bool {
        node.output.iter().all(|output| !self.is_read(output))
    }

    pub fn is_read(&self, name: &str) -> bool {
        self.readers.contains_key(name)
    }

    /// The first output of a node.
    pub fn output(&self, node: usize) -> Option<&'a str> {
        self.nodes[node].output.first().map(String::as_str)
    }

    pub fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        self.constants.get(name).copied()
    }

    pub fn producer(&self, name: &str) -> Option<&'a NodeProto> {
        self.producers.get(name).map(|index| &self.nodes[*index])
    }

    /// The one node that reads what another makes.
    pub fn next(&self, node: &NodeProto) -> Option<(usize, &'a NodeProto)> {
        let [output] = &node.output[..] else {
            return None;
        };
        let reader = self.reader(output)?;
        Some((reader, &self.nodes[reader]))
    }

    /// The one node that reads a value.
    fn reader(&self, name: &str) -> Option<usize> {
        match self.readers.get(name)?[..] {
            [reader] => reader,
            _ => None,
        }
    }

    /// The two are constants, and the first is of `f32`.
    pub fn quantization(&self, scale: &str, zero: Option<&str>) -> Option<Quantization<'a>> {
        let scale = self.constant(scale)?;
        let zero = zero.filter(|name| !name.is_empty());
        let zero = match zero {
            Some(zero) => Some(self.constant(zero)?),
            None => None,
        };
        let is_plain = scale.data_type == DataType::Float as i32;
        is_plain.then_some(Quantization { scale, zero })
    }

    pub fn dequantized(&self, name: &str) -> Option<Dequantized<'a>> {
        let node = self.producer(name)?;
        if node.op_type != "DequantizeLinear" || int(node, "block_size").unwrap_or(0) != 0 {
            return None;
        }
        let [levels, scale, zero @ ..] = &node.input[..] else {
            return None;
        };
        Some(Dequantized {
            levels,
            by: self.quantization(scale, zero.first().map(String::as_str))?,
            axis: int(node, "axis").unwrap_or(1),
        })
    }

    /// Whether it is made of levels of eight bits by one scale.
    pub fn are_bytes(&self, value: &Dequantized<'_>) -> bool {
        // Without a zero point it is the levels alone that tell their type.
        let is_known = value.by.zero.is_some()
            || self.producer(value.levels).is_some_and(|node| {
                node.op_type == "QuantizeLinear" && int(node, "output_dtype").unwrap_or(0) == 0
            });
        is_known && value.by.is_of_bytes()
    }

    /// What becomes of the one output of a node, if it is nothing but levels of eight bits by one scale.
    pub fn quantized(&self, node: &NodeProto) -> Option<Quantized<'a>> {
        let (mut least, mut most, mut between) = (None, None, vec![]);
        let mut last = node;
        loop {
            let (index, node) = self.next(last)?;
            match &*node.op_type {
                "Relu" if between.is_empty() => least = Some(zero()),
                "Clip" if between.is_empty() => {
                    (least, most) = (self.limit(node, 1, "min")?, self.limit(node, 2, "max")?);
                }
                "QuantizeLinear" if int(node, "block_size").unwrap_or(0) == 0 => {
                    let [_, scale, zero @ ..] = &node.input[..] else {
                        return None;
                    };
                    let by = self.quantization(scale, zero.first().map(String::as_str))?;
                    let typed = int(node, "output_dtype").unwrap_or(0) == 0;
                    return (typed && by.is_of_bytes()).then_some(Quantized {
                        node: index,
                        by,
                        least,
                        most,
                        between,
                    });
                }
                _ => return None,
            }
            between.push(index);
            last = node;
        }
    }

    /// Of a `Clip`; `Some(None)`: there is none.
    #[expect(
        clippy::option_option,
        reason = "no limit is not the same as one that is not known"
    )]
    fn limit(
        &self,
        clip: &NodeProto,
        input: usize,
        attribute: &str,
    ) -> Option<Option<TensorProto>> {
        let name = clip.input.get(input).filter(|name| !name.is_empty());
        match name {
            Some(name) => {
                let limit = self.constant(name)?;
                let is_plain = limit.data_type == DataType::Float as i32 && is_single(limit);
                is_plain.then(|| Some(limit.clone()))
            }
            None => {
                let mut attributes = clip.attribute.iter();
                let limit = attributes.find(|it| it.name == attribute);
                Some(limit.map(|limit| float(limit.f)))
            }
        }
    }
}

impl Quantization<'_> {
    /// One scale and one zero point, for levels of eight bits.
    pub fn is_of_bytes(&self) -> bool {
        is_single(self.scale)
            && self
                .zero
                .is_none_or(|zero| is_single(zero) && is_of_bytes(zero))
    }
}

pub fn is_of_bytes(tensor: &TensorProto) -> bool {
    [DataType::Int8 as i32, DataType::Uint8 as i32].contains(&tensor.data_type)
}

pub fn is_single(tensor: &TensorProto) -> bool {
    count(tensor) == 1
}

pub fn count(tensor: &TensorProto) -> i64 {
    tensor.dims.iter().product()
}

pub fn int(node: &NodeProto, name: &str) -> Option<i64> {
    let attribute = node.attribute.iter().find(|it| it.name == name)?;
    Some(attribute.i)
}

fn tensor_of<'a>(node: &'a NodeProto, name: &str) -> Option<&'a TensorProto> {
    let attribute = node.attribute.iter().find(|it| it.name == name)?;
    attribute.t.as_ref()
}

fn zero() -> TensorProto {
    float(0.0)
}

fn float(value: f32) -> TensorProto {
    TensorProto {
        data_type: DataType::Float as i32,
        float_data: vec![value],
        ..TensorProto::default()
    }
}

pub fn attribute(name: &str, tensor: &TensorProto) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Tensor as i32,
        t: Some(tensor.clone()),
        ..AttributeProto::default()
    }
}
