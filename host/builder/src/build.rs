//! The stages in order, timed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use modelet_artifact::{Facts, Metadata, embed, inspect, sha256_hex};
use modelet_compiler::{Compiler, Config};
use modelet_protocol::{GoldenCase, TensorSpec};
use modelet_prune::{Links, prune};

use crate::check::check;
use crate::seal::{code, seal};
use crate::snapshot::snapshot;
use crate::template::{ENGINE, LINKS, LOADING, Loaded, Template};

/// As many may be built at one time; each has one instance.
const MAX_BUILDS: u32 = 16;

/// What the caller decides about a modelet.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub name: String,
    pub version: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// Datatypes and shapes of inputs that the file leaves open.
    pub inputs: Vec<TensorSpec>,
    /// Requests with known answers, checked before the result is returned. Without any, the model
    /// is run once on zeros.
    pub examples: Vec<GoldenCase>,
}

/// A finished modelet.
#[derive(Clone, Debug)]
pub struct Built {
    pub component: Vec<u8>,
    pub facts: Facts,
    /// Why each request prepares the model anew, which takes many times as long, if it does.
    pub not_prepared: Option<String>,
    /// How long each stage took, in order; the first was the builder's own.
    pub stages: Vec<(Stage, Duration)>,
}

/// A step of the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The engine is compiled, or its code taken from the cache.
    Compile,
    /// The engine reads, optimises and packs the model.
    Load,
    /// Its memory is read.
    Snapshot,
    /// What no call can reach is taken out.
    Prune,
    /// Code and memory become a component, with the metadata embedded.
    Seal,
    /// The result is compiled, inspected and run.
    Check,
}

impl Stage {
    pub const ALL: [Stage; 6] = [
        Stage::Compile,
        Stage::Load,
        Stage::Snapshot,
        Stage::Prune,
        Stage::Seal,
        Stage::Check,
    ];
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Compile => "compile the engine",
            Stage::Load => "load the model",
            Stage::Snapshot => "take the snapshot",
            Stage::Prune => "take out what no call reaches",
            Stage::Seal => "seal",
            Stage::Check => "check the result",
        })
    }
}

/// The engine, ready to become modelets.
pub struct Builder {
    host: Compiler,
    template: Template,
    links: Links,
    compiling: Duration,
}

impl Builder {
    /// Compiles the engine, or takes its code from `cache`, where compiled code is kept so that the next builder is
    /// ready at once.
    pub fn new(cache: Option<PathBuf>) -> Result<Builder> {
        let start = Instant::now();
        let host = Compiler::new(&Config {
            cache,
            max_instances: MAX_BUILDS,
            ..Config::default()
        })?;
        Ok(Builder {
            template: Template::compile(&host)?,
            links: Links::from_bytes(LINKS)?,
            host,
            compiling: start.elapsed(),
        })
    }

    /// Builds a modelet. `progress` is told each stage as it begins.
    ///
    /// The same file, options and tool version give the same bytes. The error says what in the file
    /// cannot be used; nothing is returned that has not answered an inference.
    pub fn build(
        &self,
        onnx: &[u8],
        options: &Options,
        progress: &mut dyn FnMut(Stage),
    ) -> Result<Built> {
        let mut clock = Clock {
            progress,
            stages: vec![(Stage::Compile, self.compiling)],
        };
        let mut loaded = clock
            .time(Stage::Load, || self.template.load(onnx, &options.inputs))
            .context("the model cannot be used")?;
        let metadata = metadata(onnx, options, &loaded);
        let not_prepared = loaded.not_prepared.take();
        let mut memory = clock.time(Stage::Snapshot, || Ok(loaded.memory()?.to_vec()))?;
        // The instance holds as much memory as loading took; the check makes another.
        drop(loaded);
        let code = clock.time(Stage::Prune, || {
            let is_called = |export: &str| !export.contains(LOADING);
            prune(code(ENGINE)?, &mut memory, &self.links, is_called)
        })?;
        let component = clock.time(Stage::Seal, || {
            Ok(embed(&seal(ENGINE, &snapshot(&memory)?, &code)?, &metadata))
        })?;
        let facts = inspect(&component).context("the built component is not a modelet")?;
        clock.time(Stage::Check, || check(&self.host, &component, options))?;
        Ok(Built {
            component,
            facts,
            not_prepared,
            stages: clock.stages,
        })
    }

    /// Removes from the cache what nobody needed for long or what is too much for the disk; not what this builder
    /// needs.
    pub fn make_room(&self) {
        self.host.make_room();
    }
}

fn metadata(onnx: &[u8], options: &Options, loaded: &Loaded) -> Metadata {
    Metadata {
        name: options.name.clone(),
        version: options.version.clone(),
        labels: options.labels.clone(),
        signature: loaded.signature.clone(),
        source_sha256: sha256_hex(onnx),
        engine: loaded.engine.clone(),
        tool: concat!("modelet ", env!("CARGO_PKG_VERSION")).to_owned(),
        panic_message_address: loaded.panic_message_address,
    }
}

/// Tells the stages and times them.
struct Clock<'a> {
    progress: &'a mut dyn FnMut(Stage),
    stages: Vec<(Stage, Duration)>,
}

impl Clock<'_> {
    fn time<T>(&mut self, stage: Stage, work: impl FnOnce() -> Result<T>) -> Result<T> {
        (self.progress)(stage);
        let start = Instant::now();
        let result = work();
        self.stages.push((stage, start.elapsed()));
        result
    }
}
