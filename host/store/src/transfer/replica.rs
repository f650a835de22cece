//! A repository here that follows one in an object store.
//!
//! A version gets its place when all of it is here and checked; what is here stays as it is while the
//! store cannot be reached.

mod plan;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use modelet_policy::names::{ModelName, Version};

use super::error::{TransferError, write_error};
use super::objects::{DIGEST_ENDING, Listed, ListedModel, ListedVersion, Objects};
use super::place::Root;
use super::progress::nobody;
use super::pull::{Demands, Found};
use super::push::read_digest;
use crate::digest::Digest;
use crate::file;
use crate::repository::{ARTIFACT, ORIGIN, SPEC};
use crate::signature::{SIGNATURE_ENDING, SIGNATURE_LIMIT_BYTES};
use plan::{Snapshot, Step, Tags, plan};

/// What was taken from the store, as it was there.
const SNAPSHOT: &str = ".snapshot.json";

const UNFINISHED: &str = ".unfinished";

/// More than anybody writes by hand.
const SPEC_LIMIT_BYTES: usize = 1 << 20;

/// A replica, and who may change it.
pub struct Replica {
    objects: Objects,
    folder: PathBuf,
    /// Held by the one process that brings it up to date.
    lock: Option<File>,
    /// What cannot be taken, so that it is not downloaded again before it has changed.
    refused: Snapshot,
}

/// What a look at the store brought.
#[derive(Debug, Default)]
pub struct Synced {
    pub changes: Vec<String>,
    /// What did not come, and why. The rest has.
    pub problems: Vec<TransferError>,
}

impl Replica {
    /// Of the repository at `root`, below the folder `cache`. Nobody is asked yet.
    pub fn open(root: &Root, cache: &Path) -> Result<Replica, TransferError> {
        let origin = root.to_string();
        let name = &Digest::of(origin.as_bytes()).hex()[..16];
        let folder = cache.join("replicas").join(name);
        let failed = |source| TransferError::Write {
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(folder.join(UNFINISHED)).map_err(failed)?;
        file::replace(&folder.join(ORIGIN), origin.as_bytes()).map_err(failed)?;
        Ok(Replica {
            objects: Objects::open(root)?,
            folder,
            lock: None,
            refused: Snapshot::default(),
        })
    }

    /// A repository, as the server takes one.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn origin(&self) -> &Root {
        &self.objects.root
    }

    /// Whether there is something to serve.
    pub fn is_empty(&self) -> bool {
        self.snapshot().models.is_empty()
    }

    /// Brings it up to date, unless another process does.
    pub async fn sync(&mut self) -> Result<Synced, TransferError> {
        let mut synced = Synced::default();
        if !self.lock()? {
            return Ok(synced);
        }
        let listed = self.objects.list().await?;
        let there = snapshot_of(&listed);
        let mut here = self.snapshot();
        for step in plan(&there, &here) {
            if self.refused.has(&step, &there) {
                continue;
            }
            match self.take(&step, &listed).await {
                Ok(()) => {
                    synced.changes.push(step.to_string());
                    here.note(&step, &there);
                    self.remember(&here)?;
                }
                Err(error) => {
                    if error.is_of_content() {
                        self.refused.note(&step, &there);
                    }
                    synced.problems.push(error);
                }
            }
        }
        Ok(synced)
    }

    fn lock(&mut self) -> Result<bool, TransferError> {
        if self.lock.is_none() {
            let path = self.folder.join(".lock");
            let file = File::create(&path).map_err(write_error(&path))?;
            if file.try_lock().is_err() {
                return Ok(false);
            }
            self.lock = Some(file);
        }
        Ok(true)
    }

    /// What is here, by what it was there. What was lost meanwhile is taken again.
    fn snapshot(&self) -> Snapshot {
        let text = fs::read(self.folder.join(SNAPSHOT)).unwrap_or_default();
        let mut snapshot: Snapshot = serde_json::from_slice(&text).unwrap_or_default();
        snapshot.retain(
            |model| self.spec(model).is_file(),
            |model, version| self.artifact(model, version).is_file(),
        );
        snapshot
    }

    fn remember(&self, snapshot: &Snapshot) -> Result<(), TransferError> {
        let path = self.folder.join(SNAPSHOT);
        let text = serde_json::to_vec(snapshot).expect("names and numbers always serialise");
        file::replace(&path, &text).map_err(write_error(&path))
    }

