//! What is to be served: a repository's folders, or single files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use modelet_policy::names::{ModelName, Version};
use modelet_policy::spec::ModelSpec;

use crate::log::say;

/// The file of a version.
const ARTIFACT: &str = "model.cwasm";

const SPEC: &str = "model.toml";

/// A directory of models.
pub type Listing = BTreeMap<ModelName, Folder>;

/// One model's folder.
#[derive(Debug)]
pub struct Folder {
    /// Or why its `model.toml` cannot be used.
    pub spec: Result<ModelSpec, String>,
    pub versions: BTreeMap<Version, PathBuf>,
}

/// Lists a repository.
pub fn list(root: &Path) -> Result<Listing, String> {
    let mut listing = Listing::new();
    for (path, name) in folders(root)? {
        match name.parse::<ModelName>() {
            Ok(model) => drop(listing.insert(model, folder(&path)?)),
            Err(error) => say(format_args!("not served: {}: {error}", path.display())),
        }
    }
    Ok(listing)
}

/// The model and the version that a file's place gives it.
pub fn place(file: &Path) -> Option<(ModelName, Version)> {
    let version = file.parent()?;
    let model = version.parent()?.file_name()?.to_str()?;
    let is_artifact = file.file_name()? == ARTIFACT;
    let version = version.file_name()?.to_str()?.parse().ok()?;
    Some((model.parse().ok()?, version)).filter(|_| is_artifact)
}

fn folder(path: &Path) -> Result<Folder, String> {
    let mut versions = BTreeMap::new();
    for (path, name) in folders(path)? {
        let file = path.join(ARTIFACT);
        match name.parse::<Version>() {
            Ok(version) if file.exists() => drop(versions.insert(version, file)),
            Ok(_) => say(format_args!("not served: {} is missing", file.display())),
            Err(error) => say(format_args!("not served: {}: {error}", path.display())),
        }
    }
    let file = path.join(SPEC);
    let spec = match fs::read_to_string(&file) {
        Ok(text) => ModelSpec::parse(&text).map_err(|errors| errors.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ModelSpec::default()),
        Err(error) => Err(error.to_string()),
    };
    let spec = spec.map_err(|error| format!("{} cannot be used: {error}", file.display()));
    Ok(Folder { spec, versions })
}

/// The folders in a folder, by name; hidden ones are somebody else's.
fn folders(folder: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, name) = (
            entry.path(),
            entry.file_name().to_string_lossy().into_owned(),
        );
        if !name.starts_with('.') && path.is_dir() {
            found.push((path, name));
        }
    }
    found.sort();
    Ok(found)
}
