//! A modelet that is served by itself, from outside any repository.

use std::path::{Path, PathBuf};

use modelet_policy::names::{ModelName, Version};
use modelet_store::{ARTIFACT, ArtifactFile};

use crate::app::StartError;

/// A file and what it is served as.
pub struct File {
    pub path: PathBuf,
    pub model: ModelName,
    pub version: Version,
}

impl File {
    /// Its name and version are those of its place in a repository, or what it says of itself.
    pub fn find(path: &Path) -> Result<File, StartError> {
        let artifact = ArtifactFile::find(path)?;
        let (model, version) = match of_repository(path) {
            Some(place) => place,
            None => of_itself(&artifact)?,
        };
        Ok(File {
            path: artifact.path,
            model,
            version,
        })
    }
}

fn of_repository(path: &Path) -> Option<(ModelName, Version)> {
    let version = path.parent()?;
    let model = version.parent()?.file_name()?.to_str()?;
    let is_artifact = path.file_name()? == ARTIFACT;
    let version = version.file_name()?.to_str()?.parse().ok()?;
    Some((model.parse().ok()?, version)).filter(|_| is_artifact)
}

fn of_itself(artifact: &ArtifactFile) -> Result<(ModelName, Version), StartError> {
    let path = || artifact.path.clone();
    let facts =
        modelet_artifact::inspect(&artifact.read()?).map_err(|source| StartError::Invalid {
            path: path(),
            source,
        })?;
    let model = facts
        .metadata
        .name
        .parse()
        .map_err(|source| StartError::Name {
            path: path(),
            source,
        })?;
    let version = Version::try_from(1).expect("1 is a version");
    Ok((model, version))
}
