//! A repository in a directory. Links are followed: that is how storage initialisers mount models.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use modelet_policy::names::{ModelName, Version};
use modelet_policy::spec::ModelSpec;

use crate::file;
use crate::signature::{SIGNATURE_ENDING, SIGNATURE_LIMIT_BYTES};

/// The file of a version.
pub const ARTIFACT: &str = "model.wasm";

pub(crate) const SPEC: &str = "model.toml";

/// The file in a replica's root that says what it is a replica of.
pub(crate) const ORIGIN: &str = ".origin";

/// Nothing that WebAssembly can address is larger.
pub(crate) const ARTIFACT_LIMIT_BYTES: u64 = 4 << 30;

/// A directory of models.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    pub models: BTreeMap<ModelName, ModelEntry>,
    /// What is there and cannot be served, with the reason.
    pub problems: Vec<Problem>,
}

/// One model's folder.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelEntry {
    /// The text of all errors where `model.toml` cannot be used.
    pub spec: Result<ModelSpec, String>,
    pub versions: BTreeMap<Version, ArtifactFile>,
}

/// A version's file as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactFile {
    pub path: PathBuf,
    pub stamp: Stamp,
    /// Of the signature beside it, where there is one.
    pub signature: Option<Stamp>,
}

/// Changes whenever a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    modified_seconds: i64,
    modified_nanoseconds: i64,
    length_bytes: u64,
    inode: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub path: PathBuf,
    pub reason: String,
}

/// What could not be read, and why.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} has {bytes} bytes, more than WebAssembly can address")]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("this repository follows {origin}; write there with `modelet push --spec`")]
    Replica { origin: String },
}

impl Repository {
    /// Checks that the directory can be read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Repository, StoreError> {
        let root = root.into();
        fs::read_dir(&root).map_err(read_error(&root))?;
        Ok(Repository { root })
    }

    /// What this repository is a replica of.
    fn origin(&self) -> Option<String> {
        fs::read_to_string(self.root.join(ORIGIN)).ok()
    }

    /// Whether there is a folder for this model.
    pub fn has(&self, model: &ModelName) -> bool {
        self.root.join(model.as_str()).is_dir()
    }

    /// Whether a model's folder has folders of versions.
    pub fn has_versions(&self, model: &ModelName) -> bool {
        let found = folders(&self.root.join(model.as_str())).unwrap_or_default();
        found
            .iter()
            .any(|(_, name)| name.parse::<Version>().is_ok())
    }

    /// The text of a model's `model.toml`; empty where there is none.
    pub fn read_spec(&self, model: &ModelName) -> Result<String, StoreError> {
        let path = self.root.join(model.as_str()).join(SPEC);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(read_error(&path)),
        }
    }

    /// Replaces a model's `model.toml` in one step.
    pub fn write_spec(&self, model: &ModelName, text: &str) -> Result<(), StoreError> {
        if let Some(origin) = self.origin() {
            return Err(StoreError::Replica { origin });
        }
        let path = self.root.join(model.as_str()).join(SPEC);
        file::replace(&path, text.as_bytes()).map_err(|source| StoreError::Write { path, source })
    }

    /// Lists what is there now. Only a root that cannot be read is an error.
    pub fn scan(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for (path, name) in folders(&self.root)? {
            match name.parse::<ModelName>() {
                Ok(model) => match scan_model(&path, &mut listing.problems) {
                    Ok(entry) => drop(listing.models.insert(model, entry)),
                    Err(error) => listing.problems.push(problem(path, error)),
                },
                Err(error) => listing.problems.push(problem(path, error)),
            }
        }
        Ok(listing)
    }
}

impl ArtifactFile {
    /// Looks at a file.
    pub fn find(path: impl Into<PathBuf>) -> Result<ArtifactFile, StoreError> {
        let path = path.into();
        let stamp = stamp(&path).map_err(read_error(&path))?;
        let signature = stamp_of_signature(&path)?;
        Ok(ArtifactFile {
            path,
            stamp,
            signature,
        })
    }

    /// The text of the signature beside it, as it is now. Of one that is too long, the beginning.
    pub fn read_signature(&self) -> Result<Option<String>, StoreError> {
        let path = file::beside(&self.path, SIGNATURE_ENDING);
        file::read_beginning(&path, SIGNATURE_LIMIT_BYTES).map_err(read_error(&path))
    }

