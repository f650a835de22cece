//! A signature beside a modelet.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use modelet_store::transfer::Artifact;
use modelet_store::{PublicKey, SIGNATURE_ENDING, SecretKey};

/// Sign a modelet: writes a signature beside it, under its name and `.sig`
#[derive(clap::Args)]
pub struct Arguments {
    /// The modelet, as written by `modelet build`
    modelet: PathBuf,
    /// The private ed25519 key in PEM, as `openssl genpkey -algorithm ed25519` makes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub fn sign(arguments: &Arguments) -> Result<()> {
    let key = read_key(&arguments.key, SecretKey::from_pem)?;
    let artifact = Artifact::read(&arguments.modelet)?;
    let path = signature_of(&arguments.modelet);
    fs::write(&path, key.sign(&artifact.digest))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    writeln!(io::stdout(), "{}  {}", path.display(), key.public())?;
    Ok(())
}

/// Of all these files.
pub fn public_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>> {
    paths
        .iter()
        .map(|path| read_key(path, PublicKey::from_pem))
        .collect()
}

fn signature_of(modelet: &Path) -> PathBuf {
    let mut path = modelet.as_os_str().to_owned();
    path.push(SIGNATURE_ENDING);
    path.into()
}

fn read_key<K, E>(path: &Path, parse: fn(&str) -> Result<K, E>) -> Result<K>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    parse(&text).with_context(|| format!("{shown} is not the key that is needed"))
}
