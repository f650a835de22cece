//! Lets what instances keep of a rollout go on, and requests follow it.

use std::time::Duration;

use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::kept::{Kept, Present};
use modelet_policy::rollout::{Millis, Seen};

use crate::application::Served;
use crate::inference::Instance;
use crate::memory::Memory;

/// After what all have kept of this model was read: brings this instance's versions in, lets time and
/// evidence do their work, and requests follow the result. Returns what happened, which is then to be
/// written; a look after which only more has been measured is written with what is seen next.
pub fn follow(instance: &mut Instance, model: &ModelName, now: Duration) -> Vec<String> {
    let Instance { served, memory } = instance;
    if served.strategy(model).is_none() {
        return Vec::new();
    }
    let known = memory.rollout(model).cloned();
    let number = memory.number();
    let Some(mut kept) =
        arrive(served, model, known.as_ref(), number, now).or_else(|| known.clone())
    else {
        return Vec::new();
    };
    memory.set_rollout(model, kept.clone());
    if kept.suits(|version| served.modelet(model, version).is_some()) {
        with_seen(served, memory, model, now, |seen| {
            kept.advance(seen, number)
        });
    }
    served.follow(model, &kept);
    let before = known.as_ref().map_or(0, Kept::revision);
    let happened = kept.history().filter(|entry| entry.revision > before);
    let happened = happened.map(|entry| entry.what.clone()).collect();
    memory.set_rollout(model, kept);
    happened
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
