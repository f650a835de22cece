//! What all requests share, and how it is kept up with the repository.

mod ensembles;
mod file;
mod memory;
mod references;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use modelet_compiler::Compiler;
use modelet_policy::fallback::Target;
use modelet_policy::names::{InvalidName, ModelName, Version};
use modelet_policy::spec::ModelSpec;
use modelet_policy::versions;
use modelet_protocol::rest::outputs_from_json;
use modelet_runtime::{Limits, Modelet};
use modelet_store::{
    ArtifactFile, Digest, ModelEntry, Problem, Repository, Stamp, StoreError, verify,
};
use tokio::sync::watch;

use crate::attempt::admission::Admission;
use crate::attempt::batching::Batches;
use crate::attempt::breaker::Breaker;
use crate::attempt::cache::Cache;
use crate::attempt::pace::Pace;
use crate::attempt::remote::Remotes;
use crate::config::Config;
use crate::registry::{Entry, Model, Models, Ready, Registry, ResolveError, State, Work};
use crate::rollouts::Rollouts;
use crate::rollouts::readiness::Readiness;
use crate::statistics::Fallbacks;
use file::File;

/// A server's state. Shared by all connections.
pub struct App {
    pub(crate) config: Config,
    pub(crate) registry: Registry,
    pub(crate) admission: Arc<Admission>,
    pub(crate) fallbacks: Fallbacks,
    pub(crate) rollouts: Rollouts,
    pub(crate) remotes: Remotes,
    /// Held by who looks at a `model.toml` to replace it.
    pub(crate) writing_specs: tokio::sync::Mutex<()>,
    compiler: Compiler,
    repositories: Vec<Repository>,
    files: Vec<File>,
    /// What the latest look at the sources found wrong, so that only news are logged.
    problems: Mutex<Vec<Problem>>,
    /// What each version was loaded from. Held during a refresh, so that there is one at a time.
    loaded: Mutex<Loaded>,
    /// Whether there is memory to give back that loading took.
    has_loaded: AtomicBool,
    /// Kept out until somebody loads them again.
    unloaded: Mutex<BTreeSet<ModelName>>,
    /// Whether every model had its chance to load.
    started: watch::Sender<bool>,
    begun: Instant,
    draining: watch::Sender<bool>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{path} cannot be served: {source}")]
    Invalid {
        path: PathBuf,
        source: modelet_artifact::Invalid,
    },
    #[error("{path} cannot be served: {source}; give it another with `modelet build --name`")]
    Name { path: PathBuf, source: InvalidName },
    #[error("there is nothing to serve: name a repository or modelet files")]
    Nothing,
}

type Wanted = BTreeMap<ModelName, ModelEntry>;

type Loaded = BTreeMap<(ModelName, Version), Source>;

/// What a loaded version depends on: only when this changes is it loaded again.
#[derive(Clone, PartialEq)]
struct Source {
    stamp: Stamp,
    /// Where signatures are asked for.
    signature: Option<Stamp>,
    limits: modelet_policy::spec::Limits,
    reuse: bool,
    breaker: Option<modelet_policy::breaker::Limits>,
    cache: Option<modelet_policy::spec::Cache>,
    batching: Option<modelet_policy::batching::Batching>,
}

impl App {
    /// `paths` are repositories and single modelet files. Nothing is loaded yet.
    pub fn new(
        compiler: Compiler,
        config: Config,
        paths: &[PathBuf],
    ) -> Result<Arc<App>, StartError> {
        let mut repositories = Vec::new();
        let mut files = Vec::new();
        for path in paths {
            if path.is_dir() {
                repositories.push(Repository::open(path)?);
            } else {
                files.push(File::find(path)?);
            }
        }
        if paths.is_empty() {
            return Err(StartError::Nothing);
        }
        Ok(Arc::new(App {
            admission: Arc::new(Admission::new(config.concurrency, config.queue)),
            registry: Registry::default(),
            fallbacks: Fallbacks::default(),
            rollouts: Rollouts::new(config.state.clone()),
            remotes: Remotes::default(),
            writing_specs: tokio::sync::Mutex::default(),
            config,
            compiler,
            repositories,
            files,
            problems: Mutex::default(),
            loaded: Mutex::default(),
            has_loaded: AtomicBool::new(false),
            unloaded: Mutex::default(),
            started: watch::Sender::new(false),
            begun: Instant::now(),
            draining: watch::Sender::new(false),
        }))
    }

    /// The repository that holds a model.
    pub(crate) fn repository_of(&self, model: &ModelName) -> Option<&Repository> {
        // The last one wins, as when they are read.
        self.repositories
            .iter()
            .rfind(|repository| repository.has(model))
    }

