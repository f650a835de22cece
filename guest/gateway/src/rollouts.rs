//! Lets what instances keep of a rollout go on, and requests follow it.

use std::time::Duration;

use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::kept::{Kept, Present};
use modelet_policy::rollout::{Millis, Seen};

use crate::application::Served;
use crate::inference::Instance;
use crate::memory::Memory;

/// What came of a look at a model's rollout.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Whether there is something to be written.
    pub changed: bool,
    /// What happened, for the log.
    pub said: Vec<String>,
}

/// After what all have kept of this model was read: brings this instance's versions in, lets time and
/// evidence do their work, and requests follow the result.
pub fn follow(instance: &mut Instance, model: &ModelName, now: Duration) -> Followed {
    let Instance { served, memory } = instance;
    if served.strategy(model).is_none() {
        return Followed::default();
    }
    let known = memory.rollout(model).cloned();
    let number = memory.number();
    let Some(mut kept) =
        arrive(served, model, known.as_ref(), number, now).or_else(|| known.clone())
    else {
        return Followed::default();
    };
    memory.set_rollout(model, kept.clone());
    let versions = served.artifacts(model);
    if kept.suits(|version| versions.contains_key(&version)) {
        with_seen(served, memory, model, now, |seen| {
            kept.advance(seen, number)
        });
    }
    served.follow(model, &kept);
    let before = known.as_ref().map_or(0, Kept::revision);
    let said = kept.history().filter(|entry| entry.revision > before);
    let said = said.map(|entry| entry.what.clone()).collect();
    let changed = known.as_ref() != Some(&kept);
    memory.set_rollout(model, kept);
    Followed { changed, said }
}

fn arrive(
    served: &Served,
    model: &ModelName,
    known: Option<&Kept>,
    number: u64,
    now: Duration,
) -> Option<Kept> {
    let present = Present {
        artifacts: &served.artifacts(model),
        default: served.default(model)?,
        strategy: served.strategy(model)?,
        host: number,
    };
    Kept::arrive(known, &present, millis(now))
}

/// Lends policy what it may look at.
pub fn with_seen<T>(
    served: &Served,
    memory: &Memory,
    model: &ModelName,
    now: Duration,
    look: impl FnOnce(&Seen<'_>) -> T,
) -> T {
    let spec = served.deployment.spec(model);
    look(&Seen {
        now: millis(now),
        evidence: &memory.evidence(model),
        // What the gateway was composed with is there, or the gateway is not.
        is_ready: &|version: Version| served.modelet(model, version).is_some(),
        sticky: spec.is_some_and(|spec| spec.traffic.sticky.is_some()),
    })
}

fn millis(since: Duration) -> Millis {
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