    /// The bytes as they are now.
    pub fn read(&self) -> Result<Vec<u8>, StoreError> {
        let path = &self.path;
        let bytes = self.stamp.length_bytes;
        if bytes > ARTIFACT_LIMIT_BYTES {
            let path = path.clone();
            return Err(StoreError::TooLarge { path, bytes });
        }
        fs::read(path).map_err(read_error(path))
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    Ok(Stamp {
        modified_seconds: metadata.mtime(),
        modified_nanoseconds: metadata.mtime_nsec(),
        length_bytes: metadata.len(),
        inode: metadata.ino(),
    })
}

fn stamp_of_signature(artifact: &Path) -> Result<Option<Stamp>, StoreError> {
    let path = file::beside(artifact, SIGNATURE_ENDING);
    match stamp(&path) {
        Ok(stamp) => Ok(Some(stamp)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(read_error(&path)(error)),
    }
}

fn scan_model(folder: &Path, problems: &mut Vec<Problem>) -> Result<ModelEntry, StoreError> {
    let mut versions = BTreeMap::new();
    for (path, name) in folders(folder)? {
        match name.parse::<Version>() {
            Ok(version) => match ArtifactFile::find(path.join(ARTIFACT)) {
                Ok(artifact) => drop(versions.insert(version, artifact)),
                Err(error) => problems.push(problem(path, error)),
            },
            Err(error) => problems.push(problem(path, error)),
        }
    }
    let spec = folder.join(SPEC);
    let spec = match fs::read_to_string(&spec) {
        Ok(text) => ModelSpec::parse(&text).map_err(|errors| errors.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ModelSpec::default()),
        Err(error) => Err(read_error(&spec)(error).to_string()),
    };
    Ok(ModelEntry { spec, versions })
}

/// The folders in a folder, by name; hidden ones are somebody else's.
fn folders(folder: &Path) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(read_error(folder))? {
        let entry = entry.map_err(read_error(folder))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && path.is_dir() {
            found.push((path, name));
        }
    }
    found.sort();
    Ok(found)
}

fn read_error(path: &Path) -> impl Fn(io::Error) -> StoreError {
    move |source| StoreError::Read {
        path: path.to_owned(),
        source,
    }
}

fn problem(path: PathBuf, error: impl std::error::Error) -> Problem {
    Problem {
        path,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, contents: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn scan(root: &Path) -> Listing {
        Repository::open(root).unwrap().scan().unwrap()
    }

    #[test]
    fn models_versions_and_specs_are_found() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "iris/1/model.wasm", "one");
        put(root.path(), "iris/12/model.wasm", "twelve");
        put(root.path(), "iris/model.toml", "[versions]\ndefault = 1");
        put(root.path(), ".git/1/model.wasm", "hidden");
        put(root.path(), "README.md", "no model");
        let listing = scan(root.path());
        assert_eq!(listing.problems, vec![]);
        let (name, iris) = listing.models.first_key_value().unwrap();
        assert_eq!((name.as_str(), listing.models.len()), ("iris", 1));
        assert_eq!(iris.versions.len(), 2);
        let newest = iris.versions.last_key_value().unwrap();
        assert_eq!(newest.0.number(), 12);
        assert_eq!(newest.1.read().unwrap(), b"twelve");
        assert_eq!(
            iris.spec
                .as_ref()
                .unwrap()
                .versions
                .default
                .unwrap()
                .number(),
            1
        );
    }

    #[test]
    fn what_cannot_be_served_is_a_problem_and_not_a_failure() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "iris/v1/model.wasm", "misnamed");
        put(root.path(), "iris/2/model.onnx", "not built");
        put(root.path(), "a b/1/model.wasm", "misnamed");
        put(root.path(), "spec/1/model.wasm", "good");
        put(root.path(), "spec/model.toml", "[versons]");
        let listing = scan(root.path());
        let reasons: Vec<_> = listing
            .problems
            .iter()
            .map(|problem| &problem.reason)
            .collect();
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        assert!(listing.models.values().any(|model| model.spec.is_err()));
    }

    #[test]
    fn a_link_is_followed_and_a_replaced_file_has_another_stamp() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "elsewhere.wasm", "one");
        fs::create_dir_all(root.path().join("iris/1")).unwrap();
        std::os::unix::fs::symlink(
            root.path().join("elsewhere.wasm"),
            root.path().join("iris/1/model.wasm"),
        )
        .unwrap();
        let before = scan(root.path());
        put(root.path(), "new.wasm", "two");
        fs::rename(
            root.path().join("new.wasm"),
            root.path().join("elsewhere.wasm"),
        )
        .unwrap();
        assert_ne!(before, scan(root.path()));
    }

    #[test]
    fn a_missing_root_is_named() {
        let error = Repository::open("/no/such/place").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("/no/such/place cannot be read")
        );
    }
}
