//! Measures what the project promises, and prints it beside the promise.
//!
//! Absences: nothing here fails for being slow. Machines differ and are busy; a person judges the
//! table. Every comparison is made within one run.

mod builds;
mod calls;
mod connection;
mod load;
mod policy;
mod process;
mod serving;
mod soak;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use process::modelet;
use table::Table;

/// What is measured: the ONNX file and what `modelet build` needs to be told about it.
pub struct Model {
    pub name: &'static str,
    pub onnx: PathBuf,
    options: &'static [&'static str],
}

/// Where everything is.
pub struct Bench {
    /// Files that this run makes.
    pub folder: PathBuf,
    pub models: Vec<Model>,
    /// The interpreter that has the peers' packages.
    pub python: PathBuf,
    /// The one that has MLServer's.
    pub mlserver: PathBuf,
}

impl Bench {
    pub fn model(&self, name: &str) -> Result<&Model> {
        self.models
            .iter()
            .find(|model| model.name == name)
            .with_context(|| format!("there is no model {name}"))
    }

    pub fn artifact(&self, model: &Model) -> PathBuf {
        self.folder.join(format!("{}.wasm", model.name))
    }

    /// The code cache of this run, so that what is cold and what is warm is known.
    pub fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    pub fn build(&self, model: &Model) -> Result<()> {
        let mut build = modelet()?;
        build
            .arg("build")
            .arg(&model.onnx)
            .arg("--output")
            .arg(self.artifact(model))
            .args(["--name", model.name, "--cache"])
            .arg(self.cache())
            .args(model.options);
        process::run(&mut build)
    }
}

/// `modelet-bench PYTHON MLSERVER`, two interpreters, from the workspace's root: what `cargo xtask bench` calls.
fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [python, mlserver] = arguments.as_slice() else {
        bail!("usage: modelet-bench PYTHON MLSERVER");
    };
    let folder = PathBuf::from("target/bench");
    // A cache from another run would make the first build a second one.
    if folder.join("cache").exists() {
        std::fs::remove_dir_all(folder.join("cache")).context("target/bench/cache stays")?;
    }
    std::fs::create_dir_all(&folder).context("target/bench cannot be made")?;
    let bench = Bench {
        models: models(&folder),
        folder,
        python: python.clone(),
        mlserver: mlserver.clone(),
    };
    let mut table = Table::new();
    policy::measure(&mut table)?;
    builds::measure(&bench, &mut table)?;
    calls::measure(&bench, &mut table)?;
    serving::measure(&bench, &mut table)?;
    policy::served(&bench, &mut table)?;
    soak::measure(&bench, &mut table)?;
    table.print();
    Ok(())
}

fn models(folder: &Path) -> Vec<Model> {
    let model = |name, onnx: &str, options| Model {
        name,
        onnx: onnx.into(),
        options,
    };
    let made = |name: &'static str| Model {
        name,
        onnx: folder.join(name).with_extension("onnx"),
        options: &[],
    };
    vec![
        model("iris", "models/iris/model.onnx", &[]),
        model("digits", "models/digits/model.onnx", &[]),
        model(
            "magika",
            "target/models/magika/model.onnx",
            &["--input", "bytes=INT32[1,2048]"],
        ),
        model(
            "mobilenet",
            "target/models/mobilenet/model.onnx",
            &["--input", "image=FP32[1,3,224,224]"],
        ),
        // As exporters write it: any number of images.
        model("mobilenet-open", "target/models/mobilenet/model.onnx", &[]),
        made("resnet50"),
        made("mobilenet-int8"),
        made("resnet50-int8"),
        made("large"),
    ]
}
