//! From a modelet file to machine code for a small device.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use modelet_artifact::inspect;
use modelet_runtime::Target;

use crate::inspect::{read, size};
use crate::output;

/// Compile a modelet ahead, for a device that runs `modelet-device`
#[derive(clap::Args)]
pub struct Arguments {
    /// The modelet, as written by `modelet build`
    modelet: PathBuf,
    /// The kind of machine that is to run it: aarch64-linux, x86_64-linux, or pulley64, which every 64-bit
    /// machine interprets
    #[arg(short, long)]
    target: Target,
    /// Write the compiled modelet here; in a repository it is MODEL/VERSION/model.cwasm
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn compile(arguments: &Arguments) -> Result<()> {
    let start = Instant::now();
    let Arguments {
        modelet,
        target,
        output,
    } = arguments;
    output::check(output)?;
    let bytes = read(modelet)?;
    let facts =
        inspect(&bytes).with_context(|| format!("{} is not a modelet", modelet.display()))?;
    let compiled = modelet_compiler::precompile(&bytes, *target)
        .with_context(|| format!("{} cannot be compiled for {target}", modelet.display()))?;
    output::write(output, &compiled)?;
    writeln!(
        io::stdout().lock(),
        "{} ({}, sha256:{}) -> {} ({}, {target}) in {:.1} s",
        modelet.display(),
        size(facts.size_bytes),
        facts.sha256,
        output.display(),
        size(compiled.len() as u64),
        start.elapsed().as_secs_f64()
    )?;
    Ok(())
}
