//! From a modelet file to a repository or registry.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Result, bail};
use modelet_store::transfer::{Artifact, Place, push as transfer, push_spec};

use crate::transfer::{self, Bar};

/// Make a modelet a version of a repository or an artifact of a registry
#[derive(clap::Args)]
pub struct Arguments {
    /// The modelet, as written by `modelet build`; a signature beside it goes along
    modelet: PathBuf,
    /// Where to: DIR/MODEL/VERSION, s3://BUCKET/…/MODEL/VERSION or oci://HOST/NAME:TAG
    place: Place,
    /// Replace the model's model.toml there by this file, before the version comes
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Speak HTTP with a registry that is not on this machine
    #[arg(long)]
    plain_http: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn push(arguments: &Arguments) -> Result<()> {
    let artifact = Artifact::read(&arguments.modelet)?;
    let place = &arguments.place;
    let bar = Bar::start();
    let was_there = transfer::block_on(async {
        match (&arguments.spec, place) {
            (Some(spec), Place::Repository { root, model, .. }) => {
                push_spec(root, model, spec).await?;
            }
            (Some(_), Place::Registry(_)) => bail!("a registry has no place for a model.toml"),
            (None, _) => {}
        }
        Ok(transfer(&artifact, place, arguments.plain_http, &bar.progress()).await?)
    });
    bar.finish();
    let was_there = was_there?;
    let signed = artifact.signature.is_some();
    let mut out = io::stdout().lock();
    if arguments.json {
        let shown = serde_json::json!({
            "place": place.to_string(),
            "sha256": artifact.digest.hex(),
            "size_bytes": artifact.bytes.len(),
            "signed": signed,
            "was_there": was_there,
        });
        writeln!(out, "{shown:#}")?;
    } else {
        let what = transfer::told(artifact.digest, artifact.bytes.len() as u64, signed);
        let before = if was_there { ", was there" } else { "" };
        writeln!(out, "{place}  {what}{before}")?;
    }
    Ok(())
}
