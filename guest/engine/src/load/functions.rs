//! A file's own functions, written out where they are called: tract knows operators only.

use std::collections::HashMap;

use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};
use tract_onnx::tract_hir::internal::*;

/// More nodes than that come from a file that means harm: functions can double at every level.
const MAX_NODES: usize = 1 << 16;

/// Replaces every call of a function of `proto` by the function's nodes, in subgraphs as well.
pub fn inline(proto: &mut ModelProto) -> TractResult<()> {
    let functions = std::mem::take(&mut proto.functions);
    if functions.is_empty() {
        return Ok(());
    }
    let known = functions
        .iter()
        .map(|function| ((function.domain(), function.name()), function))
        .collect();
    let mut calls = Calls {
        known,
        n_calls: 0,
        n_nodes: 0,
    };
    match &mut proto.graph {
        Some(graph) => calls.inline_graph(graph, 0),
        None => Ok(()),
    }
}

/// Calls within calls are at most this many.
const MAX_DEPTH: usize = 64;

struct Calls<'a> {
    known: HashMap<(&'a str, &'a str), &'a FunctionProto>,
    n_calls: usize,
    n_nodes: usize,
}

impl Calls<'_> {
    fn inline_graph(&mut self, graph: &mut GraphProto, depth: usize) -> TractResult<()> {
        graph.node = self.inline(std::mem::take(&mut graph.node), depth)?;
        Ok(())
    }

    fn inline(&mut self, nodes: Vec<NodeProto>, depth: usize) -> TractResult<Vec<NodeProto>> {
        let mut inlined = vec![];
        for mut node in nodes {
            let key = (&*node.domain, &*node.op_type);
            if let Some(function) = self.known.get(&key).copied() {
                ensure!(
                    depth < MAX_DEPTH,
                    "function `{}` calls itself",
                    node.op_type
                );
                let body = self.body(function, &node)?;
                inlined.extend(self.inline(body, depth + 1)?);
                continue;
            }
            self.n_nodes += 1;
            ensure!(
                self.n_nodes <= MAX_NODES,
                "written out, the file's functions are more than {MAX_NODES} nodes"
            );
            for graph in subgraphs(&mut node) {
                self.inline_graph(graph, depth)?;
            }
            inlined.push(node);
        }
        Ok(inlined)
    }

    /// The nodes of `function` for one call, with names of their own.
    fn body(&mut self, function: &FunctionProto, call: &NodeProto) -> TractResult<Vec<NodeProto>> {
        self.n_calls += 1;
        let mut names = Names {
            prefix: format!("{}.{}", function.name(), self.n_calls),
            outside: HashMap::new(),
        };
        for (inner, outer) in [
            (&function.input, &call.input),
            (&function.output, &call.output),
        ] {
            for (position, inner) in inner.iter().enumerate() {
                // What the caller leaves out is not there inside either.
                let outer = outer.get(position).cloned();
                let unused = || format!("{}.{inner}", names.prefix);
                let outer = match outer {
                    Some(outer) if !outer.is_empty() => outer,
                    _ if function.input.contains(inner) => String::new(),
                    _ => unused(),
                };
                names.outside.insert(inner.clone(), outer);
            }
        }
        let mut body = function.node.clone();
        for node in &mut body {
            names.rename(node);
            bind(node, function, call)?;
        }
        Ok(body)
    }
}

fn subgraphs(node: &mut NodeProto) -> impl Iterator<Item = &mut GraphProto> {
    node.attribute
        .iter_mut()
        .flat_map(|attribute| attribute.g.iter_mut().chain(&mut attribute.graphs))
}

/// What a function's values are called where it is called from.
struct Names {
    prefix: String,
    /// Its inputs and outputs.
    outside: HashMap<String, String>,
}

impl Names {
    fn of(&self, name: &str) -> String {
        match self.outside.get(name) {
            Some(outside) => outside.clone(),
            None if name.is_empty() => String::new(),
            None => format!("{}.{name}", self.prefix),
        }
    }

    fn rename(&self, node: &mut NodeProto) {
        node.name = format!("{}.{}", self.prefix, node.name);
        for name in node.input.iter_mut().chain(&mut node.output) {
            *name = self.of(name);
        }
        for graph in subgraphs(node) {
            let values = graph.input.iter_mut().chain(&mut graph.output);
            for value in values.chain(&mut graph.value_info) {
                value.name = self.of(&value.name);
            }
            for tensor in &mut graph.initializer {
                tensor.name = self.of(&tensor.name);
            }
            for node in &mut graph.node {
                self.rename(node);
            }
        }
    }
}

