//! Who answers when the version that was asked could not.
//!
//! A plan is the ordered list of the others. Only failures that another could do better at lead on:
//! what is wrong with a request is wrong everywhere. All attempts share the request's one deadline.

use std::fmt;
use std::time::Duration;

use crate::names::{Labels, ModelName, Version, Which};
use crate::retry::Retry;

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
    /// Another server was not reached, or did not answer as it should.
    Remote,
    /// It took longer than usual, and another was quicker.
    Slow,
}

impl Trigger {
    pub const ALL: [Trigger; 10] = [
        Trigger::Trap,
        Trigger::Failed,
        Trigger::Deadline,
        Trigger::Memory,
        Trigger::Overload,
        Trigger::Breaker,
        Trigger::Load,
        Trigger::Guard,
        Trigger::Remote,
        Trigger::Slow,
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
            Trigger::Remote => "remote",
            Trigger::Slow => "slow",
        }
    }

    /// Whether it speaks against the version itself, so that its breaker counts it. A full queue
    /// does not, and a breaker does not count itself.
    pub fn counts_against_version(self) -> bool {
        !matches!(
            self,
            Trigger::Overload | Trigger::Breaker | Trigger::Load | Trigger::Slow
        )
    }

    /// Whether the same target may do better a moment later. A model's answer depends on nothing but
    /// its inputs, so one that failed would fail again.
    pub fn may_pass(self) -> bool {
        matches!(self, Trigger::Overload | Trigger::Remote)
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
    Version(Which),
    /// Another model; without a version, the one that it chooses for itself.
    Model {
        name: ModelName,
        version: Option<Version>,
    },
    /// Another server of the same protocol.
    Remote(Remote),
    /// These outputs, as the protocol's JSON has them: a list of tensors.
    Static(String),
}

impl Target {
    /// As it stands in metrics; `own` is the model whose plan it is in.
    pub fn name(&self, own: &ModelName) -> String {
        match self {
            Target::Version(which) => format!("{own}/{which}"),
            Target::Model {
                name,
                version: Some(version),
            } => format!("{name}/{version}"),
            Target::Model { name, .. } => name.to_string(),
            Target::Remote(remote) => remote.url.clone(),
            Target::Static(_) => "static".to_owned(),
        }
    }
}

/// A model on another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Of the server, such as `https://models.example.com`; without a slash at its end.
    pub url: String,
    /// `None`: of the same name as here.
    pub model: Option<ModelName>,
    pub version: Option<Version>,
    /// For one try.
    pub timeout: Duration,
}

/// The others, in order, and what leads to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Fallback {
    pub chain: Vec<Target>,
    pub on: Vec<Trigger>,
    pub retry: Retry,
    /// After this quantile of the latest times of the version that was asked, the next in the chain
    /// is asked too, and the first answer is given. `None`: never.
    pub hedge: Option<f64>,
}

impl Default for Fallback {
    fn default() -> Fallback {
        Fallback {
            chain: Vec::new(),
            on: Trigger::ALL.to_vec(),
            retry: Retry::default(),
            hedge: None,
        }
    }
}

/// The attempts that are left to one request.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    left: &'a [Target],
    on: &'a [Trigger],
    labels: &'a Labels,
    asked: Option<Version>,
    forwarded: bool,
    begun: bool,
}

impl Fallback {
    /// What follows when `asked` of the model itself could not answer, or when nobody could be asked.
    /// A request that another server has `forwarded` stays here: two servers that fall back to each
    /// other would send it around until its deadline.
    pub fn plan<'a>(
        &'a self,
        labels: &'a Labels,
        asked: Option<Version>,
        forwarded: bool,
    ) -> Plan<'a> {
        Plan {
            left: &self.chain,
            on: &self.on,
            labels,
            asked,
            forwarded,
            begun: false,
        }
    }
}

impl<'a> Plan<'a> {
    /// Whether there is anybody left.
    pub fn has_more(&self) -> bool {
        self.left.iter().any(|target| self.may_ask(target))
    }

