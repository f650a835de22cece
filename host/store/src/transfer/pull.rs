//! From a version there to a file here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::download::{Download, Source};
use super::error::{TransferError, read_error, write_error};
use super::objects::{DIGEST_ENDING, Objects};
use super::place::{Place, Root};
use super::progress::Progress;
use super::push::read_digest;
use super::registry::Registry;
use crate::digest::Digest;
use crate::file;
use crate::repository::ARTIFACT_LIMIT_BYTES;
use crate::signature::{PublicKey, SIGNATURE_ENDING, SIGNATURE_LIMIT_BYTES, verify};

/// What is asked of an artifact before it gets its name.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// Where there are any, one of them must have signed it.
    pub trusted: Vec<PublicKey>,
    /// Of a registry that is not on this machine.
    pub plain_http: bool,
}

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    pub digest: Digest,
    pub size_bytes: u64,
    pub is_signed: bool,
    /// Whether the file was there already.
    pub was_here: bool,
}

/// A version that was found, and what is known of it.
pub struct Found {
    pub download: Download,
    pub signature: Option<String>,
}

/// Writes an artifact, and its signature beside it. The file gets its name when all of it is here and
/// checked; what was pulled until then is kept beside it for the next time.
pub async fn pull(
    place: &Place,
    output: &Path,
    demands: &Demands,
    progress: &Progress,
) -> Result<Pulled, TransferError> {
    let found = find(place, demands.plain_http).await?;
    let here = digest_of(output)?;
    if let (Some(here), Some(there)) = (here, found.download.expected) {
        check_way(output, here, there)?;
        return found.settle(output, output, there, demands);
    }
    let made = make_folder(output)?;
    let partial = partial_of(output, &found.download);
    let pulled = fetch(&found, &partial, output, here, demands, progress).await;
    if let (Err(error), Some(folder)) = (&pulled, made)
        && error.is_of_content()
    {
        // It is empty, or holds what somebody else put there since.
        let _ = fs::remove_dir(folder);
    }
    pulled
}

async fn fetch(
    found: &Found,
    partial: &Path,
    output: &Path,
    here: Option<Digest>,
    demands: &Demands,
    progress: &Progress,
) -> Result<Pulled, TransferError> {
    let digest = found.download.run(partial, progress).await?;
    if let Some(here) = here {
        check_way(output, here, digest)?;
    }
    found.settle(partial, output, digest, demands)
}

async fn find(place: &Place, plain_http: bool) -> Result<Found, TransferError> {
    let missing = || TransferError::Missing(place.to_string());
    match place {
        Place::Registry(reference) => {
            let registry = Registry::open(reference, plain_http)?;
            let described = registry.find().await?.ok_or_else(missing)?;
            let digest = described.digest;
            Ok(Found {
                download: Download {
                    what: registry.shown(),
                    size: described.size,
                    expected: Some(digest),
                    source: Source::Layer {
                        registry: Box::new(registry),
                        digest,
                    },
                },
                signature: described.signature,
            })
        }
        Place::Repository {
            root,
            model,
            version,
        } => {
            if matches!(root, Root::Directory(folder) if !folder.is_dir()) {
                return Err(missing());
            }
            let objects = Objects::open(root)?;
            let path = objects.artifact(model, *version, "");
            let object = objects.find(&path).await?.ok_or_else(missing)?;
            let signature = objects.artifact(model, *version, SIGNATURE_ENDING);
            let signature = objects.read(&signature, SIGNATURE_LIMIT_BYTES).await?;
            let digest = objects.artifact(model, *version, DIGEST_ENDING);
            let expected = read_digest(&objects, &digest).await?;
            Found::of_object(objects, object, expected, signature)
        }
    }
}

impl Found {
    pub fn of_object(
        objects: Objects,
        found: object_store::ObjectMeta,
        expected: Option<Digest>,
        signature: Option<String>,
    ) -> Result<Found, TransferError> {
        let (what, size) = (objects.shown(&found.location), found.size);
        if size > ARTIFACT_LIMIT_BYTES {
            let reason = format!("it has {size} bytes, more than WebAssembly can address");
            return Err(TransferError::Unsuitable { what, reason });
        }
        Ok(Found {
            download: Download {
                what,
                size,
                expected,
                source: Source::Object { objects, found },
            },
            signature,
        })
    }

    /// Checks the bytes in `partial` and gives them their name. The signature comes first: nobody finds
    /// the artifact without it.
    pub fn settle(
        &self,
        partial: &Path,
        output: &Path,
        digest: Digest,
        demands: &Demands,
    ) -> Result<Pulled, TransferError> {
        let was_here = partial == output;
        let checked = self.check(partial, &digest, demands);
        if let (Err(TransferError::Invalid { .. }), false) = (&checked, was_here) {
            // One that stays is found wrong again.
            let _ = fs::remove_file(partial);
        }
        let size_bytes = checked?;
        if let Some(signature) = &self.signature {
            let path = file::beside(output, SIGNATURE_ENDING);
            file::replace(&path, signature.as_bytes()).map_err(write_error(&path))?;
        }
        if !was_here {
            fs::rename(partial, output).map_err(write_error(output))?;
        }
        Ok(Pulled {
            digest,
            size_bytes,
            is_signed: self.signature.is_some(),
            was_here,
        })
    }

    /// Whether these are a modelet's bytes, signed as is demanded. Says how many they are.
    fn check(&self, path: &Path, digest: &Digest, demands: &Demands) -> Result<u64, TransferError> {
        let what = || self.download.what.clone();
        let bytes = fs::read(path).map_err(read_error(path))?;
        modelet_artifact::inspect(&bytes).map_err(|source| TransferError::Invalid {
            what: what(),
            source,
        })?;
        if !demands.trusted.is_empty() {
            verify(self.signature.as_deref(), digest, &demands.trusted).map_err(|source| {
                let what = what();
                TransferError::Untrusted { what, source }
            })?;
        }
        Ok(bytes.len() as u64)
    }
}

fn check_way(output: &Path, here: Digest, there: Digest) -> Result<(), TransferError> {
    if here == there {
        return Ok(());
    }
    Err(TransferError::InTheWay {
        path: output.to_owned(),
        there: here,
        here: there,
    })
}

fn digest_of(path: &Path) -> Result<Option<Digest>, TransferError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Digest::of(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(read_error(path)(error)),
    }
}

/// In the same folder, because only there a file gets another name in one step.
fn partial_of(output: &Path, download: &Download) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.{}.unfinished", download.identity()))
}

/// The folder, if it was made.
fn make_folder(output: &Path) -> Result<Option<&Path>, TransferError> {
    let Some(folder) = output.parent().filter(|folder| !folder.exists()) else {
        return Ok(None);
    };
    if folder.as_os_str().is_empty() {
        return Ok(None);
    }
    fs::create_dir_all(folder).map_err(write_error(folder))?;
    Ok(Some(folder))
}
