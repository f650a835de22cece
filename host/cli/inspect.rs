//! What a modelet says about itself.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use modelet_artifact::Facts;

/// Show what a modelet takes, gives and is made of, without running it
#[derive(clap::Args)]
pub struct Arguments {
    /// The modelet, as written by `modelet build`
    modelet: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn inspect(arguments: &Arguments) -> Result<()> {
    let bytes = read(&arguments.modelet)?;
    let facts = modelet_artifact::inspect(&bytes)
        .with_context(|| format!("{} is not a modelet", arguments.modelet.display()))?;
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&facts)?)?;
    } else {
        print(&mut out, &facts)?;
    }
    Ok(())
}

/// A file's bytes, or an error that names it.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// The facts as aligned lines.
pub fn print(out: &mut impl Write, facts: &Facts) -> io::Result<()> {
    let metadata = &facts.metadata;
    writeln!(out, "name      {}", metadata.name)?;
    if let Some(version) = &metadata.version {
        writeln!(out, "version   {version}")?;
    }
    for (key, value) in &metadata.labels {
        writeln!(out, "label     {key}={value}")?;
    }
    for input in &metadata.signature.inputs {
        writeln!(out, "input     {input}")?;
    }
    for output in &metadata.signature.outputs {
        writeln!(out, "output    {output}")?;
    }
    writeln!(
        out,
        "size      {}: {} engine code, {} model",
        size(facts.size_bytes),
        size(facts.code_bytes),
        size(facts.image_bytes)
    )?;
    writeln!(out, "engine    {}", metadata.engine)?;
    writeln!(out, "tool      {}", metadata.tool)?;
    writeln!(out, "source    sha256:{}", metadata.source_sha256)?;
    writeln!(out, "file      sha256:{}", facts.sha256)
}

/// Bytes as people read them, in powers of 1000.
pub fn size(bytes: u64) -> String {
    match bytes {
        ..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
