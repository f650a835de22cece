//! All of an application in one component, as Spin composes it from its manifest.

use anyhow::{Context as _, Result};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId};

use super::{Dependency, GATEWAY};

/// What stands for Spin's key-value store where there is none.
const NO_STORE: &str = include_str!("store.wat");
const STORE: &str = "spin:key-value/key-value@3.0.0";

pub fn compose(dependencies: &[Dependency]) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let gateway = add(&mut graph, "gateway", GATEWAY)?;
    for dependency in dependencies {
        let node = add(&mut graph, &dependency.import, &dependency.bytes)?;
        let export = graph.alias_instance_export(node, dependency.export)?;
        graph
            .set_instantiation_argument(gateway, &dependency.import, export)
            .with_context(|| format!("{} does not suit the gateway", dependency.path))?;
    }
    let store = add(&mut graph, "store", &wat::parse_str(NO_STORE)?)?;
    let export = graph.alias_instance_export(store, STORE)?;
    graph.set_instantiation_argument(gateway, STORE, export)?;
    let handler = "wasi:http/handler@0.3.0";
    let export = graph.alias_instance_export(gateway, handler)?;
    graph.export(export, handler)?;
    Ok(graph.encode(EncodeOptions::default())?)
}

fn add(graph: &mut CompositionGraph, name: &str, bytes: &[u8]) -> Result<NodeId> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut())
        .with_context(|| format!("`{name}` is no component that can be composed"))?;
    let package = graph.register_package(package)?;
    Ok(graph.instantiate(package))
}
