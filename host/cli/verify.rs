//! Whether a modelet is what somebody signed.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use modelet_store::transfer::Artifact;

use crate::sign;

/// Check the signature beside a modelet
#[derive(clap::Args)]
pub struct Arguments {
    /// The modelet; its signature lies beside it, under its name and `.sig`
    modelet: PathBuf,
    /// A public ed25519 key in PEM, as `openssl pkey -pubout` makes it; of several, one must have signed
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
}

pub fn verify(arguments: &Arguments) -> Result<()> {
    let trusted = sign::public_keys(&arguments.keys)?;
    let artifact = Artifact::read(&arguments.modelet)?;
    let signature = artifact.signature.as_deref();
    let shown = arguments.modelet.display();
    let key = modelet_store::verify(signature, &artifact.digest, &trusted)
        .with_context(|| format!("{shown} is not trusted"))?;
    writeln!(
        io::stdout(),
        "{shown}  {}, signed by {key}",
        artifact.digest
    )?;
    Ok(())
}
