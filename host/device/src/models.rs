//! The models that are loaded, all before the first request, and what decides between them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use modelet_policy::deployment::{Deployment, Unknown};
use modelet_policy::fallback::Target;
use modelet_policy::names::{ModelName, Version};
use modelet_policy::spec::ModelSpec;
use modelet_policy::versions;
use modelet_runtime::{Engine, Limits, LoadError, Modelet, Precompiled, Target as Machine};

use crate::failure::Failure;
use crate::log::say;
use crate::repository::{self, Folder, Listing};

/// All models.
pub struct Models {
    models: BTreeMap<ModelName, Model>,
    deployment: Mutex<Deployment>,
    /// The beginning of the clock that policy is given.
    begun: Instant,
}

pub struct Model {
    pub spec: ModelSpec,
    /// What was found, and loaded or not.
    versions: BTreeMap<Version, Result<Modelet, String>>,
}

/// The engines of this process, one for each kind of code that is in use.
#[derive(Default)]
struct Engines {
    engines: Vec<(Machine, Engine)>,
}

impl Models {
    /// Loads what is at `paths`. What cannot be loaded is said and left out, unless nothing is left.
    pub fn load(paths: &[PathBuf], memory_bytes: u64) -> Result<Models, String> {
        let mut listing = Listing::new();
        for path in paths {
            match path.is_dir() {
                true => listing.extend(repository::list(path)?),
                false => add(&mut listing, path)?,
            }
        }
        let mut engines = Engines::default();
        let (mut models, mut deployment) = (BTreeMap::new(), Deployment::default());
        for (name, folder) in listing {
            let model = load(&mut engines, &name, folder, memory_bytes);
            let ready = model.ready().map(|(version, _)| version).collect();
            let seed = RandomState::new().hash_one(&name);
            deployment.insert(name.clone(), model.spec.clone(), ready, seed);
            models.insert(name, model);
        }
        if models
            .values()
            .all(|model: &Model| model.ready().count() == 0)
        {
            return Err("no model could be loaded".to_owned());
        }
        Ok(Models {
            models,
            deployment: Mutex::new(deployment),
            begun: Instant::now(),
        })
    }

    pub fn deployment(&self) -> MutexGuard<'_, Deployment> {
        // Every change under the lock is whole, so a poisoned deployment is still a sound one.
        self.deployment
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// A point of time on the clock that policy is given.
    pub fn time(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.begun)
    }

    pub fn get(&self, name: &str) -> Result<(&ModelName, &Model), Failure> {
        // A text that is no name is no model either.
        let parsed = name.parse().ok();
        let found = parsed.and_then(|name| self.models.get_key_value(&name));
        found.ok_or_else(|| Unknown::Model(name.to_owned()).into())
    }

    /// The only model, where there is no other.
    pub fn only(&self) -> Option<&ModelName> {
        let mut names = self.models.keys();
        names.next().filter(|_| names.next().is_none())
    }

    pub fn modelet(&self, name: &ModelName, version: Version) -> Option<&Modelet> {
        self.models.get(name)?.versions.get(&version)?.as_ref().ok()
    }
}

impl Model {
    pub fn ready(&self) -> impl Iterator<Item = (Version, &Modelet)> {
        let versions = self.versions.iter();
        versions.filter_map(|(version, loaded)| Some((*version, loaded.as_ref().ok()?)))
    }

    /// The version of this number or label or, without one, the one that answers then.
    pub fn resolve(
        &self,
        name: &ModelName,
        version: Option<&str>,
    ) -> Result<(Version, &Modelet), Failure> {
        let version = match version {
            Some(text) => {
                let labelled = self.spec.labels.get(text).copied();
                let version = labelled.or_else(|| text.parse().ok());
                version.ok_or_else(|| Failure::unknown_version(name, text))?
            }
            None => {
                let ready = self.ready().map(|(version, _)| version);
                let default = versions::default(&self.spec.versions, ready);
                default.ok_or_else(|| self.not_ready(name, None))?
            }
        };
        match self.versions.get(&version) {
            Some(Ok(modelet)) => Ok((version, modelet)),
            Some(Err(_)) => Err(self.not_ready(name, Some(version))),
            None => Err(Failure::unknown_version(name, &version.to_string())),
        }
    }

    /// Why no version answers, or why not this one.
    pub fn not_ready(&self, name: &ModelName, version: Option<Version>) -> Failure {
        let mut reasons = self.versions.iter().filter_map(|(number, loaded)| {
            let is_asked = version.is_none_or(|version| version == *number);
            loaded.as_ref().err().filter(|_| is_asked)
        });
        Failure::NotReady {
            model: name.to_string(),
            reason: reasons
                .next()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default(),
        }
    }
}

