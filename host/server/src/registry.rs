//! Which versions of which models are loaded, and in what state.
//!
//! Readers take an immutable snapshot; a change replaces the snapshot whole. A request holds on to
//! the version it resolved, so replacing or removing one never touches a request in flight.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use modelet_policy::names::{ModelName, Version};
use modelet_policy::retry::Budget;
use modelet_policy::spec::ModelSpec;
use modelet_policy::statistics::recent::Recent;
use modelet_policy::versions;
use modelet_protocol::Signature;
use modelet_protocol::rest::metadata::IndexEntry;
use modelet_runtime::Modelet;

use crate::attempt::admission::Admission;
use crate::attempt::batching::Batches;
use crate::attempt::breaker::Breaker;
use crate::attempt::cache::Cache;
use crate::attempt::ensemble::Ensemble;
use crate::attempt::pace::Pace;
use crate::rollouts::live::Live;
use crate::rollouts::readiness::Readiness;
use crate::statistics::Statistics;

/// A version that answers.
pub struct Ready {
    pub model: ModelName,
    pub version: Version,
    pub work: Work,
    pub statistics: Arc<Statistics>,
    pub admission: Arc<Admission>,
    pub breaker: Breaker,
    pub pace: Pace,
    pub cache: Option<Cache>,
    pub batches: Option<Arc<Batches>>,
    pub timeout: Option<Duration>,
    pub readiness: Readiness,
    /// Of its calls, where they are hedged.
    pub times: Mutex<Recent>,
}

/// What computes a version's answers.
pub enum Work {
    Modelet(Modelet),
    Ensemble(Ensemble),
}

impl Ready {
    pub fn signature(&self) -> &Signature {
        match &self.work {
            Work::Modelet(modelet) => &modelet.facts().metadata.signature,
            Work::Ensemble(ensemble) => &ensemble.signature,
        }
    }

    /// As Triton calls such models.
    pub fn platform(&self) -> &'static str {
        match &self.work {
            Work::Modelet(_) => "onnx_onnxv1",
            Work::Ensemble(_) => "ensemble",
        }
    }

    pub fn times(&self) -> MutexGuard<'_, Recent> {
        // One time that is not counted is all that a panic could leave.
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a version is.
#[derive(Clone)]
pub enum State {
    Loading,
    Ready(Arc<Ready>),
    Unavailable(String),
}

/// What is known of one version: what serves, and what became of the latest attempt to load it.
#[derive(Clone)]
pub struct Entry {
    pub state: State,
    /// Why what is in the repository now is not what serves.
    pub problem: Option<String>,
}

/// What is known of one model.
#[derive(Clone, Default)]
pub struct Model {
    pub versions: BTreeMap<Version, Entry>,
    /// What requests follow: the declared spec, with the rollout applied to it.
    pub spec: Arc<ModelSpec>,
    /// As it stands in the repository.
    pub declared: Arc<ModelSpec>,
    pub rollout: Option<Arc<Live>>,
    /// For retries and hedges.
    budget: Arc<Mutex<Budget>>,
    /// A mistake in its `model.toml`, or that it was unloaded.
    pub problem: Option<String>,
}

impl Entry {
    fn problem(&self) -> Option<&str> {
        match &self.state {
            State::Unavailable(reason) => Some(reason),
            State::Loading | State::Ready(_) => self.problem.as_deref(),
        }
    }
}

pub type Models = BTreeMap<ModelName, Model>;

/// All models.
#[derive(Default)]
pub struct Registry {
    models: ArcSwap<Models>,
    /// Held while a snapshot is replaced, so that no change is lost.
    writing: Mutex<()>,
}

/// Why no version answers to a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("there is no model `{0}`")]
    UnknownModel(String),
    #[error("model `{model}` has no version `{version}`")]
    UnknownVersion { model: String, version: String },
    #[error("model `{model}` is not ready{reason}")]
    NotReady { model: String, reason: String },
    #[error("model `{model}` could not be loaded as it is now: {reason}")]
    NotLoaded { model: String, reason: String },
}

impl Registry {
    pub fn snapshot(&self) -> Arc<Models> {
        self.models.load_full()
    }

    /// Replaces the snapshot by a changed copy.
    pub fn change(&self, change: impl FnOnce(&mut Models)) {
        let _writing: MutexGuard<'_, ()> =
            self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut models = Models::clone(&self.models.load());
        change(&mut models);
        self.models.store(Arc::new(models));
    }

    /// The version that answers, or why none does.
    pub fn resolve(&self, model: &str, version: Option<&str>) -> Result<Arc<Ready>, ResolveError> {
        let found = self.find(model)?;
        match version.filter(|version| !version.is_empty()) {
            Some(version) => found.named(version),
            None => found.default(),
        }
    }

    /// The model of this name as it is now.
    pub fn find(&self, model: &str) -> Result<Found, ResolveError> {
        let models = self.snapshot();
        // A text that is no name is no model either.
        let name = model.parse().ok();
        match name.filter(|name| models.contains_key(name)) {
            Some(name) => Ok(Found { models, name }),
            None => Err(ResolveError::UnknownModel(model.to_owned())),
        }
    }

