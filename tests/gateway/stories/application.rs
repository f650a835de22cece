//! Applications: what `modelet bundle spin` writes, and what Spin makes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use toml::{Table, Value};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, NodeId};

/// A repository, and the application that is made of it.
pub struct Application {
    pub repository: PathBuf,
    pub folder: PathBuf,
    _temporary: TempDir,
}

pub fn modelet() -> Command {
    let program = std::env::var_os("MODELET");
    Command::new(program.expect("`cargo xtask gateway` sets MODELET"))
}

impl Application {
    /// Of these artifacts, by the model's name and the version, and these `model.toml`.
    pub fn new(artifacts: &[(&str, &[u8])], specs: &[(&str, &str)]) -> Application {
        let temporary = tempfile::tempdir().unwrap();
        let repository = temporary.path().join("repository");
        for (version, artifact) in artifacts {
            let folder = repository.join(version);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("model.wasm"), artifact).unwrap();
        }
        for (model, spec) in specs {
            fs::write(repository.join(model).join("model.toml"), spec).unwrap();
        }
        Application::write(repository, temporary)
    }

    /// Of a repository that is there.
    pub fn of(repository: &Path) -> Application {
        Application::write(repository.to_owned(), tempfile::tempdir().unwrap())
    }

    fn write(repository: PathBuf, temporary: TempDir) -> Application {
        let folder = temporary.path().join("application");
        let output = bundle(&repository, &folder);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Application {
            repository,
            folder,
            _temporary: temporary,
        }
    }

    pub fn manifest(&self) -> Table {
        let text = fs::read_to_string(self.folder.join("spin.toml")).unwrap();
        text.parse().unwrap()
    }

    /// For hosts that compose nothing.
    pub fn composed(&self) -> Vec<u8> {
        fs::read(self.folder.join("composed.wasm")).unwrap()
    }

    /// As Spin does it: each dependency under its name, its export in place of the gateway's import.
    pub fn composed_by_spin(&self) -> Vec<u8> {
        let manifest = self.manifest();
        let gateway = &manifest["component"]["gateway"];
        let read = |path: &Value| fs::read(self.folder.join(path.as_str().unwrap())).unwrap();
        let mut graph = CompositionGraph::new();
        let node = add(&mut graph, "gateway", read(&gateway["source"]));
        for (name, dependency) in gateway["dependencies"].as_table().unwrap() {
            // The package of an interface; a plain name is its own.
            let package = name.split('/').next().unwrap();
            let dependant = add(&mut graph, package, read(&dependency["path"]));
            let export = dependency["export"].as_str().unwrap();
            let export = graph.alias_instance_export(dependant, export).unwrap();
            graph
                .set_instantiation_argument(node, name, export)
                .unwrap();
        }
        let handler = "wasi:http/handler@0.3.0";
        let export = graph.alias_instance_export(node, handler).unwrap();
        graph.export(export, handler).unwrap();
        graph.encode(Default::default()).unwrap()
    }
}

fn add(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> NodeId {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut()).unwrap();
    let package = graph.register_package(package).unwrap();
    graph.instantiate(package)
}

pub fn bundle(repository: &Path, folder: &Path) -> Output {
    modelet()
        .args(["bundle", "spin"])
        .arg(repository)
        .arg("--output")
        .arg(folder)
        .output()
        .unwrap()
}
