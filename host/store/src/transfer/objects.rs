//! A repository whose files are objects: in a directory, or in a store that speaks S3.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use modelet_policy::names::{ModelName, Version};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, Error, GetOptions, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, RetryConfig, WriteMultipart,
};

use super::error::TransferError;
use super::place::Root;
use super::progress::Progress;
use super::tls::name_provider;
use crate::repository::{ARTIFACT, SPEC};
use crate::signature::SIGNATURE_ENDING;

/// What a digest's file is called: this after the artifact's name. `sha256sum --check` reads it.
pub const DIGEST_ENDING: &str = ".sha256";

/// What S3 takes as a part, but for the last, is at least 5 MiB.
const PART_BYTES: usize = 8 << 20;

const PARTS_AT_ONCE: usize = 4;

/// A server that says nothing for as long is gone.
const CLIENT_SILENCE: AmazonS3ConfigKey = AmazonS3ConfigKey::Client(ClientConfigKey::ReadTimeout);

/// For one request: a part of an upload, or as much of a download.
const CLIENT_TIMEOUT: AmazonS3ConfigKey = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);

/// More than a repository has, and less than fills the memory.
const LISTED_LIMIT: usize = 100_000;

/// A repository of objects.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    pub root: Root,
}

/// What a listing found, by the names of models.
pub type Listed = BTreeMap<ModelName, ListedModel>;

#[derive(Clone, Debug, Default)]
pub struct ListedModel {
    pub spec: Option<ObjectMeta>,
    pub versions: BTreeMap<Version, ListedVersion>,
}

#[derive(Clone, Debug, Default)]
pub struct ListedVersion {
    pub artifact: Option<ObjectMeta>,
    pub signature: Option<ObjectMeta>,
}

impl Objects {
    /// Looks at nothing yet. Credentials and endpoint of S3 come from the environment, as `AWS_…`.
    pub fn open(root: &Root) -> Result<Objects, TransferError> {
        let (store, prefix): (Arc<dyn ObjectStore>, &str) = match root {
            Root::Directory(folder) => {
                let store = LocalFileSystem::new_with_prefix(folder);
                (Arc::new(store.map_err(unreachable(root))?), "")
            }
            Root::Bucket { bucket, prefix } => {
                name_provider();
                let store = AmazonS3Builder::from_env()
                    .with_bucket_name(bucket)
                    .with_config(CLIENT_SILENCE, "30 seconds")
                    .with_config(CLIENT_TIMEOUT, "10 minutes")
                    .with_retry(retry())
                    .build();
                (Arc::new(store.map_err(unreachable(root))?), prefix)
            }
        };
        let prefix = Path::parse(prefix).map_err(|error| unreachable(root)(error.into()))?;
        Ok(Objects {
            store,
            prefix,
            root: root.clone(),
        })
    }

    pub fn spec(&self, model: &ModelName) -> Path {
        self.prefix.clone().join(model.as_str()).join(SPEC)
    }

    /// A version's artifact or, with an ending, what is beside it.
    pub fn artifact(&self, model: &ModelName, version: Version, ending: &str) -> Path {
        self.prefix
            .clone()
            .join(model.as_str())
            .join(version.to_string())
            .join(format!("{ARTIFACT}{ending}"))
    }