    /// The model's ready versions, in order.
    pub fn versions(&self, model: &str) -> Vec<String> {
        match self.find(model) {
            Ok(found) => found
                .model()
                .ready()
                .map(|ready| ready.version.to_string())
                .collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Every version that is loaded.
    pub fn all_ready(&self) -> Vec<Arc<Ready>> {
        self.models
            .load()
            .values()
            .flat_map(Model::ready)
            .cloned()
            .collect()
    }

    /// Why what a model answers with is not what is in the repository.
    pub fn problem(&self, model: &ModelName) -> Option<String> {
        let models = self.models.load();
        let model = models.get(model)?;
        let of_versions = || model.versions.values().find_map(Entry::problem);
        model
            .problem
            .as_deref()
            .or_else(of_versions)
            .map(str::to_owned)
    }

    /// The repository extension's index.
    pub fn index(&self, only_ready: bool) -> Vec<IndexEntry> {
        let mut index = Vec::new();
        for (name, model) in self.models.load().iter() {
            let entry = |version: String, state: &str, reason: Option<&String>| IndexEntry {
                name: name.to_string(),
                version,
                state: state.to_owned(),
                reason: reason.cloned().unwrap_or_default(),
            };
            if model.versions.is_empty() {
                index.push(entry(String::new(), "UNAVAILABLE", model.problem.as_ref()));
            }
            for (version, found) in &model.versions {
                let (state, reason) = match &found.state {
                    State::Ready(_) => ("READY", found.problem.as_ref()),
                    State::Loading => ("LOADING", None),
                    // What is wrong now says more than what was wrong before.
                    State::Unavailable(reason) => {
                        ("UNAVAILABLE", model.problem.as_ref().or(Some(reason)))
                    }
                };
                index.push(entry(
                    version.to_string(),
                    state,
                    reason.or(model.problem.as_ref()),
                ));
            }
        }
        index.retain(|entry| !only_ready || entry.state == "READY");
        index
    }
}

/// A model in a snapshot of the registry: what is loaded or removed meanwhile changes nothing.
pub struct Found {
    models: Arc<Models>,
    pub name: ModelName,
}

impl Found {
    pub fn model(&self) -> &Model {
        self.models
            .get(&self.name)
            .expect("it was found in this snapshot, which does not change")
    }

    /// The version of this number or label.
    pub fn named(&self, version: &str) -> Result<Arc<Ready>, ResolveError> {
        let labels = &self.model().spec.labels;
        let version_number = version
            .parse()
            .ok()
            .or_else(|| labels.get(version).copied());
        match version_number {
            Some(number) => self.ready(number),
            None => Err(self.unknown(version)),
        }
    }

    pub fn ready(&self, version: Version) -> Result<Arc<Ready>, ResolveError> {
        let entry = self.model().versions.get(&version);
        match &entry
            .ok_or_else(|| self.unknown(&version.to_string()))?
            .state
        {
            State::Ready(ready) => Ok(ready.clone()),
            State::Loading => Err(self.not_ready(Some("version is being loaded"))),
            State::Unavailable(reason) => Err(self.not_ready(Some(reason))),
        }
    }

    /// The version that answers where nothing says which.
    pub fn default(&self) -> Result<Arc<Ready>, ResolveError> {
        let model = self.model();
        let ready = model.ready().map(|ready| ready.version);
        match versions::default(&model.spec.versions, ready) {
            Some(version) => self.ready(version),
            None => Err(self.not_ready(model.reason())),
        }
    }

    /// The default version or, where that is not ready, one that is.
    pub fn any(&self) -> Result<Arc<Ready>, ResolveError> {
        self.default()
            .or_else(|error| self.model().ready().next().cloned().ok_or(error))
    }

    fn unknown(&self, version: &str) -> ResolveError {
        ResolveError::UnknownVersion {
            model: self.name.to_string(),
            version: version.to_owned(),
        }
    }

    pub fn not_ready(&self, reason: Option<&str>) -> ResolveError {
        ResolveError::NotReady {
            model: self.name.to_string(),
            reason: reason
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default(),
        }
    }
}

impl Model {
    /// Takes another declared spec.
    pub fn declare(&mut self, spec: ModelSpec) {
        self.declared = Arc::new(spec);
        self.follow(self.rollout.clone());
    }

    /// Applies a rollout to the declared spec.
    pub fn follow(&mut self, rollout: Option<Arc<Live>>) {
        self.spec = match &rollout {
            Some(live) => Arc::new(live.saved.rollout.applied_to(&self.declared)),
            None => self.declared.clone(),
        };
        self.rollout = rollout;
    }

    pub fn budget(&self) -> MutexGuard<'_, Budget> {
        // One call that is not counted is all that a panic could leave.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ready(&self) -> impl Iterator<Item = &Arc<Ready>> {
        self.versions
            .values()
            .filter_map(|entry| match &entry.state {
                State::Ready(ready) => Some(ready),
                _ => None,
            })
    }

    /// The first reason there is for not being ready.
    pub fn reason(&self) -> Option<&str> {
        let of_versions = self.versions.values().find_map(|entry| match &entry.state {
            State::Unavailable(reason) => Some(reason.as_str()),
            State::Loading => Some("it is being loaded"),
            State::Ready(_) => None,
        });
        self.problem.as_deref().or(of_versions)
    }
}
