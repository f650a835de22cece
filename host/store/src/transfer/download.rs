//! Bytes from there into a file here. What has come is kept, and the rest is asked for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;
use sha2::{Digest as _, Sha256};

use super::error::{TransferError, write_error};
use super::objects::Objects;
use super::progress::Progress;
use super::registry::Registry;
use crate::digest::Digest;

/// Times in a row that bring nothing.
const FAILURES_LIMIT: u32 = 3;

/// Times at all: who sends a byte at a time is not waited for.
const ATTEMPTS_LIMIT: u32 = 100;

const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Where an artifact's bytes are.
pub enum Source {
    Object {
        objects: Objects,
        found: ObjectMeta,
    },
    Layer {
        registry: Box<Registry>,
        digest: Digest,
    },
}

/// What is to be downloaded.
pub struct Download {
    pub source: Source,
    /// As errors name it.
    pub what: String,
    pub size: u64,
    /// Where nobody said which bytes they should be, there is none.
    pub expected: Option<Digest>,
}

impl Download {
    /// Names the download, so that what is left of it is only used for the same again.
    pub fn identity(&self) -> String {
        let identity = match (&self.expected, &self.source) {
            (Some(digest), _) | (None, Source::Layer { digest, .. }) => *digest,
            (None, Source::Object { found, .. }) => {
                Digest::of(format!("{:?} {}", found.e_tag, found.size).as_bytes())
            }
        };
        identity.hex()[..16].to_owned()
    }

    /// Leaves all the bytes, checked, in the file `partial`, which may hold the first of them already.
    pub async fn run(&self, partial: &Path, progress: &Progress) -> Result<Digest, TransferError> {
        let mut partial = Partial::open(partial, self.size)?;
        let resumed = partial.length > 0;
        self.fill(&mut partial, progress).await?;
        let mut found = partial.digest()?;
        // What was there may have been something else's.
        if resumed && self.expected.is_some_and(|expected| expected != found) {
            partial.restart()?;
            self.fill(&mut partial, progress).await?;
            found = partial.digest()?;
        }
        match self.expected {
            Some(expected) if expected != found => {
                partial.remove();
                Err(TransferError::Damaged {
                    what: self.what.clone(),
                    expected,
                    found,
                })
            }
            _ => Ok(found),
        }
    }

    async fn fill(&self, partial: &mut Partial, progress: &Progress) -> Result<(), TransferError> {
        let (mut attempts, mut failures) = (0, 0);
        while partial.length < self.size {
            let before = partial.length;
            let attempt = self.attempt(partial, progress).await;
            // How the last byte's stream ended is not asked; the digest says whether it was right.
            if partial.length == self.size {
                break;
            }
            let error = match attempt {
                Err(error) if !is_of_transport(&error) => return Err(error),
                Err(error) => io::Error::other(error),
                Ok(()) => io::Error::from(io::ErrorKind::UnexpectedEof),
            };
            attempts += 1;
            failures = if partial.length > before {
                0
            } else {
                failures + 1
            };
            if failures >= FAILURES_LIMIT || attempts >= ATTEMPTS_LIMIT {
                return Err(self.cut(partial.length, error));
            }
            tokio::time::sleep(FIRST_PAUSE * 2u32.pow(failures)).await;
        }
        Ok(())
    }

    async fn attempt(
        &self,
        partial: &mut Partial,
        progress: &Progress,
    ) -> Result<(), TransferError> {
        let mut stream = self.stream(partial).await?;
        while let Some(bytes) = stream.next().await {
            let bytes = bytes.map_err(|error| self.cut(partial.length, error))?;
            if partial.length + bytes.len() as u64 > self.size {
                partial.remove();
                return Err(TransferError::Unsuitable {
                    what: self.what.clone(),
                    reason: format!("more comes than the {} bytes that it has", self.size),
                });
            }
            partial.append(&bytes)?;
            progress(partial.length, self.size);
        }
        Ok(())
    }

    async fn stream(
        &self,
        partial: &mut Partial,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, TransferError> {
        match &self.source {
            Source::Object { objects, found } => {
                let stream = objects.stream(found, partial.length).await?;
                Ok(stream.map_err(io::Error::from).boxed())
            }
            Source::Layer { registry, digest } => {
                let (offset, stream) = registry.stream(digest, partial.length).await?;
                if offset != partial.length {
                    partial.restart()?;
                }
                Ok(stream.boxed())
            }
        }
    }

    fn cut(&self, kept: u64, source: io::Error) -> TransferError {
        TransferError::Cut {
            what: self.what.clone(),
            kept,
            total: self.size,
            source,
        }
    }
}

fn is_of_transport(error: &TransferError) -> bool {
    matches!(
        error,
        TransferError::Store { .. } | TransferError::Registry { .. } | TransferError::Cut { .. }
    )
}

/// The first bytes of an artifact. Nobody else writes it meanwhile.
struct Partial {
    path: PathBuf,
    file: File,
    length: u64,
    hasher: Sha256,
}

impl Partial {
    fn open(path: &Path, size: u64) -> Result<Partial, TransferError> {
        let failed = write_error(path);
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = options.map_err(&failed)?;
        file.try_lock()
            .map_err(|_| TransferError::Busy(path.to_owned()))?;
        let mut partial = Partial {
            path: path.to_owned(),
            file,
            length: 0,
            hasher: Sha256::new(),
        };
        partial.look_again().map_err(&failed)?;
        if partial.length > size {
            partial.restart()?;
        }
        Ok(partial)
    }

    fn look_again(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(()),
                read => {
                    self.hasher.update(&buffer[..read]);
                    self.length += read as u64;
                }
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        self.file
            .write_all(bytes)
            .map_err(write_error(&self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<(), TransferError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(write_error(&self.path))?;
        self.hasher = Sha256::new();
        self.length = 0;
        Ok(())
    }

    /// Of what is on the disk, also after a loss of power.
    fn digest(&self) -> Result<Digest, TransferError> {
        self.file.sync_all().map_err(write_error(&self.path))?;
        Ok(Digest::finish(self.hasher.clone()))
    }

    /// What is wrong is not gone on from.
    fn remove(&self) {
        // One that stays is found wrong again.
        let _ = fs::remove_file(&self.path);
    }
}