    /// Whether every model had its chance to load and the server takes requests.
    pub fn is_ready(&self) -> bool {
        *self.started.borrow() && !*self.draining.borrow()
    }

    /// The models, unless the server takes no requests or a look at the repository goes on: then some version may
    /// still be on its way.
    pub(crate) fn settled(&self) -> Option<Arc<Models>> {
        let _no_refresh = match self.loaded.try_lock() {
            Ok(loaded) => loaded,
            Err(TryLockError::Poisoned(loaded)) => loaded.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        self.is_ready().then(|| self.registry.snapshot())
    }

    /// Since the server began: the clock that policy is given.
    pub(crate) fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Completes when every model had its chance to load.
    pub async fn ready(&self) {
        // The sender lives in this same value, so it cannot be gone.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    pub(crate) fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Completes when the server is told to stop.
    pub(crate) fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        async move {
            // Without a sender there is no server either.
            let _ = draining.wait_for(|draining| *draining).await;
        }
    }

    /// The number of versions that answer.
    pub fn ready_count(&self) -> usize {
        self.registry.all_ready().len()
    }

    /// Brings what is loaded in line with what is there. Blocks while models compile.
    pub fn refresh(&self) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match self.wanted() {
            Ok(wanted) => {
                self.remove_others(&wanted, &mut loaded);
                // Ensembles last: what they are depends on their members.
                let (ensembles, models): (Vec<_>, Vec<_>) = wanted
                    .into_iter()
                    .partition(|(_, entry)| is_ensemble(entry));
                for (name, entry) in models.into_iter().chain(ensembles) {
                    self.bring_up(&name, entry, &mut loaded);
                }
            }
            Err(error) => tracing::error!(%error, "the repository cannot be read"),
        }
        self.started.send_replace(true);
        if self.has_loaded.swap(false, Relaxed) {
            memory::give_back();
            self.compiler.make_room();
        }
    }

    /// Loads a model again, also one that was unloaded or has failed. Blocks.
    pub fn load(&self, model: &str) -> Result<(), ResolveError> {
        let unknown = || ResolveError::UnknownModel(model.to_owned());
        let name: ModelName = model.parse().map_err(|_| unknown())?;
        self.unloaded().remove(&name);
        {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.retain(|(loaded, _), _| *loaded != name);
        }
        self.refresh();
        self.registry.resolve(model, None)?;
        match self.registry.problem(&name) {
            None => Ok(()),
            Some(reason) => Err(ResolveError::NotLoaded {
                model: name.to_string(),
                reason,
            }),
        }
    }

    /// Takes a model out of service; requests in flight are answered.
    pub fn unload(&self, model: &str) -> Result<(), ResolveError> {
        let unknown = || ResolveError::UnknownModel(model.to_owned());
        let name: ModelName = model.parse().map_err(|_| unknown())?;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.registry.snapshot().contains_key(&name) {
            return Err(unknown());
        }
        self.unloaded().insert(name.clone());
        loaded.retain(|(loaded, _), _| *loaded != name);
        self.registry.change(|models| {
            if let Some(model) = models.get_mut(&name) {
                for entry in model.versions.values_mut() {
                    *entry = Entry {
                        state: State::Unavailable("it was unloaded".to_owned()),
                        problem: None,
                    };
                }
            }
        });
        Ok(())
    }

    fn unloaded(&self) -> std::sync::MutexGuard<'_, BTreeSet<ModelName>> {
        self.unloaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is in the repositories and files.
    fn wanted(&self) -> Result<Wanted, StoreError> {
        let mut wanted = Wanted::new();
        let mut problems = Vec::new();
        for repository in &self.repositories {
            let listing = repository.scan()?;
            problems.extend(listing.problems);
            wanted.extend(listing.models);
        }
        for file in &self.files {
            match ArtifactFile::find(&file.path) {
                Ok(artifact) => {
                    let entry = wanted
                        .entry(file.model.clone())
                        .or_insert_with(|| ModelEntry {
                            spec: Ok(ModelSpec::default()),
                            versions: BTreeMap::new(),
                        });
                    entry.versions.insert(file.version, artifact);
                }
                Err(error) => problems.push(Problem {
                    path: file.path.clone(),
                    reason: error.to_string(),
                }),
            }
        }
        problems.extend(references::dangling(&wanted));
        self.tell(problems);
        Ok(wanted)
    }

    fn tell(&self, problems: Vec<Problem>) {
        let mut known = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        for problem in problems.iter().filter(|problem| !known.contains(problem)) {
            let (path, reason) = (problem.path.display(), &problem.reason);
            tracing::warn!(%path, reason, "a problem in the repository");
        }
        *known = problems;
    }

