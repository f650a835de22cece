//! Who answers when the version that was asked could not.
//!
//! A plan is the ordered list of the others. Only failures that another could do better at lead on:
//! what is wrong with a request is wrong everywhere. All attempts share the request's one deadline.

use std::fmt;
use std::time::Duration;

use crate::names::{ModelName, Version};

/// What may go wrong with an attempt that is not the caller's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The instance died.
    Trap,
    /// An operator refused the values.
    Failed,
    /// The version's own time was over.
    Deadline,
    Memory,
    /// All places to run and to wait were taken.
    Overload,
    /// The breaker kept the request away.
    Breaker,
    /// The version or model is not loaded.
    Load,
    /// The answer was not one that may be given.
    Guard,
}

impl Trigger {
    pub const ALL: [Trigger; 8] = [
        Trigger::Trap,
        Trigger::Failed,
        Trigger::Deadline,
        Trigger::Memory,
        Trigger::Overload,
        Trigger::Breaker,
        Trigger::Load,
        Trigger::Guard,
    ];

    /// As it stands in `model.toml`, in headers and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Trigger::Trap => "trap",
            Trigger::Failed => "failed",
            Trigger::Deadline => "deadline",
            Trigger::Memory => "memory",
            Trigger::Overload => "overload",
            Trigger::Breaker => "breaker",
            Trigger::Load => "load",
            Trigger::Guard => "guard",
        }
    }

    /// Whether it speaks against the version itself, so that its breaker counts it. A full queue
    /// does not, and a breaker does not count itself.
    pub fn counts_against_version(self) -> bool {
        !matches!(self, Trigger::Overload | Trigger::Breaker | Trigger::Load)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Somebody else who may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Another version of the same model.
    Version(Version),
    /// Another model; without a version, the one that it chooses for itself.
    Model {
        name: ModelName,
        version: Option<Version>,
    },
    /// These outputs, as the protocol's JSON has them: a list of tensors.
    Static(String),
}

/// The others, in order, and what leads to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    pub chain: Vec<Target>,
    pub on: Vec<Trigger>,
}

impl Default for Fallback {
    fn default() -> Fallback {
        Fallback {
            chain: Vec::new(),
            on: Trigger::ALL.to_vec(),
        }
    }
}

/// The attempts that are left to one request.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    left: std::slice::Iter<'a, Target>,
    on: &'a [Trigger],
    asked: Option<Version>,
    begun: bool,
}

impl Fallback {
    /// What follows when `asked` of the model itself could not answer, or when nobody could be asked.
    pub fn plan(&self, asked: Option<Version>) -> Plan<'_> {
        Plan {
            left: self.chain.iter(),
            on: &self.on,
            asked,
            begun: false,
        }
    }
}

impl<'a> Plan<'a> {
    /// Whether there is anybody left.
    pub fn has_more(&self) -> bool {
        self.left
            .clone()
            .any(|target| !is_asked(target, self.asked))
    }

    /// The next attempt after one that ended with `trigger`, if there is time. The trigger decides
    /// whether the version that was asked is given up; from then on the chain is followed to its
    /// end. A version that failed already is not asked again.
    pub fn next(&mut self, trigger: Trigger, time_left: Duration) -> Option<&'a Target> {
        if time_left.is_zero() || !(self.begun || self.on.contains(&trigger)) {
            return None;
        }
        self.begun = true;
        let asked = self.asked;
        self.left.find(|target| !is_asked(target, asked))
    }
}

fn is_asked(target: &Target, asked: Option<Version>) -> bool {
    matches!((target, asked), (Target::Version(version), Some(asked)) if *version == asked)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn version(number: u64) -> Version {
        Version::try_from(number).unwrap()
    }

    fn fallback(on: &[Trigger]) -> Fallback {
        Fallback {
            chain: vec![
                Target::Version(version(2)),
                Target::Version(version(1)),
                Target::Static("[]".to_owned()),
            ],
            on: on.to_vec(),
        }
    }

    #[test]
    fn the_chain_is_followed_without_the_version_that_failed() {
        let fallback = fallback(&Trigger::ALL);
        let mut plan = fallback.plan(Some(version(2)));
        let first = plan.next(Trigger::Trap, SECOND);
        assert_eq!(first, Some(&Target::Version(version(1))));
        assert!(plan.has_more());
        let second = plan.next(Trigger::Load, SECOND);
        assert_eq!(second, Some(&Target::Static("[]".to_owned())));
        assert!(!plan.has_more());
        assert_eq!(plan.next(Trigger::Trap, SECOND), None);
    }

    #[test]
    fn neither_another_reason_nor_a_deadline_leads_on() {
        let fallback = fallback(&[Trigger::Guard]);
        let mut plan = fallback.plan(None);
        assert_eq!(plan.next(Trigger::Trap, SECOND), None);
        assert_eq!(plan.next(Trigger::Guard, Duration::ZERO), None);
        assert!(plan.next(Trigger::Guard, SECOND).is_some());
    }

    #[test]
    fn once_begun_the_chain_is_followed_for_any_reason() {
        let fallback = fallback(&[Trigger::Trap]);
        let mut plan = fallback.plan(None);
        assert!(plan.next(Trigger::Trap, SECOND).is_some());
        assert!(plan.next(Trigger::Load, SECOND).is_some());
        assert_eq!(plan.next(Trigger::Load, Duration::ZERO), None);
    }

    proptest! {
        #[test]
        fn every_plan_ends(triggers in prop::collection::vec(0_usize..8, 0..20)) {
            let fallback = fallback(&Trigger::ALL);
            let mut plan = fallback.plan(Some(version(1)));
            let taken = triggers.iter().map_while(|&index| plan.next(Trigger::ALL[index], SECOND));
            prop_assert!(taken.count() <= 2);
        }
    }
}
