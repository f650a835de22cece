//! One model's rollout on this node, and what this node sees of it.

use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use modelet_policy::fallback::Trigger;
use modelet_policy::names::Version;
use modelet_policy::rollout::evidence::{Evidence, Observation};
use modelet_runtime::InferError;
use modelet_store::Saved;
use tokio::sync::Notify;

use crate::request::Failure;

/// A rollout as it was last read.
pub struct Live {
    pub saved: Saved,
    /// Goes on through all revisions of the same rollout.
    pub seen: Arc<Seen>,
    /// Whether this node is the one that advances it.
    pub leads: AtomicBool,
    /// Wakes who looks at what was seen.
    pub alarm: Arc<Notify>,
}

/// What this node has seen, and whether it has been written down.
#[derive(Default)]
pub struct Seen {
    evidence: Mutex<Evidence>,
    has_news: AtomicBool,
}

impl Live {
    /// A request that the weights sent to `version` has ended.
    pub fn record(&self, version: Version, failure: Option<&Failure>, time: Duration) {
        let rollout = &self.saved.rollout;
        let is_canary = version == rollout.canary;
        if !rollout.is_active() || !(is_canary || version == rollout.stable) {
            return;
        }
        let Some(failed) = failure.map_or(Some(None), |failure| judged(failure).map(Some)) else {
            return;
        };
        let seen = Observation {
            version,
            is_canary,
            share: rollout.weight,
            failed,
            time,
        };
        self.seen.change(|evidence| evidence.record(seen));
        // Each further request may be sent to a canary that has shown enough.
        if is_canary && failed.is_some() {
            self.alarm.notify_one();
        }
    }
}

impl Live {
    /// Whether the canary refused a request; then others are asked.
    pub fn refused(&self, version: Version, failure: &Failure) -> Option<Trigger> {
        judged(failure).filter(|_| version == self.saved.rollout.canary)
    }

    /// Whether requests by name or by mirror are evidence: only where the weights send the canary none
    /// are they not mixed with those.
    pub fn counts_unweighted(&self) -> bool {
        let rollout = &self.saved.rollout;
        rollout.is_active() && rollout.weight == 0 && rollout.arms.is_empty()
    }
}

/// What a failure says of the version; `None` for what it says nothing of.
fn judged(failure: &Failure) -> Option<Trigger> {
    match failure {
        // Callers make mistakes with every version. A version that refuses more than the other has
        // another signature, and that is a failure to those who call it.
        Failure::Invalid(_) | Failure::Infer(InferError::InvalidInput(_)) => Some(Trigger::Failed),
        failure => failure.trigger(),
    }
}

impl Seen {
    pub fn change(&self, change: impl FnOnce(&mut Evidence)) {
        // Numbers that are one too small are all that a panic could leave.
        change(&mut self.evidence.lock().unwrap_or_else(PoisonError::into_inner));
        self.has_news.store(true, Release);
    }

    /// All of it, if there is something that was not taken before.
    pub fn take_news(&self) -> Option<Evidence> {
        let has_news = self.has_news.swap(false, AcqRel);
        has_news.then(|| {
            let evidence = self.evidence.lock();
            evidence.unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// It was not written down after all.
    pub fn keep_news(&self) {
        self.has_news.store(true, Release);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use modelet_policy::rollout::Rollout;
    use modelet_policy::spec::ModelSpec;

    use super::*;
    use crate::request::Failure;

    fn version(number: u64) -> Version {
        Version::try_from(number).unwrap()
    }

    #[test]
    fn only_a_canary_that_fails_rings() {
        let spec = ModelSpec::parse("[strategy.canary]\nsteps = [{ setWeight = 10 }]").unwrap();
        let strategy = spec.strategy.unwrap();
        let rollout = Rollout::start("a".to_owned(), strategy, version(1), version(2), 0);
        let live = Live {
            saved: Saved {
                model: "m".parse().unwrap(),
                revision: 1,
                rollout,
            },
            seen: Arc::default(),
            leads: AtomicBool::new(true),
            alarm: Arc::default(),
        };
        let rings = || live.alarm.notified().now_or_never().is_some();
        let record = |number, failure| {
            live.record(version(number), failure, Duration::ZERO);
            rings()
        };
        let trap = Failure::Infer(InferError::Trap("a".to_owned()));
        assert!(!record(2, None));
        assert!(!record(1, Some(&trap)));
        assert!(
            !record(2, Some(&Failure::SlowBody)),
            "it is not the canary's doing"
        );
        assert!(record(2, Some(&trap)));
        assert!(!rings(), "once");
    }
}