    fn remove_others(&self, wanted: &Wanted, loaded: &mut Loaded) {
        let served = |name: &ModelName, version: Version| match wanted.get(name) {
            None => false,
            // A mistake in the spec leaves in service what was.
            Some(entry) if is_ensemble(entry) => version == ensembles::ensemble_version(),
            Some(entry) if entry.spec.is_err() && self.is_ensemble_now(name) => true,
            Some(entry) => entry
                .spec
                .as_ref()
                .map_or(entry.versions.contains_key(&version), |spec| {
                    self.served(name, spec, entry).contains(&version)
                }),
        };
        loaded.retain(|(name, version), _| served(name, *version));
        let current = self.registry.snapshot();
        let gone = current.iter().any(|(name, model)| {
            !wanted.contains_key(name)
                || model.versions.keys().any(|version| !served(name, *version))
        });
        if gone {
            self.registry.change(|models| {
                models.retain(|name, model| {
                    model.versions.retain(|version, _| served(name, *version));
                    wanted.contains_key(name)
                });
            });
        }
    }

    fn bring_up(&self, name: &ModelName, entry: ModelEntry, loaded: &mut Loaded) {
        let unloaded = self.unloaded().contains(name);
        let spec = entry.spec.clone();
        let spec = match spec.and_then(|spec| suits(spec, !entry.versions.is_empty())) {
            Ok(spec) => spec,
            Err(problem) => return self.set_problem(name, Some(problem)),
        };
        self.set_problem(name, None);
        let is_new = self.set_spec(name, &spec);
        if let Some(ensemble) = spec.ensemble.as_ref().filter(|_| !unloaded) {
            return self.bring_up_ensemble(name, &spec, ensemble, is_new);
        }
        for version in self.served(name, &spec, &entry) {
            let artifact = &entry.versions[&version];
            let key = (name.clone(), version);
            let from = Source {
                stamp: artifact.stamp,
                signature: artifact.signature.filter(|_| self.asks_for_signatures()),
                limits: spec.limits.clone(),
                reuse: spec.reuse,
                breaker: spec.breaker.clone(),
                cache: spec.cache.clone(),
                batching: spec.batching.clone(),
            };
            if unloaded || loaded.get(&key) == Some(&from) {
                continue;
            }
            self.load_version(name, version, artifact, &spec);
            loaded.insert(key, from);
        }
    }

    /// The versions that are there and are to be loaded: those of the spec, and those that a rollout
    /// needs, whatever the spec says.
    fn served(&self, name: &ModelName, spec: &ModelSpec, entry: &ModelEntry) -> Vec<Version> {
        let mut served = versions::served(&spec.versions, entry.versions.keys().copied());
        if let Some(live) = self.rollouts.of(name) {
            served.extend(live.saved.rollout.needs());
        }
        served.retain(|version| entry.versions.contains_key(version));
        served.sort();
        served.dedup();
        served
    }

    fn load_version(
        &self,
        name: &ModelName,
        version: Version,
        artifact: &ArtifactFile,
        spec: &ModelSpec,
    ) {
        let before = self.ready_before(name, version);
        if before.is_none() {
            self.set(
                name,
                version,
                Entry {
                    state: State::Loading,
                    problem: None,
                },
            );
        }
        let compiled = self.compile(artifact, spec);
        let compiled = compiled.and_then(|modelet| Ok((batches(&modelet, spec)?, modelet)));
        let entry = match (compiled, before) {
            (Ok((batches, modelet)), before) => {
                tracing::info!(model = %name, %version, sha256 = modelet.facts().sha256, "loaded");
                let concurrency = spec.limits.concurrency.unwrap_or(self.config.concurrency);
                let queue = spec.limits.queue.unwrap_or(self.config.queue);
                let ready = Arc::new(Ready {
                    model: name.clone(),
                    version,
                    work: Work::Modelet(modelet),
                    // Counters go on counting when a file is replaced.
                    statistics: before
                        .map(|ready| ready.statistics.clone())
                        .unwrap_or_default(),
                    admission: Arc::new(Admission::new(concurrency, queue)),
                    breaker: Breaker::new(spec.breaker.clone(), &format!("{name}/{version}")),
                    pace: Pace::default(),
                    cache: spec.cache.as_ref().map(Cache::new),
                    batches,
                    timeout: spec.limits.timeout,
                    readiness: Readiness::default(),
                    times: Mutex::default(),
                });
                Entry {
                    state: State::Ready(ready),
                    problem: None,
                }
            }
            (Err(reason), before) => {
                tracing::error!(model = %name, %version, reason, "could not be loaded");
                match before {
                    Some(ready) => Entry {
                        state: State::Ready(ready),
                        problem: Some(reason),
                    },
                    None => Entry {
                        state: State::Unavailable(reason),
                        problem: None,
                    },
                }
            }
        };
        self.set(name, version, entry);
    }