impl Engines {
    fn of(&mut self, machine: Machine) -> Result<&Engine, LoadError> {
        let at = match self.engines.iter().position(|(of, _)| *of == machine) {
            Some(at) => at,
            None => {
                self.engines.push((machine, Engine::sparing(machine)?));
                self.engines.len() - 1
            }
        };
        Ok(&self.engines[at].1)
    }

    /// Says how it went.
    fn load_version(
        &mut self,
        name: &ModelName,
        version: Version,
        path: &Path,
        limits: &Limits,
    ) -> Result<Modelet, String> {
        let start = Instant::now();
        let loaded = self.load(path, limits.clone());
        let loaded = loaded.map_err(|error| refused(path, &error));
        match &loaded {
            Ok(modelet) => say(format_args!(
                "loaded {name}/{version} sha256:{} in {:.1} ms",
                modelet.facts().sha256,
                start.elapsed().as_secs_f64() * 1e3
            )),
            Err(reason) => say(format_args!("not loaded: {name}/{version}: {reason}")),
        }
        loaded
    }

    fn load(&mut self, path: &Path, limits: Limits) -> Result<Modelet, LoadError> {
        let file = Precompiled::open(path)?;
        let engine = self.of(file.target())?;
        file.load(engine, limits)
    }
}

/// A file by itself is served as what its place in a repository or else it itself says.
fn add(listing: &mut Listing, path: &Path) -> Result<(), String> {
    let (model, version) = match repository::place(path) {
        Some(place) => place,
        None => {
            let file = Precompiled::open(path);
            let file = file.map_err(|error| refused(path, &error))?;
            let name = file.modelet().metadata.name.parse();
            let version = Version::try_from(1).expect("1 is a version");
            (name.map_err(|error| refused(path, &error))?, version)
        }
    };
    let folder = listing.entry(model).or_insert_with(|| Folder {
        spec: Ok(ModelSpec::default()),
        versions: BTreeMap::new(),
    });
    folder.versions.insert(version, path.to_owned());
    Ok(())
}

fn load(engines: &mut Engines, name: &ModelName, folder: Folder, memory_bytes: u64) -> Model {
    let spec = folder.spec.and_then(|spec| match spec.ensemble {
        Some(_) => Err("ensembles are not served here, only by `modelet serve`".to_owned()),
        None => Ok(spec),
    });
    let mut found = folder.versions;
    let spec = match spec {
        Ok(spec) => spec,
        // Without its policy a model would answer whom it should not.
        Err(reason) => {
            say(format_args!("not loaded: {name}: {reason}"));
            let refused = found
                .into_keys()
                .map(|version| (version, Err(reason.clone())));
            return Model {
                spec: ModelSpec::default(),
                versions: refused.collect(),
            };
        }
    };
    warn(name, &spec);
    let served = versions::served(&spec.versions, found.keys().copied());
    found.retain(|version, _| served.contains(version));
    let limits = Limits {
        memory_bytes: spec.limits.memory_bytes.unwrap_or(memory_bytes),
        reuse: spec.reuse,
    };
    let load = |(version, path): (Version, PathBuf)| {
        let loaded = engines.load_version(name, version, &path, &limits);
        (version, loaded)
    };
    let versions = found.into_iter().map(load).collect();
    Model { spec, versions }
}

/// Names what stands in a `model.toml` and is not followed here.
fn warn(name: &ModelName, spec: &ModelSpec) {
    let is_remote = |target: &Target| matches!(target, Target::Remote(_));
    for (is_there, what) in [
        (
            spec.fallback.chain.iter().any(is_remote),
            "other servers in `fallback.chain`",
        ),
        (spec.fallback.retry.limit > 0, "`fallback.retries`"),
        (spec.fallback.hedge.is_some(), "`fallback.hedge`"),
        (spec.feedback.is_some(), "`feedback`"),
        (spec.cache.is_some(), "`cache`"),
        (spec.batching.is_some(), "`batching`"),
        (spec.strategy.is_some(), "`strategy`"),
        (spec.limits.concurrency.is_some(), "`limits.concurrency`"),
        (spec.limits.queue.is_some(), "`limits.queue`"),
    ] {
        if is_there {
            say(format_args!(
                "{name}/model.toml: {what}: not followed here, only by `modelet serve`"
            ));
        }
    }
}

fn refused(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