    pub async fn find(&self, path: &Path) -> Result<Option<ObjectMeta>, TransferError> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.unreachable(path, error)),
        }
    }

    /// The text of a small object; one that is longer than `limit` bytes is cut off there.
    pub async fn read(&self, path: &Path, limit: usize) -> Result<Option<String>, TransferError> {
        let mut stream = match self.store.get(path).await {
            Ok(found) => found.into_stream(),
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.unreachable(path, error)),
        };
        let mut read = Vec::new();
        while read.len() <= limit
            && let Some(bytes) = stream.next().await
        {
            read.extend(bytes.map_err(|error| self.unreachable(path, error))?);
        }
        read.truncate(limit);
        Ok(Some(String::from_utf8_lossy(&read).into_owned()))
    }

    /// The bytes of an object from an offset on, as long as it is the object that was found.
    pub async fn stream(
        &self,
        found: &ObjectMeta,
        offset: u64,
    ) -> Result<futures::stream::BoxStream<'static, Result<Bytes, Error>>, TransferError> {
        let mut options = GetOptions::new().with_if_match(found.e_tag.clone());
        if offset > 0 {
            options = options.with_range(Some(offset..found.size));
        }
        let path = &found.location;
        let got = self.store.get_opts(path, options).await;
        Ok(got
            .map_err(|error| self.unreachable(path, error))?
            .into_stream())
    }

    /// Writes a small object if there is none. Says whether there was none.
    pub async fn create(&self, path: &Path, text: &str) -> Result<bool, TransferError> {
        let created = self
            .store
            .put_opts(path, text.to_owned().into(), PutMode::Create.into())
            .await;
        match created {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            // Of a store that cannot, two that push one version at one moment are not told apart.
            Err(Error::NotImplemented { .. }) => self.write(path, text).await.map(|()| true),
            Err(error) => Err(self.unreachable(path, error)),
        }
    }

    pub async fn write(&self, path: &Path, text: &str) -> Result<(), TransferError> {
        let written = self.store.put(path, text.to_owned().into()).await;
        written
            .map(drop)
            .map_err(|error| self.unreachable(path, error))
    }

    /// Writes an object that nobody sees before it is whole. `progress` is told of every part.
    pub async fn upload(
        &self,
        path: &Path,
        mut bytes: Bytes,
        progress: &Progress,
    ) -> Result<(), TransferError> {
        let failed = |error| self.unreachable(path, error);
        let upload = self.store.put_multipart(path).await.map_err(failed)?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let size = bytes.len() as u64;
        while !bytes.is_empty() {
            // A failure of a part comes here, and again at the end, which clears up.
            if parts.wait_for_capacity(PARTS_AT_ONCE).await.is_err() {
                break;
            }
            parts.put(bytes.split_to(PART_BYTES.min(bytes.len())));
            progress(size - bytes.len() as u64, size);
        }
        if bytes.is_empty() {
            return parts.finish().await.map(drop).map_err(failed);
        }
        let _ = parts.abort().await;
        let reason = "a part of the upload failed".into();
        Err(failed(Error::Generic {
            store: "S3",
            source: reason,
        }))
    }

    /// Everything that has a place in a repository. Other names are somebody else's.
    pub async fn list(&self) -> Result<Listed, TransferError> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let mut objects = self.store.list(prefix);
        let mut listed = Listed::new();
        let mut count = 0;
        while let Some(object) = objects.next().await {
            let object = object.map_err(unreachable(&self.root))?;
            count += 1;
            if count > LISTED_LIMIT {
                return Err(TransferError::Unsuitable {
                    what: self.root.to_string(),
                    reason: format!("it has more than {LISTED_LIMIT} objects"),
                });
            }
            self.sort_in(object, &mut listed);
        }
        Ok(listed)
    }

    fn sort_in(&self, object: ObjectMeta, listed: &mut Listed) {
        let Some(parts) = object.location.prefix_match(&self.prefix) else {
            return;
        };
        let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            [model, SPEC] => {
                if let Ok(model) = model.parse() {
                    listed.entry(model).or_default().spec = Some(object);
                }
            }
            [model, version, file] => {
                if let (Ok(model), Ok(version), Some(ending)) =
                    (model.parse(), version.parse(), file.strip_prefix(ARTIFACT))
                {
                    let versions = &mut listed.entry(model).or_default().versions;
                    let version: &mut ListedVersion = versions.entry(version).or_default();
                    match ending {
                        "" => version.artifact = Some(object),
                        SIGNATURE_ENDING => version.signature = Some(object),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// An object as its place is typed.
    pub fn shown(&self, path: &Path) -> String {
        let inside = path.as_ref().strip_prefix(self.prefix.as_ref());
        let inside = inside.unwrap_or(path.as_ref()).trim_start_matches('/');
        format!("{}/{inside}", self.root)
    }

    pub fn unreachable(&self, path: &Path, source: Error) -> TransferError {
        TransferError::Store {
            what: self.shown(path),
            source: Box::new(source),
        }
    }
}

fn unreachable(root: &Root) -> impl Fn(Error) -> TransferError {
    move |source| TransferError::Store {
        what: root.to_string(),
        source: Box::new(source),
    }
}

/// Of one request. What takes longer than a moment is tried again by those who asked.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(20),
    }
}
