//! From a repository or registry to a modelet file.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use modelet_store::transfer::{Demands, Place, pull as transfer};

use crate::sign;
use crate::transfer::{self, Bar};

/// Fetch a modelet from a repository or a registry
#[derive(clap::Args)]
pub struct Arguments {
    /// Where from: DIR/MODEL/VERSION, s3://BUCKET/…/MODEL/VERSION or oci://HOST/NAME:TAG
    place: Place,
    /// Write the modelet here, and its signature, if it has one, beside it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Refuse what was not signed by this public key in PEM; may be given more than once
    #[arg(long, value_name = "FILE")]
    require_signature: Vec<PathBuf>,
    /// Speak HTTP with a registry that is not on this machine
    #[arg(long)]
    plain_http: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn pull(arguments: &Arguments) -> Result<()> {
    let output = &arguments.output;
    ensure!(
        !output.is_dir() && output.file_name().is_some(),
        "{} is a directory; name a file in it with --output",
        output.display()
    );
    let demands = Demands {
        trusted: sign::public_keys(&arguments.require_signature)?,
        plain_http: arguments.plain_http,
    };
    let bar = Bar::start();
    let progress = bar.progress();
    let pulled = transfer::block_on(async {
        Ok(transfer(&arguments.place, output, &demands, &progress).await?)
    });
    bar.finish();
    let pulled = pulled?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let shown = serde_json::json!({
            "file": output.display().to_string(),
            "sha256": pulled.digest.hex(),
            "size_bytes": pulled.size_bytes,
            "signed": pulled.is_signed,
            "was_here": pulled.was_here,
        });
        writeln!(out, "{shown:#}")?;
    } else {
        let what = transfer::told(pulled.digest, pulled.size_bytes, pulled.is_signed);
        let before = if pulled.was_here { ", was here" } else { "" };
        writeln!(out, "{}  {what}{before}", output.display())?;
    }
    Ok(())
}
