//! `compose SPIN_TOML OUTPUT`: composes what a manifest says, as Spin does it when it loads an
//! application. The tests in `tests/gateway` run it, because Spin itself is in no package registry.
//!
//! Each dependency is taken under its name, the package of which may be there only once, and its export
//! stands for the gateway's import. What is imported otherwise is left to the host.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml::{Table, Value};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId};

const HANDLER: &str = "wasi:http/handler@0.3.0";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [manifest, output] = &arguments[..] else {
        bail!("usage: compose SPIN_TOML OUTPUT");
    };
    let folder = Path::new(manifest).parent().unwrap_or(Path::new("."));
    let manifest: Table = fs::read_to_string(manifest)?.parse()?;
    let gateway = &manifest["component"]["gateway"];
    let read = |path: &Value| -> Result<Vec<u8>> {
        let path = folder.join(path.as_str().context("a path is a text")?);
        fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
    };
    let mut graph = CompositionGraph::new();
    let node = add(&mut graph, "gateway", read(&gateway["source"])?)?;
    let dependencies = gateway["dependencies"].as_table();
    for (name, dependency) in dependencies.context("the gateway has dependencies")? {
        let package = name.split('/').next().unwrap_or(name);
        let instance = add(&mut graph, package, read(&dependency["path"])?)?;
        let export = dependency["export"]
            .as_str()
            .context("an export is a text")?;
        let export = graph.alias_instance_export(instance, export)?;
        graph.set_instantiation_argument(node, name, export)?;
    }
    let export = graph.alias_instance_export(node, HANDLER)?;
    graph.export(export, HANDLER)?;
    fs::write(output, graph.encode(EncodeOptions::default())?)?;
    Ok(())
}

fn add(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> Result<NodeId> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut())?;
    let package = graph.register_package(package)?;
    Ok(graph.instantiate(package))
}
