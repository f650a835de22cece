//! From a file here to a version there.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt as _;
use modelet_policy::names::{ModelName, Version};
use modelet_policy::spec::ModelSpec;
use object_store::ObjectMeta;
use sha2::{Digest as _, Sha256};

use super::error::{TransferError, read_error, write_error};
use super::objects::{DIGEST_ENDING, Objects};
use super::place::{Place, Root};
use super::progress::Progress;
use super::registry::{Described, Pushed, Registry};
use crate::digest::Digest;
use crate::file;
use crate::repository::ARTIFACT;
use crate::signature::{SIGNATURE_ENDING, SIGNATURE_LIMIT_BYTES};

/// The line of a digest's file, with room to spare.
pub const DIGEST_LIMIT_BYTES: usize = 256;

/// A modelet that was read and found to be one.
pub struct Artifact {
    pub bytes: Bytes,
    pub digest: Digest,
    /// What it calls itself.
    pub name: String,
    /// The text of the signature beside it.
    pub signature: Option<String>,
}

impl Artifact {
    pub fn read(path: &Path) -> Result<Artifact, TransferError> {
        let bytes = fs::read(path).map_err(read_error(path))?;
        let facts = modelet_artifact::inspect(&bytes).map_err(|source| TransferError::Invalid {
            what: path.display().to_string(),
            source,
        })?;
        let beside = file::beside(path, SIGNATURE_ENDING);
        let signature = file::read_beginning(&beside, SIGNATURE_LIMIT_BYTES);
        Ok(Artifact {
            digest: Digest::of(&bytes),
            bytes: bytes.into(),
            name: facts.metadata.name,
            signature: signature.map_err(read_error(&beside))?,
        })
    }
}

/// Makes a version of an artifact. Says whether it was there before: then its bytes are not sent again.
pub async fn push(
    artifact: &Artifact,
    place: &Place,
    plain_http: bool,
    progress: &Progress,
) -> Result<bool, TransferError> {
    match place {
        Place::Registry(reference) => {
            let registry = Registry::open(reference, plain_http)?;
            push_to_registry(artifact, place, &registry, progress).await
        }
        Place::Repository {
            root,
            model,
            version,
        } => {
            let version = VersionThere {
                objects: open_to_write(root)?,
                place,
                model,
                version: *version,
            };
            version.push(artifact, progress).await
        }
    }
}

/// Replaces a model's `model.toml`, which is checked before.
pub async fn push_spec(root: &Root, model: &ModelName, path: &Path) -> Result<(), TransferError> {
    let text = fs::read_to_string(path).map_err(read_error(path))?;
    ModelSpec::parse(&text).map_err(|errors| TransferError::Unsuitable {
        what: path.display().to_string(),
        reason: errors.to_string(),
    })?;
    let objects = open_to_write(root)?;
    objects.write(&objects.spec(model), &text).await
}

/// A directory that is written to is made.
fn open_to_write(root: &Root) -> Result<Objects, TransferError> {
    if let Root::Directory(folder) = root {
        fs::create_dir_all(folder).map_err(write_error(folder))?;
    }
    Objects::open(root)
}

async fn push_to_registry(
    artifact: &Artifact,
    place: &Place,
    registry: &Registry,
    progress: &Progress,
) -> Result<bool, TransferError> {
    let there = registry.find().await?;
    let mut described = Described {
        digest: artifact.digest,
        size: artifact.bytes.len() as u64,
        signature: artifact.signature.clone(),
    };
    if let Some(there) = &there {
        check_same(place, there.digest, artifact)?;
        described.signature = described.signature.or_else(|| there.signature.clone());
    }
    if there.as_ref() == Some(&described) {
        return Ok(true);
    }
    let pushed = Pushed {
        bytes: &artifact.bytes,
        described: &described,
        name: &artifact.name,
    };
    registry.push(pushed, progress).await?;
    Ok(there.is_some())
}

fn check_same(place: &Place, there: Digest, artifact: &Artifact) -> Result<(), TransferError> {
    if there == artifact.digest {
        return Ok(());
    }
    Err(TransferError::Taken {
        place: place.to_string(),
        there,
        here: artifact.digest,
    })
}

/// A version in a repository of objects.
struct VersionThere<'a> {
    objects: Objects,
    place: &'a Place,
    model: &'a ModelName,
    version: Version,
}

impl VersionThere<'_> {
    /// The digest first: who writes it has the version, whatever becomes of the upload. Then the
    /// signature, so that the artifact never is there without it.
    async fn push(&self, artifact: &Artifact, progress: &Progress) -> Result<bool, TransferError> {
        let found = self.objects.find(&self.path("")).await?;
        self.claim(artifact, found.as_ref()).await?;
        if let Some(signature) = &artifact.signature {
            let path = self.path(SIGNATURE_ENDING);
            let there = self.objects.read(&path, SIGNATURE_LIMIT_BYTES).await?;
            if there.as_ref() != Some(signature) {
                self.objects.write(&path, signature).await?;
            }
        }
        let size = artifact.bytes.len() as u64;
        if found.is_some_and(|found| found.size == size) {
            return Ok(true);
        }
        self.objects
            .upload(&self.path(""), artifact.bytes.clone(), progress)
            .await?;
        Ok(false)
    }

    async fn claim(
        &self,
        artifact: &Artifact,
        found: Option<&ObjectMeta>,
    ) -> Result<(), TransferError> {
        let path = self.path(DIGEST_ENDING);
        if let Some(there) = read_digest(&self.objects, &path).await? {
            return check_same(self.place, there, artifact);
        }
        // Put there by other means.
        if let Some(found) = found {
            check_same(self.place, self.digest(found).await?, artifact)?;
        }
        let line = format!("{}  {ARTIFACT}\n", artifact.digest.hex());
        if self.objects.create(&path, &line).await? {
            return Ok(());
        }
        match read_digest(&self.objects, &path).await? {
            Some(there) => check_same(self.place, there, artifact),
            None => Err(TransferError::Missing(format!(
                "{}{DIGEST_ENDING}",
                self.place
            ))),
        }
    }

    async fn digest(&self, found: &ObjectMeta) -> Result<Digest, TransferError> {
        let failed = |error| self.objects.unreachable(&found.location, error);
        let mut stream = self.objects.stream(found, 0).await?;
        let mut hasher = Sha256::new();
        while let Some(bytes) = stream.try_next().await.map_err(failed)? {
            hasher.update(&bytes);
        }
        Ok(Digest::finish(hasher))
    }

    fn path(&self, ending: &str) -> object_store::path::Path {
        self.objects.artifact(self.model, self.version, ending)
    }
}

/// What a digest's file says, if there is one. One that cannot be read is nobody's word.
pub async fn read_digest(
    objects: &Objects,
    path: &object_store::path::Path,
) -> Result<Option<Digest>, TransferError> {
    let Some(line) = objects.read(path, DIGEST_LIMIT_BYTES).await? else {
        return Ok(None);
    };
    let digits = line.split_whitespace().next().unwrap_or_default();
    let digest = digits.parse().map_err(|error| TransferError::Unsuitable {
        what: objects.shown(path),
        reason: format!("{error}"),
    })?;
    Ok(Some(digest))
}
