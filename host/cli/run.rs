//! One inference in this process.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use modelet_compiler::{Compiler, Config};
use modelet_runtime::{Limits, Modelet};

use crate::cache::Cache;
use crate::{input, inspect};

/// Run a modelet once
#[derive(clap::Args)]
pub struct Arguments {
    /// The modelet, as written by `modelet build`
    modelet: PathBuf,
    /// An inference request in JSON, as the server takes it, or, for a model of one input, a NumPy
    /// .npy file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Write the answer here and not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    cache: Cache,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let bytes = inspect::read(&arguments.modelet)?;
    let modelet = load(
        &compiler(&arguments.cache)?,
        &bytes,
        &arguments.modelet,
        false,
    )?;
    let request = input::read(&arguments.input, &modelet.facts().metadata.signature)?;
    let wanted = request.output_names();
    let outputs = modelet.infer(&request.inputs, &wanted, deadline())?;
    let answer = input::answer(&modelet.facts().metadata, request.id, outputs)?;
    match &arguments.output {
        Some(path) => fs::write(path, answer)
            .with_context(|| format!("{} cannot be written", path.display()))?,
        None => io::stdout().lock().write_all(&answer)?,
    }
    Ok(())
}

/// A compiler for one call at a time.
pub fn compiler(cache: &Cache) -> Result<Compiler> {
    let config = Config {
        cache: cache.directory(),
        max_instances: 4,
        ..Config::default()
    };
    Ok(Compiler::new(&config)?)
}

pub fn load(compiler: &Compiler, bytes: &[u8], path: &Path, reuse: bool) -> Result<Modelet> {
    let limits = Limits {
        memory_bytes: Config::default().max_memory_bytes,
        reuse,
    };
    let modelet = compiler
        .load(bytes, limits)
        .with_context(|| format!("{} cannot be run", path.display()));
    compiler.make_room();
    modelet
}

/// Nobody waits for a model that does not answer for this long.
pub fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