    async fn take(&self, step: &Step, listed: &Listed) -> Result<(), TransferError> {
        match step {
            Step::Spec(model) => self.take_spec(model).await,
            Step::Version(model, version) => {
                let found = listed
                    .get(model)
                    .and_then(|model| model.versions.get(version));
                match found {
                    Some(found) => self.take_version(model, *version, found).await,
                    None => Ok(()),
                }
            }
            Step::Signature(model, version) => self.take_signature(model, *version).await,
            Step::DropSpec(model) => self.remove(&self.spec(model)),
            Step::DropVersion(model, version) => {
                let artifact = self.artifact(model, *version);
                self.remove(&artifact)?;
                self.remove(&file::beside(&artifact, SIGNATURE_ENDING))?;
                let folder = self.folder.join(model.as_str());
                // What is not empty is not to go.
                let _ = fs::remove_dir(folder.join(version.to_string()));
                Ok(())
            }
            Step::DropModel(model) => {
                let _ = fs::remove_dir(self.folder.join(model.as_str()));
                Ok(())
            }
        }
    }

    async fn take_spec(&self, model: &ModelName) -> Result<(), TransferError> {
        let there = self.objects.spec(model);
        let text = self.objects.read(&there, SPEC_LIMIT_BYTES).await?;
        self.write(&self.spec(model), &text.unwrap_or_default())
    }

    async fn take_version(
        &self,
        model: &ModelName,
        version: Version,
        listed: &ListedVersion,
    ) -> Result<(), TransferError> {
        let Some(object) = &listed.artifact else {
            return Ok(());
        };
        let beside = |ending| self.objects.artifact(model, version, ending);
        let expected = read_digest(&self.objects, &beside(DIGEST_ENDING)).await?;
        let signature = match listed.signature {
            Some(_) => {
                let path = beside(SIGNATURE_ENDING);
                self.objects.read(&path, SIGNATURE_LIMIT_BYTES).await?
            }
            None => None,
        };
        let objects = self.objects.clone();
        let found = Found::of_object(objects, object.clone(), expected, signature)?;
        let partial = self.folder.join(UNFINISHED);
        let partial = partial.join(format!("{model}-{version}-{}", found.download.identity()));
        let digest = found.download.run(&partial, &nobody()).await?;
        let output = self.artifact(model, version);
        let folder = output.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(write_error(folder))?;
        // Who may sign is for whoever serves it to say.
        found.settle(&partial, &output, digest, &Demands::default())?;
        Ok(())
    }

    async fn take_signature(
        &self,
        model: &ModelName,
        version: Version,
    ) -> Result<(), TransferError> {
        let path = self.objects.artifact(model, version, SIGNATURE_ENDING);
        let here = file::beside(&self.artifact(model, version), SIGNATURE_ENDING);
        match self.objects.read(&path, SIGNATURE_LIMIT_BYTES).await? {
            Some(text) => self.write(&here, &text),
            None => self.remove(&here),
        }
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), TransferError> {
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)
            .and_then(|()| file::replace(path, text.as_bytes()))
            .map_err(write_error(path))
    }

    fn remove(&self, path: &Path) -> Result<(), TransferError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(write_error(path)(error))
            }
            _ => Ok(()),
        }
    }

    fn spec(&self, model: &ModelName) -> PathBuf {
        self.folder.join(model.as_str()).join(SPEC)
    }

    fn artifact(&self, model: &ModelName, version: Version) -> PathBuf {
        let folder = self.folder.join(model.as_str()).join(version.to_string());
        folder.join(ARTIFACT)
    }
}

fn snapshot_of(listed: &Listed) -> Snapshot {
    let tag = |object: &object_store::ObjectMeta| match &object.e_tag {
        Some(tag) => format!("{tag} {}", object.size),
        None => format!("{} {}", object.last_modified, object.size),
    };
    let tags = |version: &ListedVersion| {
        Some(Tags {
            artifact: tag(version.artifact.as_ref()?),
            signature: version.signature.as_ref().map(tag),
        })
    };
    let model = |model: &ListedModel| plan::Model {
        spec: model.spec.as_ref().map(tag),
        versions: model
            .versions
            .iter()
            .filter_map(|(version, listed)| Some((*version, tags(listed)?)))
            .collect(),
    };
    Snapshot {
        models: listed
            .iter()
            .map(|(name, listed)| (name.clone(), model(listed)))
            .filter(|(_, model)| !model.is_empty())
            .collect(),
    }
}
