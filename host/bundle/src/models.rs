//! The models of a repository, as every bundle takes them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use modelet_artifact::{Facts, inspect, sha256_hex};
use modelet_policy::names::{ModelName, Version};
use modelet_policy::spec::ModelSpec;
use modelet_policy::versions::served;
use modelet_store::{ArtifactFile, Repository};

use crate::folder::{Content, File, MODELS};

pub struct Model {
    pub spec: ModelSpec,
    /// What `model.toml` holds.
    pub policy: toml::Table,
    /// Those that are served.
    pub versions: BTreeMap<Version, Artifact>,
}

pub struct Artifact {
    pub facts: Facts,
    /// Where a bundle has it, and what it is copied from.
    pub file: File,
    source: ArtifactFile,
}

impl Artifact {
    /// The same bytes again that were inspected.
    pub fn read(&self) -> Result<Vec<u8>> {
        let bytes = self.source.read()?;
        let path = self.source.path.display();
        let is_same = sha256_hex(&bytes) == self.facts.sha256;
        ensure!(is_same, "{path} has changed while it was read");
        Ok(bytes)
    }
}

/// Reads all of a repository. What `serve` would pass over is an error here, where somebody looks.
pub fn read(repository: &Path) -> Result<BTreeMap<ModelName, Model>> {
    let repository = Repository::open(repository)?;
    let listing = repository.scan()?;
    if let Some(problem) = listing.problems.first() {
        bail!("{}: {}", problem.path.display(), problem.reason);
    }
    let mut models = BTreeMap::new();
    for (name, entry) in listing.models {
        let spec = entry.spec.map_err(|reason| anyhow!("{name}: {reason}"))?;
        let mut versions = BTreeMap::new();
        for version in served(&spec.versions, entry.versions.keys().copied()) {
            let found = &entry.versions[&version];
            let facts = inspect(&found.read()?)
                .with_context(|| format!("{} is not a modelet", found.path.display()))?;
            let file = File {
                path: format!("{MODELS}/{name}/{version}/model.wasm"),
                content: Content::Copy {
                    from: found.path.clone(),
                    bytes: facts.size_bytes,
                },
            };
            let source = found.clone();
            versions.insert(
                version,
                Artifact {
                    facts,
                    file,
                    source,
                },
            );
        }
        let policy = repository.read_spec(&name)?.parse()?;
        let model = Model {
            spec,
            policy,
            versions,
        };
        models.insert(name, model);
    }
    ensure!(!models.is_empty(), "the repository has no models");
    Ok(models)
}
