//! What was seen of a rollout, in parts of which each key of a model holds one.
//!
//! The parts are added up. What an instance has seen it adds to one of them; of two that do so at the
//! same moment one is forgotten, whichever version it is about, so that the shares stay what they are.

use std::collections::BTreeMap;
use std::time::Duration;

use modelet_policy::fallback::Trigger;
use modelet_policy::names::Version;
use modelet_policy::rollout::evidence::{Evidence, Observation};
use serde::{Deserialize, Serialize};

/// Calls that never ended: after fewer than these every analysis has its verdict.
const LOST: usize = 64;

/// Calls of a canary that may be noted at the same time.
pub const NOTES: u32 = 8;

/// What was seen of one rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Part {
    /// Its name; a part of another one says nothing of this.
    rollout: String,
    evidence: Evidence,
    /// Calls of the canary that took their host with them, with its share at the time. Whoever finds
    /// one may not be the only one, so that they are not counted but named.
    lost: BTreeMap<String, u32>,
}

/// A call of the canary that is under way. It is written where no other call is noted, if it can be, and
/// taken away when the call has ended: what stays has taken its host with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    pub rollout: String,
    pub share: u32,
    /// Microseconds since 1970.
    pub began: u64,
    pub number: u32,
}

impl Part {
    pub fn of(rollout: &str) -> Part {
        Part {
            rollout: rollout.to_owned(),
            ..Part::default()
        }
    }

    pub fn is_of(&self, rollout: &str) -> bool {
        self.rollout == rollout
    }

    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.evidence == Evidence::default()
    }

    pub fn record(&mut self, seen: Observation) {
        self.evidence.record(seen);
    }

    pub fn lose(&mut self, note: &Note) {
        if self.lost.len() < LOST {
            let name = format!("{}-{}", note.began, note.number);
            self.lost.insert(name, note.share);
        }
    }

    /// Adds another part of the same rollout; one of another is left out.
    pub fn add(&mut self, other: &Part) {
        if other.is_of(&self.rollout) {
            self.evidence.merge(&other.evidence);
            for (name, share) in &other.lost {
                if self.lost.len() < LOST {
                    self.lost.insert(name.clone(), *share);
                }
            }
        }
    }

    /// What policy looks at.
    pub fn evidence(&self, canary: Version) -> Evidence {
        let mut evidence = self.evidence.clone();
        for share in self.lost.values() {
            evidence.record(Observation {
                version: canary,
                is_canary: true,
                share: *share,
                failed: Some(Trigger::Trap),
                time: Duration::ZERO,
            });
        }
        evidence
    }
}

impl Note {
    /// Whether the call has not ended in the time that it had.
    pub fn is_lost(&self, timeout: Duration, now: Duration) -> bool {
        now > Duration::from_micros(self.began).saturating_add(timeout)
    }

    pub fn written(&self) -> Vec<u8> {
        // A string and numbers: there is nothing in it that could not be written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(number: u32) -> Note {
        Note {
            rollout: "1-2-1".to_owned(),
            share: 1000,
            began: 5_000_000,
            number,
        }
    }

    #[test]
    fn a_call_that_two_find_lost_is_one_failure() {
        let (mut one, mut other) = (Part::of("1-2-1"), Part::of("1-2-1"));
        one.lose(&note(1));
        other.lose(&note(1));
        other.lose(&note(2));
        one.add(&other);
        one.add(&Part::of("1-2-3"));
        let canary = Version::try_from(2).unwrap();
        let (_, canary) = one.evidence(canary).totals();
        assert_eq!((canary.requests, canary.errors), (2, 2));
    }

    #[test]
    fn a_call_is_lost_when_its_time_is_over() {
        let second = Duration::from_secs(1);
        assert!(!note(1).is_lost(second, 6 * second));
        assert!(note(1).is_lost(second, 6 * second + Duration::from_micros(1)));
        assert!(!note(1).is_lost(Duration::MAX, 100 * second));
    }
}