/// Gives the node's attributes the values that they take from the call.
fn bind(node: &mut NodeProto, function: &FunctionProto, call: &NodeProto) -> TractResult<()> {
    let mut bound: Vec<AttributeProto> = vec![];
    for attribute in std::mem::take(&mut node.attribute) {
        let outer = &attribute.ref_attr_name;
        if outer.is_empty() {
            bound.push(attribute);
            continue;
        }
        match call.attribute.iter().find(|given| given.name == *outer) {
            Some(given) => bound.push(AttributeProto {
                name: attribute.name,
                ..given.clone()
            }),
            // Without a default the operator's own is meant.
            None => ensure!(
                function.attribute.contains(outer),
                "function `{}`: the default of attribute `{outer}` cannot be read; give the \
                 attribute where the function is called",
                function.name()
            ),
        }
    }
    node.attribute = bound;
    for graph in subgraphs(node) {
        for node in &mut graph.node {
            bind(node, function, call)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(op_type: &str, domain: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: op_type.to_owned(),
            domain: domain.to_owned(),
            input: input.iter().map(|name| name.to_string()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        }
    }

    fn function(name: &str, attribute: &[&str], nodes: Vec<NodeProto>) -> FunctionProto {
        FunctionProto {
            name: Some(name.to_owned()),
            domain: Some("own".to_owned()),
            input: vec!["x".to_owned()],
            output: vec!["y".to_owned()],
            attribute: attribute.iter().map(|name| name.to_string()).collect(),
            node: nodes,
            ..FunctionProto::default()
        }
    }

    fn inlined(functions: Vec<FunctionProto>, call: NodeProto) -> TractResult<Vec<NodeProto>> {
        let graph = GraphProto {
            node: vec![call],
            ..GraphProto::default()
        };
        let mut proto = ModelProto {
            graph: Some(graph),
            functions,
            ..ModelProto::default()
        };
        inline(&mut proto)?;
        Ok(proto.graph.unwrap_or_default().node)
    }

    #[test]
    fn calls_within_calls_are_written_out() {
        let inner = function("twice", &[], vec![node("Add", "", &["x", "x"], "y")]);
        let two = vec![
            node("twice", "own", &["x"], "h"),
            node("twice", "own", &["h"], "y"),
        ];
        let outer = function("four_times", &[], two);
        let nodes = inlined(vec![inner, outer], node("four_times", "own", &["a"], "b")).unwrap();
        let [first, second] = &nodes[..] else {
            panic!("{nodes:?}")
        };
        assert_eq!(first.input, ["a", "a"]);
        assert_eq!([&first.output[0]; 2], [&second.input[0], &second.input[1]]);
        assert_eq!(second.output, ["b"]);
    }

    fn leaky() -> NodeProto {
        let mut leaky = node("LeakyRelu", "", &["x"], "y");
        leaky.attribute.push(AttributeProto {
            name: "alpha".to_owned(),
            ref_attr_name: "slope".to_owned(),
            ..AttributeProto::default()
        });
        leaky
    }

    #[test]
    fn attributes_come_from_the_call() {
        let mut call = node("leaky", "own", &["a"], "b");
        let omitted = inlined(
            vec![function("leaky", &["slope"], vec![leaky()])],
            call.clone(),
        );
        assert!(omitted.unwrap()[0].attribute.is_empty());
        let unread = inlined(vec![function("leaky", &[], vec![leaky()])], call.clone());
        assert!(unread.unwrap_err().to_string().contains("`slope`"));
        call.attribute.push(AttributeProto {
            name: "slope".to_owned(),
            f: 0.5,
            ..AttributeProto::default()
        });
        let given = inlined(vec![function("leaky", &["slope"], vec![leaky()])], call).unwrap();
        assert_eq!(given[0].attribute[0].name, "alpha");
        assert_eq!(given[0].attribute[0].f, 0.5);
    }

    #[test]
    fn functions_without_an_end_are_refused() {
        let endless = function("endless", &[], vec![node("endless", "own", &["x"], "y")]);
        let error = inlined(vec![endless], node("endless", "own", &["a"], "b")).unwrap_err();
        assert!(error.to_string().contains("calls itself"));
    }
}
