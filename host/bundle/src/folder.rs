//! Files to be written, and the folder that they are written into.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// A file of a bundle.
pub struct File {
    /// Below the folder, with `/` between names.
    pub path: String,
    pub content: Content,
}

pub enum Content {
    /// Part of this program.
    Ours(&'static [u8]),
    Text(String),
    Bytes(Vec<u8>),
    /// A file that was read and checked before, of this many bytes.
    Copy {
        from: PathBuf,
        bytes: u64,
    },
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub path: String,
    pub bytes: u64,
}

/// Where a bundle has its modelets.
pub const MODELS: &str = "models";

/// Writes into a folder that is new, empty, or an earlier bundle, whose models are removed. A bundle is
/// told by its `mark`, which is the last of its files.
pub fn write(folder: &Path, mark: &str, files: &[File]) -> Result<Vec<Written>> {
    check(folder, mark)?;
    let models = folder.join(MODELS);
    if models.exists() {
        fs::remove_dir_all(&models)
            .with_context(|| format!("{} cannot be removed", models.display()))?;
    }
    files.iter().map(|file| write_one(folder, file)).collect()
}

fn check(folder: &Path, mark: &str) -> Result<()> {
    let mut entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.with_context(|| format!("{} cannot be read", folder.display()))?,
    };
    ensure!(
        folder.join(mark).is_file() || entries.next().is_none(),
        "{} has other files in it; name a new folder or an empty one",
        folder.display()
    );
    Ok(())
}

fn write_one(folder: &Path, file: &File) -> Result<Written> {
    let place = folder.join(&file.path);
    let unwritable = || format!("{} cannot be written", place.display());
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).with_context(unwritable)?;
    }
    let bytes = match &file.content {
        Content::Ours(bytes) => {
            fs::write(&place, bytes).with_context(unwritable)?;
            bytes.len() as u64
        }
        Content::Text(text) => {
            fs::write(&place, text).with_context(unwritable)?;
            text.len() as u64
        }
        Content::Bytes(bytes) => {
            fs::write(&place, bytes).with_context(unwritable)?;
            bytes.len() as u64
        }
        Content::Copy { from, bytes } => {
            let copied = fs::copy(from, &place).with_context(unwritable)?;
            ensure!(
                copied == *bytes,
                "{} has changed while it was copied",
                from.display()
            );
            copied
        }
    };
    Ok(Written {
        path: file.path.clone(),
        bytes,
    })
}
