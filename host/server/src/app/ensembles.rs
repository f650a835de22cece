//! Models that have no file of their own.

use std::sync::{Arc, Mutex};

use modelet_policy::ensemble;
use modelet_policy::names::{ModelName, Version};
use modelet_policy::spec::ModelSpec;

use super::App;
use crate::attempt::admission::Admission;
use crate::attempt::breaker::Breaker;
use crate::attempt::ensemble::Ensemble;
use crate::attempt::pace::Pace;
use crate::registry::{Entry, Ready, State, Work};
use crate::rollouts::readiness::Readiness;

impl App {
    /// Brings an ensemble in line with its members, which were brought up before it.
    pub(super) fn bring_up_ensemble(
        &self,
        name: &ModelName,
        spec: &ModelSpec,
        ensemble: &ensemble::Ensemble,
        is_new: bool,
    ) {
        let version = ensemble_version();
        let models = self.registry.snapshot();
        let known = models.get(name);
        let known = known.and_then(|model| model.versions.get(&version));
        let state = match (Ensemble::new(ensemble.clone(), &models), known) {
            (Ok(ensemble), Some(entry)) if !is_new && is_same(entry, &ensemble) => return,
            (Ok(ensemble), _) => {
                tracing::info!(model = %name, "the ensemble is ready");
                State::Ready(Arc::new(self.ready_ensemble(name, spec, ensemble)))
            }
            (Err(reason), known) => {
                let known = known.map(|entry| &entry.state);
                if matches!(known, Some(State::Unavailable(known)) if *known == reason) {
                    return;
                }
                tracing::warn!(model = %name, reason, "the ensemble is not ready");
                State::Unavailable(reason)
            }
        };
        let problem = None;
        self.set(name, version, Entry { state, problem });
    }

    /// Whether it was one when its spec was last right.
    pub(super) fn is_ensemble_now(&self, name: &ModelName) -> bool {
        let models = self.registry.snapshot();
        models
            .get(name)
            .is_some_and(|model| model.declared.ensemble.is_some())
    }

    fn ready_ensemble(&self, name: &ModelName, spec: &ModelSpec, ensemble: Ensemble) -> Ready {
        let version = ensemble_version();
        // Counters go on counting when a member is replaced.
        let before = self.ready_before(name, version);
        let (limits, config) = (&spec.limits, &self.config);
        // Its members have the limits that keep the processors to themselves.
        let concurrency = limits
            .concurrency
            .unwrap_or(config.concurrency + config.queue);
        let queue = limits.queue.unwrap_or(config.queue);
        Ready {
            model: name.clone(),
            version,
            work: Work::Ensemble(ensemble),
            statistics: before.map(|it| it.statistics.clone()).unwrap_or_default(),
            admission: Arc::new(Admission::new(concurrency, queue)),
            breaker: Breaker::new(spec.breaker.clone(), name.as_str()),
            pace: Pace::default(),
            cache: None,
            batches: None,
            timeout: limits.timeout,
            readiness: Readiness::default(),
            times: Mutex::default(),
        }
    }
}

/// An ensemble has one version, the first.
pub fn ensemble_version() -> Version {
    Version::try_from(1).expect("versions begin at 1")
}

fn is_same(entry: &Entry, ensemble: &Ensemble) -> bool {
    match &entry.state {
        State::Ready(ready) => matches!(&ready.work, Work::Ensemble(known) if known == ensemble),
        State::Loading | State::Unavailable(_) => false,
    }
}