    /// The next attempt after one that ended with `trigger`, if there is time. The trigger decides
    /// whether the version that was asked is given up; from then on the chain is followed to its
    /// end. A version that failed already is not asked again.
    pub fn next(&mut self, trigger: Trigger, time_left: Duration) -> Option<&'a Target> {
        if time_left.is_zero() || !(self.begun || self.on.contains(&trigger)) {
            return None;
        }
        self.begun = true;
        let at = self.left.iter().position(|target| self.may_ask(target))?;
        let (passed, left) = self.left.split_at(at + 1);
        self.left = left;
        passed.last()
    }

    fn may_ask(&self, target: &Target) -> bool {
        match target {
            Target::Version(which) => {
                self.asked.is_none() || which.version(self.labels) != self.asked
            }
            Target::Remote(_) => !self.forwarded,
            Target::Model { .. } | Target::Static(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn version(number: u64) -> Version {
        Version::try_from(number).unwrap()
    }

    fn target(number: u64) -> Target {
        Target::Version(Which::Version(version(number)))
    }

    fn fallback(on: &[Trigger]) -> Fallback {
        Fallback {
            chain: vec![target(2), target(1), Target::Static("[]".to_owned())],
            on: on.to_vec(),
            ..Fallback::default()
        }
    }

    #[test]
    fn the_chain_is_followed_without_the_version_that_failed() {
        let (fallback, labels) = (fallback(&Trigger::ALL), Labels::new());
        let mut plan = fallback.plan(&labels, Some(version(2)), false);
        assert_eq!(plan.next(Trigger::Trap, SECOND), Some(&target(1)));
        assert!(plan.has_more());
        let second = plan.next(Trigger::Load, SECOND);
        assert_eq!(second, Some(&Target::Static("[]".to_owned())));
        assert!(!plan.has_more());
        assert_eq!(plan.next(Trigger::Trap, SECOND), None);
    }

    #[test]
    fn neither_another_reason_nor_a_deadline_leads_on() {
        let (fallback, labels) = (fallback(&[Trigger::Guard]), Labels::new());
        let mut plan = fallback.plan(&labels, None, false);
        assert_eq!(plan.next(Trigger::Trap, SECOND), None);
        assert_eq!(plan.next(Trigger::Guard, Duration::ZERO), None);
        assert!(plan.next(Trigger::Guard, SECOND).is_some());
    }

    #[test]
    fn once_begun_the_chain_is_followed_for_any_reason() {
        let (fallback, labels) = (fallback(&[Trigger::Trap]), Labels::new());
        let mut plan = fallback.plan(&labels, None, false);
        assert!(plan.next(Trigger::Trap, SECOND).is_some());
        assert!(plan.next(Trigger::Load, SECOND).is_some());
        assert_eq!(plan.next(Trigger::Load, Duration::ZERO), None);
    }

    #[test]
    fn a_label_stands_for_the_version_that_it_has_now() {
        let stable = Target::Version(Which::Label("stable".to_owned()));
        let fallback = Fallback {
            chain: vec![stable],
            ..Fallback::default()
        };
        let mut labels = Labels::new();
        let more = |labels: &Labels| fallback.plan(labels, Some(version(1)), false).has_more();
        assert!(more(&labels));
        labels.insert("stable".to_owned(), version(1));
        assert!(!more(&labels));
        labels.insert("stable".to_owned(), version(2));
        assert!(more(&labels));
    }

    #[test]
    fn a_request_that_was_forwarded_is_not_forwarded_again() {
        let fallback = Fallback {
            chain: vec![Target::Remote(Remote {
                url: "http://other".to_owned(),
                model: None,
                version: None,
                timeout: SECOND,
            })],
            ..Fallback::default()
        };
        let labels = Labels::new();
        assert!(fallback.plan(&labels, None, false).has_more());
        assert!(!fallback.plan(&labels, None, true).has_more());
    }

    proptest! {
        #[test]
        fn every_plan_ends(triggers in prop::collection::vec(0_usize..10, 0..20)) {
            let (fallback, labels) = (fallback(&Trigger::ALL), Labels::new());
            let mut plan = fallback.plan(&labels, Some(version(1)), false);
            let taken = triggers.iter().map_while(|&index| plan.next(Trigger::ALL[index], SECOND));
            prop_assert!(taken.count() <= 2);
        }
    }
}
