//! What was seen of two versions while both answered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fallback::Trigger;
use crate::names::Version;
use crate::statistics::histogram::Histogram;
use crate::statistics::moments::Moments;

/// Mergeable: the sum of what all nodes saw is what one node would have seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evidence {
    /// By the canary's share at the time, in parts of [`crate::routing::WHOLE`].
    pub splits: BTreeMap<u32, Split>,
    pub latency: BTreeMap<Version, Histogram>,
    /// How far the canary's answers were from stable's on mirrored requests, between 0 and 1.
    pub disagreement: Moments,
    /// What came back later.
    pub rewards: BTreeMap<Version, Moments>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Split {
    pub stable: Counts,
    pub canary: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counts {
    pub requests: u64,
    /// Failures of the version itself.
    pub errors: u64,
    /// Answers that a guard kept back.
    pub invalid: u64,
}

/// One request that the weights sent to a version.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    pub version: Version,
    pub is_canary: bool,
    /// The canary's, in parts of [`crate::routing::WHOLE`].
    pub share: u32,
    pub failed: Option<Trigger>,
    pub time: Duration,
}

impl Evidence {
    pub fn record(&mut self, seen: Observation) {
        let split = self.splits.entry(seen.share).or_default();
        let counts = match seen.is_canary {
            true => &mut split.canary,
            false => &mut split.stable,
        };
        counts.requests += 1;
        match seen.failed {
            Some(Trigger::Guard) => counts.invalid += 1,
            Some(trigger) if trigger.counts_against_version() => counts.errors += 1,
            _ => {}
        }
        if seen.failed.is_none() {
            let latency = self.latency.entry(seen.version).or_default();
            latency.add(seen.time);
        }
    }

    pub fn merge(&mut self, other: &Evidence) {
        for (share, split) in &other.splits {
            let mine = self.splits.entry(*share).or_default();
            mine.stable.merge(&split.stable);
            mine.canary.merge(&split.canary);
        }
        for (version, latency) in &other.latency {
            self.latency.entry(*version).or_default().merge(latency);
        }
        self.disagreement.merge(&other.disagreement);
        for (version, rewards) in &other.rewards {
            self.rewards.entry(*version).or_default().merge(rewards);
        }
    }

    /// Over all splits: stable's counts and the canary's.
    pub fn totals(&self) -> (Counts, Counts) {
        let mut totals = (Counts::default(), Counts::default());
        for split in self.splits.values() {
            totals.0.merge(&split.stable);
            totals.1.merge(&split.canary);
        }
        totals
    }
}

impl Counts {
    fn merge(&mut self, other: &Counts) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.invalid += other.invalid;
    }
}
