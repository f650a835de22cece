//! From an ONNX file to a modelet file.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use modelet_builder::{Builder, Built, Options, Stage};
use modelet_policy::names::ModelName;
use modelet_protocol::{GoldenCase, TensorSpec};

use crate::cache::Cache;
use crate::{inspect, output};

/// Compile an ONNX model into a modelet: one WebAssembly component that imports nothing
#[derive(clap::Args)]
pub struct Arguments {
    /// The ONNX file
    model: PathBuf,
    /// Write the modelet here
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Set the datatype and shape of an input that the file leaves open; a name stands for any size
    #[arg(long = "input", value_name = "NAME=FP32[N,3,224,224]")]
    inputs: Vec<TensorSpec>,
    /// The model's name [default: the ONNX file's, without its ending]
    #[arg(long)]
    name: Option<ModelName>,
    /// A version to embed, free text
    #[arg(long)]
    version: Option<String>,
    /// A fact to embed; may be given more than once
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Requests with known answers, which the modelet must give before it is written
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    #[command(flatten)]
    cache: Cache,
}

pub fn build(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    output::check(&arguments.output)?;
    let onnx = inspect::read(&arguments.model)?;
    let options = options(arguments)?;
    let mut progress = Progress::start();
    progress.show(Stage::Compile);
    let built = Builder::new(arguments.cache.directory()).and_then(|builder| {
        let built = builder.build(&onnx, &options, &mut |stage| progress.show(stage));
        builder.make_room();
        built
    });
    progress.finish();
    let built = built.with_context(|| format!("{} was not built", arguments.model.display()))?;
    output::write(&arguments.output, &built.component)?;
    summarise(arguments, onnx.len(), &built, start.elapsed())?;
    Ok(())
}

fn options(arguments: &Arguments) -> Result<Options> {
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => name_of(&arguments.model)?,
    };
    let mut labels = BTreeMap::new();
    for (key, value) in &arguments.labels {
        if labels.insert(key.clone(), value.clone()).is_some() {
            bail!("label `{key}` is given twice");
        }
    }
    Ok(Options {
        name: name.to_string(),
        version: arguments.version.clone(),
        labels,
        inputs: arguments.inputs.clone(),
        examples: examples(arguments.golden.as_deref())?,
    })
}

fn name_of(model: &Path) -> Result<ModelName> {
    model
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .parse()
        .with_context(|| format!("{} gives no name; set one with --name", model.display()))
}

fn examples(golden: Option<&Path>) -> Result<Vec<GoldenCase>> {
    let Some(path) = golden else {
        return Ok(Vec::new());
    };
    modelet_protocol::golden::parse(&inspect::read(path)?)
        .map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is KEY=VALUE".to_owned()),
    }
}

fn summarise(arguments: &Arguments, onnx: usize, built: &Built, total: Duration) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} ({}) -> {} ({}) in {:.1} s",
        arguments.model.display(),
        inspect::size(onnx as u64),
        arguments.output.display(),
        inspect::size(built.facts.size_bytes),
        total.as_secs_f64()
    )?;
    inspect::print(&mut out, &built.facts)?;
    if let Some(reason) = &built.not_prepared {
        writeln!(
            out,
            "slow      each request prepares the model anew, as it could not be done ahead: {reason}"
        )?;
    }
    for (stage, time) in &built.stages {
        writeln!(out, "{:6.2} s  {stage}", time.as_secs_f64())?;
    }
    Ok(())
}

/// A bar on a terminal; elsewhere a line per stage.
enum Progress {
    Bar(ProgressBar),
    Lines,
}

impl Progress {
    fn start() -> Progress {
        if !io::stderr().is_terminal() {
            return Progress::Lines;
        }
        let bar = ProgressBar::new(Stage::ALL.len() as u64);
        let style = ProgressStyle::with_template("{spinner} [{bar:20}] {elapsed} {msg}")
            .expect("the template is well formed");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress::Bar(bar)
    }

    fn show(&mut self, stage: Stage) {
        match self {
            Progress::Bar(bar) => {
                let done = Stage::ALL.iter().position(|other| *other == stage);
                bar.set_position(done.unwrap_or_default() as u64);
                bar.set_message(stage.to_string());
            }
            // Progress that nobody reads is no reason to stop.
            Progress::Lines => drop(writeln!(io::stderr(), "{stage}")),
        }
    }

    fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