    fn compile(&self, artifact: &ArtifactFile, spec: &ModelSpec) -> Result<Modelet, String> {
        let limits = Limits {
            memory_bytes: spec.limits.memory_bytes.unwrap_or(self.config.memory_bytes),
            reuse: spec.reuse,
        };
        let bytes = artifact.read().map_err(|error| error.to_string())?;
        self.has_loaded.store(true, Relaxed);
        self.check_signature(artifact, &bytes)?;
        // A file that the compiler stumbles over must not keep the models after it from loading.
        catch_unwind(AssertUnwindSafe(|| self.compiler.load(&bytes, limits)))
            .map_err(|_| "the compiler failed on it".to_owned())?
            .map_err(|error| error.to_string())
    }

    fn asks_for_signatures(&self) -> bool {
        !self.config.trusted.is_empty()
    }

    /// Of these very bytes: what is loaded is what was checked.
    fn check_signature(&self, artifact: &ArtifactFile, bytes: &[u8]) -> Result<(), String> {
        if !self.asks_for_signatures() {
            return Ok(());
        }
        let signature = artifact
            .read_signature()
            .map_err(|error| error.to_string())?;
        verify(
            signature.as_deref(),
            &Digest::of(bytes),
            &self.config.trusted,
        )
        .map(drop)
        .map_err(|error| format!("signatures are required, and {error}"))
    }

    fn ready_before(&self, name: &ModelName, version: Version) -> Option<Arc<Ready>> {
        let models = self.registry.snapshot();
        models
            .get(name)?
            .ready()
            .find(|ready| ready.version == version)
            .cloned()
    }

    fn set(&self, name: &ModelName, version: Version, entry: Entry) {
        self.registry.change(|models| {
            models
                .entry(name.clone())
                .or_default()
                .versions
                .insert(version, entry);
        });
    }

    fn set_problem(&self, name: &ModelName, problem: Option<String>) {
        let current = self.registry.snapshot();
        let known = current.get(name).and_then(|model| model.problem.as_ref());
        if known != problem.as_ref() {
            if let Some(problem) = &problem {
                tracing::error!(model = %name, problem, "its spec is not used");
            }
            self.registry.change(|models| {
                models.entry(name.clone()).or_default().problem = problem;
            });
        }
    }

    /// Before any version is there: none is to answer that a rollout keeps requests from.
    /// Says whether it is another than before.
    fn set_spec(&self, name: &ModelName, spec: &ModelSpec) -> bool {
        let current = self.registry.snapshot();
        let known = current.get(name);
        let rollout = self.rollouts.of(name);
        let follows = known.is_some_and(|model| model.rollout.is_some());
        let is_new = known.map(|model: &Model| &*model.declared) != Some(spec);
        if is_new || rollout.is_some() != follows {
            self.registry.change(|models| {
                let model = models.entry(name.clone()).or_default();
                model.rollout = rollout;
                model.declare(spec.clone());
            });
        }
        is_new
    }
}

/// Says when a model is loaded, and not at its first request, that its requests cannot be joined.
fn batches(modelet: &Modelet, spec: &ModelSpec) -> Result<Option<Arc<Batches>>, String> {
    let signature = &modelet.facts().metadata.signature;
    let batches = spec.batching.as_ref();
    let batches = batches.map(|batching| Batches::new(batching, signature));
    Ok(batches.transpose()?.map(Arc::new))
}

fn is_ensemble(entry: &ModelEntry) -> bool {
    let spec = entry.spec.as_ref();
    spec.is_ok_and(|spec| spec.ensemble.is_some() && entry.versions.is_empty())
}

/// Whether a spec that is right in itself suits its model. Says now and not at the first fallback that
/// a static answer cannot be given.
pub(crate) fn suits(spec: ModelSpec, has_versions: bool) -> Result<ModelSpec, String> {
    if spec.ensemble.is_some() && has_versions {
        let problem = "model.toml: a model with an [ensemble] has no versions of its own";
        return Err(problem.to_owned());
    }
    if spec.ensemble.is_some() && spec.batching.is_some() {
        let problem =
            "model.toml: requests of an [ensemble] are not joined; [batching] is for its members";
        return Err(problem.to_owned());
    }
    for target in &spec.fallback.chain {
        if let Target::Static(json) = target {
            outputs_from_json(json, &[]).map_err(|error| {
                format!("model.toml: fallback.chain: the static outputs are not tensors: {error}")
            })?;
        }
    }
    Ok(spec)
}
