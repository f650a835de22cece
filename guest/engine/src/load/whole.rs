//! Whether the file is one that can be read: all of it is there, and of versions that are known.

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};
use tract_onnx::tract_hir::internal::*;

use super::declare;

/// The newest operator sets that the engine is tested with, those of ONNX 1.23.
const NEWEST_OPSET: i64 = 28;
const NEWEST_ML_OPSET: i64 = 5;

/// Until opset 6 this attribute said how the shapes of two tensors are fitted to one another.
const OLD_BROADCAST: &str = "broadcast";

/// Refuses what tract would misread or stop at without a word to the user.
pub fn check(proto: &ModelProto) -> TractResult<()> {
    for import in &proto.opset_import {
        check_opset(&import.domain, import.version)?;
    }
    match &proto.graph {
        Some(graph) => check_graph(graph, &HashSet::new()),
        None => Ok(()),
    }
}

fn check_opset(domain: &str, version: i64) -> TractResult<()> {
    let (name, newest) = match domain {
        "" | "ai.onnx" => ("ONNX", NEWEST_OPSET),
        "ai.onnx.ml" => ("ai.onnx.ml", NEWEST_ML_OPSET),
        _ => return Ok(()),
    };
    ensure!(
        version <= newest,
        "the file is of opset {version} of {name}, and the newest that is known is {newest}: convert \
         again with skl2onnx's target_opset or PyTorch's opset_version"
    );
    Ok(())
}

/// `around` are the values of the graphs that this one is in.
fn check_graph(graph: &GraphProto, around: &HashSet<&str>) -> TractResult<()> {
    graph.initializer.iter().try_for_each(check_tensor)?;
    ensure!(
        graph.sparse_initializer.is_empty(),
        "the file has sparse weights, which cannot be read: store them as dense tensors"
    );
    let mut made: HashSet<&str> = HashSet::new();
    made.extend(graph.input.iter().map(|input| &*input.name));
    made.extend(graph.initializer.iter().map(|tensor| &*tensor.name));
    for node in &graph.node {
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            ensure!(
                made.insert(output),
                "{} makes `{output}`, which is made elsewhere too: {DAMAGED}",
                described(node)
            );
        }
    }
    for output in &graph.output {
        ensure!(
            made.contains(&*output.name),
            "no node makes the output `{}`: {DAMAGED}",
            output.name
        );
    }
    made.extend(around);
    graph
        .node
        .iter()
        .try_for_each(|node| check_node(node, &made))
}

const DAMAGED: &str = "the file is damaged, or a tool cut it wrongly; export it again, and let \
     onnx.checker.check_model look at it";

fn check_node(node: &NodeProto, made: &HashSet<&str>) -> TractResult<()> {
    for input in node.input.iter().filter(|name| !name.is_empty()) {
        ensure!(
            made.contains(&**input),
            "{} reads `{input}`, which nothing makes: {DAMAGED}",
            described(node)
        );
    }
    for attribute in &node.attribute {
        ensure!(
            attribute.name != OLD_BROADCAST,
            "{} has the attribute `{OLD_BROADCAST}`, which opset 6 was the last to have: convert the \
             file with onnx.version_converter.convert_version(model, 17)",
            described(node)
        );
        for tensor in attribute.t.iter().chain(&attribute.tensors) {
            check_tensor(tensor).with_context(|| described(node))?;
        }
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            check_graph(graph, made)?;
        }
    }
    Ok(())
}

fn check_tensor(tensor: &TensorProto) -> TractResult<()> {
    let name = &tensor.name;
    if tensor.data_location == Some(DataLocation::External as i32) {
        let mut facts = tensor.external_data.iter();
        let file = facts.find(|fact| fact.key == "location");
        bail!(
            "the values of `{name}` are in another file, `{}`, and a modelet is made of one: put them \
             into the model with onnx.save(onnx.load('model.onnx'), 'whole.onnx'), or export it with \
             external_data=False",
            file.map_or("", |fact| &fact.value)
        );
    }
    let of = declare::data_type(name, tensor.data_type)?;
    let Ok(datum_type) = DatumType::try_from(of) else {
        bail!(
            "the values of `{name}` are {}, which cannot be computed with: convert them to FLOAT or \
             FLOAT16",
            of.as_str_name()
        );
    };
    ensure!(
        of != DataType::String || tensor.raw_data.is_empty(),
        "the texts of `{name}` are written as raw bytes, which ONNX forbids: {DAMAGED}"
    );
    let n_values = tensor.dims.iter().try_fold(1usize, |count, &size| {
        count.checked_mul(usize::try_from(size).ok()?)
    });
    let n_bytes = n_values.and_then(|count| count.checked_mul(datum_type.size_of()));
    ensure!(
        tensor.raw_data.is_empty() || Some(tensor.raw_data.len()) == n_bytes,
        "the values of `{name}` are {} bytes, where the shape {:?} of {} takes {}: {DAMAGED}",
        tensor.raw_data.len(),
        tensor.dims,
        of.as_str_name(),
        n_bytes.map_or("more than there are".to_owned(), |n_bytes| format!(
            "{n_bytes} bytes"
        ))
    );
    Ok(())
}

/// Operator and name.
pub fn described(node: &NodeProto) -> String {
    let (name, operator) = (
        modelet_operators::name(node),
        modelet_operators::full_name(node),
    );
    format!("node `{name}` ({operator})")
}
