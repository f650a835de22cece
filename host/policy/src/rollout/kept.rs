//! A rollout that many hosts carry on together which share nothing but what they keep.
//!
//! A host reads what all have kept, merges it, lets time and evidence do their work, and keeps the
//! result in its turn. Of two accounts of a rollout the later one holds, so that in whatever order and
//! how often they are merged, the result is the same. Two hosts that go on at the same time from the
//! same account may both be right; one of them is then forgotten. Who gave a rollout up is not: that
//! outlasts whatever others did meanwhile, until somebody says otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::evidence::{Counts, Evidence};
use super::strategy::Strategy;
use super::{Millis, Phase, Refused, Rollout, Seen};
use crate::names::Version;

/// What happened last; what was before is forgotten.
const HISTORY: usize = 32;

/// Who did what nobody asked for.
const NOBODY: &str = "modelet";

/// A rollout, as one of many hosts knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Grows whenever somebody says something: by a verb, or by bringing a version.
    generation: u64,
    /// Grows with everything that happens.
    revision: u64,
    /// Grows with every look at the evidence after which something is different.
    looks: u64,
    /// Whose account it is: a number that no other host has.
    host: u64,
    rollout: Rollout,
    /// The artifacts that were rolled out, whatever became of it.
    tried: BTreeMap<Version, String>,
    /// The newest last.
    history: Vec<Entry>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub revision: u64,
    pub at: Millis,
    pub who: String,
    pub what: String,
    /// What was counted until then.
    pub stable: Counts,
    pub canary: Counts,
}

/// What a host has of a model.
pub struct Present<'a> {
    /// The artifact of each version, by something that no other artifact has.
    pub artifacts: &'a BTreeMap<Version, String>,
    /// The version that answers where there was no rollout yet.
    pub default: Version,
    pub strategy: &'a Strategy,
    /// A number that no other host has.
    pub host: u64,
}

impl Kept {
    /// What is to be kept from now on, where a host with these versions changes something. Its highest
    /// version, if it was never tried, is rolled out. Versions that there are from the beginning are not,
    /// up to the default.
    pub fn arrive(kept: Option<&Kept>, present: &Present<'_>, now: Millis) -> Option<Kept> {
        let kept = kept.filter(|kept| present.artifacts.contains_key(&kept.rollout.stable));
        let Some(kept) = kept else {
            let first = Kept::first(present, now);
            return Some(Kept::arrive(Some(&first), present, now).unwrap_or(first));
        };
        let (&canary, artifact) = present.artifacts.last_key_value()?;
        let stable = kept.rollout.stable;
        if canary <= stable || kept.tried.get(&canary) == Some(artifact) {
            return None;
        }
        let mut next = kept.clone();
        next.generation += 1;
        next.host = present.host;
        let id = format!("{stable}-{canary}-{}", next.generation);
        let strategy = present.strategy.clone();
        next.rollout = Rollout::start(id, strategy, stable, canary, now);
        next.rollout.previous = kept.rollout.previous;
        next.tried.insert(canary, artifact.clone());
        let strategy = next.rollout.strategy.name.word();
        let said = format!("started {strategy} from version {stable} to {canary}");
        next.note(NOBODY, said, now, &Evidence::default());
        Some(next)
    }

    fn first(present: &Present<'_>, now: Millis) -> Kept {
        let stable = present.default;
        let id = format!("{stable}");
        let rollout = Rollout::first(id, present.strategy.clone(), stable, now);
        let said = rollout.message.clone();
        let mut kept = Kept {
            generation: 0,
            revision: 0,
            looks: 0,
            host: present.host,
            rollout,
            tried: BTreeMap::new(),
            history: Vec::new(),
        };
        kept.note(NOBODY, said, now, &Evidence::default());
        kept
    }

    /// Takes in another account.
    pub fn merge(&mut self, other: Kept) {
        if other.is_later(self) {
            *self = other;
        }
    }

    fn is_later(&self, than: &Kept) -> bool {
        let rank = |kept: &Kept| {
            let given_up = kept.rollout.phase == Phase::Degraded;
            // Hosts that did the same thing differently at the same time are told apart somehow.
            (
                kept.generation,
                given_up,
                kept.revision,
                kept.looks,
                kept.host,
            )
        };
        rank(self) > rank(than)
    }

    pub fn rollout(&self) -> &Rollout {
        &self.rollout
    }

    /// Whether a host that has these versions can follow it.
    pub fn suits(&self, has: impl FnMut(Version) -> bool) -> bool {
        self.rollout.needs().into_iter().all(has)
    }

    /// Another one after everything that happened.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What happened last, the newest first.
    pub fn history(&self) -> impl Iterator<Item = &Entry> {
        self.history.iter().rev()
    }

    /// Goes as far as time and evidence allow, on the host with this number. Whether anything is different
    /// then.
    pub fn advance(&mut self, seen: &Seen<'_>, host: u64) -> bool {
        let before = self.rollout.clone();
        let said = self.rollout.tick(seen);
        if !said.is_empty() {
            self.note(NOBODY, said.join("; "), seen.now, seen.evidence);
        } else if self.rollout != before {
            self.looks += 1;
        }
        let is_different = self.rollout != before;
        if is_different {
            self.host = host;
        }
        is_different
    }

    /// Does what somebody asks, whose name is `who`, on the host with this number.
    pub fn change(
        &mut self,
        who: &str,
        seen: &Seen<'_>,
        host: u64,
        verb: impl FnOnce(&mut Rollout) -> Result<Vec<String>, Refused>,
    ) -> Result<(), Refused> {
        let said = verb(&mut self.rollout)?;
        self.generation += 1;
        self.host = host;
        self.note(who, said.join("; "), seen.now, seen.evidence);
        Ok(())
    }

    /// The name of the rollout that a retry begins.
    pub fn next_id(&self) -> String {
        let (stable, canary) = (self.rollout.stable, self.rollout.canary);
        format!("{stable}-{canary}-{}", self.generation + 1)
    }

    fn note(&mut self, who: &str, what: String, at: Millis, evidence: &Evidence) {
        let (stable, canary) = evidence.totals();
        self.revision += 1;
        self.looks = 0;
        self.history.push(Entry {
            revision: self.revision,
            at,
            who: who.to_owned(),
            what,
            stable,
            canary,
        });
        let old = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..old);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::strategy::{self, Strategy};
    use super::*;

    fn version(number: u64) -> Version {
        Version::try_from(number).unwrap()
    }

    fn strategy() -> Strategy {
        let steps = json!([{"setWeight": 10}, {"pause": {"duration": "10s"}}, {"setWeight": 50}, {"pause": {}}]);
        let typed = json!({"canary": {"steps": steps}});
        let mut errors = Vec::new();
        let read = strategy::read(serde_json::from_value(typed).unwrap(), &mut errors);
        assert!(errors.is_empty(), "{errors:?}");
        read.unwrap()
    }

    fn artifacts(of: &[(u64, &str)]) -> BTreeMap<Version, String> {
        let pair = |(number, artifact): &(u64, &str)| (version(*number), (*artifact).to_owned());
        of.iter().map(pair).collect()
    }

    /// What is kept after a host came that has these versions.
    fn arrive(kept: Option<Kept>, of: &[(u64, &str)], now: Millis) -> Kept {
        let artifacts = artifacts(of);
        let present = Present {
            default: *artifacts.last_key_value().unwrap().0,
            artifacts: &artifacts,
            strategy: &strategy(),
            host: now,
        };
        let next = Kept::arrive(kept.as_ref(), &present, now);
        next.or(kept).unwrap()
    }

    fn seen(now: Millis, evidence: &Evidence) -> Seen<'_> {
        Seen {
            now,
            evidence,
            is_ready: &|_| true,
            sticky: false,
        }
    }

    fn advanced(kept: &Kept, now: Millis, host: u64) -> Kept {
        let mut kept = kept.clone();
        kept.advance(&seen(now, &Evidence::default()), host);
        kept
    }

    fn aborted(kept: &Kept, host: u64) -> Kept {
        let mut kept = kept.clone();
        let evidence = Evidence::default();
        let changed = kept.change("anna", &seen(0, &evidence), host, Rollout::abort);
        changed.unwrap();
        kept
    }

    #[test]
    fn a_version_that_comes_later_is_rolled_out_and_those_of_the_beginning_are_not() {
        let first = arrive(None, &[(1, "a"), (2, "b")], 0);
        let rollout = first.rollout();
        assert_eq!(
            (rollout.stable.number(), rollout.phase),
            (2, Phase::Healthy)
        );
        let again = arrive(Some(first.clone()), &[(1, "a"), (2, "b")], 5);
        assert_eq!(again, first);
        let third = arrive(Some(first.clone()), &[(2, "b"), (3, "c")], 5);
        let rollout = third.rollout();
        assert_eq!(rollout.phase, Phase::Progressing);
        assert_eq!((rollout.stable.number(), rollout.canary.number()), (2, 3));
        // Hosts that have not been replaced yet change nothing, nor does coming twice.
        assert_eq!(arrive(Some(third.clone()), &[(1, "a"), (2, "b")], 6), third);
        assert_eq!(arrive(Some(third.clone()), &[(2, "b"), (3, "c")], 6), third);
        let fourth = arrive(Some(third), &[(2, "b"), (4, "d")], 7);
        let rollout = fourth.rollout();
        assert_eq!((rollout.stable.number(), rollout.canary.number()), (2, 4));
    }

    #[test]
    fn what_was_given_up_is_not_tried_again_unless_it_is_another_artifact() {
        let both = [(1, "a"), (2, "b")];
        let begun = arrive(Some(arrive(None, &both[..1], 0)), &both, 1);
        let given_up = aborted(&begun, 0);
        assert_eq!(arrive(Some(given_up.clone()), &both, 2), given_up);
        let mended = arrive(Some(given_up), &[(1, "a"), (2, "mended")], 3);
        assert_eq!(mended.rollout().phase, Phase::Progressing);
        assert_ne!(mended.rollout().id, begun.rollout().id);
    }

    #[test]
    fn a_stable_version_that_is_gone_is_followed_by_the_default() {
        let first = arrive(None, &[(1, "a")], 0);
        let next = arrive(Some(first), &[(2, "b")], 1);
        let rollout = next.rollout();
        assert_eq!(
            (rollout.stable.number(), rollout.phase),
            (2, Phase::Healthy)
        );
    }

    #[test]
    fn a_default_below_the_highest_version_is_where_a_rollout_begins() {
        let artifacts = artifacts(&[(1, "a"), (2, "b")]);
        let present = Present {
            artifacts: &artifacts,
            default: version(1),
            strategy: &strategy(),
            host: 0,
        };
        let kept = Kept::arrive(None, &present, 0).unwrap();
        let rollout = kept.rollout();
        assert_eq!(rollout.phase, Phase::Progressing);
        assert_eq!((rollout.stable.number(), rollout.canary.number()), (1, 2));
        let said: Vec<&str> = kept.history().map(|entry| &*entry.what).collect();
        assert_eq!(
            said,
            ["started canary from version 1 to 2", "version 1 is stable"]
        );
    }

    #[test]
    fn who_gave_up_outlasts_those_who_went_on() {
        let begun = arrive(Some(arrive(None, &[(1, "a")], 0)), &[(1, "a"), (2, "b")], 1);
        let mut given_up = begun.clone();
        given_up.rollout.phase = Phase::Degraded;
        given_up.revision += 1;
        let ahead = advanced(&advanced(&begun, 2, 0), 20_000, 0);
        assert!(ahead.revision > given_up.revision);
        let mut merged = ahead.clone();
        merged.merge(given_up.clone());
        assert_eq!(merged, given_up);
        // Until somebody says otherwise.
        let evidence = Evidence::default();
        let id = given_up.next_id();
        let mut again = given_up.clone();
        let seen = seen(30_000, &evidence);
        let retried = again.change("anna", &seen, 0, |rollout| rollout.retry(id, &seen));
        retried.unwrap();
        merged.merge(again.clone());
        merged.merge(given_up);
        assert_eq!(merged, again);
    }

    #[test]
    fn the_history_has_an_end() {
        let mut kept = arrive(None, &[(1, "a")], 0);
        for number in 2..100 {
            kept = arrive(Some(kept), &[(1, "a"), (number, "b")], number);
        }
        assert_eq!(kept.history().count(), HISTORY);
        assert_eq!(kept.history().next().unwrap().revision, kept.revision());
    }

    /// A rollout on which hosts did some of what they can do, in this order.
    fn accounts(events: &[u8]) -> Vec<Kept> {
        let mut all = vec![arrive(
            Some(arrive(None, &[(1, "a")], 0)),
            &[(1, "a"), (2, "b")],
            1,
        )];
        // Each on a host of its own.
        for (host, event) in (2..).zip(events) {
            let from = &all[usize::from(*event) % all.len()];
            let next = match event % 3 {
                0 => advanced(from, host * 4_000, host),
                1 if from.rollout.is_active() => aborted(from, host),
                _ => arrive(Some(from.clone()), &[(1, "a"), (3, "c")], host),
            };
            all.push(next);
        }
        all
    }

    fn merged<'a>(all: impl Iterator<Item = &'a Kept>) -> Kept {
        let mut all = all.cloned();
        let mut merged = all.next().unwrap();
        all.for_each(|kept| merged.merge(kept));
        merged
    }

    proptest! {
        #[test]
        fn the_order_and_number_of_merges_change_nothing(events in prop::collection::vec(any::<u8>(), 0..20)) {
            let all = accounts(&events);
            let expected = merged(all.iter());
            prop_assert_eq!(&merged(all.iter().rev()), &expected);
            let (left, right) = all.split_at(all.len() / 2);
            let parts = [merged(all.iter()), merged(left.iter().chain(&all)), merged(right.iter())];
            prop_assert_eq!(&merged(parts.iter()), &expected);
        }

        #[test]
        fn what_is_written_is_read(events in prop::collection::vec(any::<u8>(), 0..10)) {
            let kept = merged(accounts(&events).iter());
            let json = serde_json::to_string(&kept).unwrap();
            prop_assert_eq!(serde_json::from_str::<Kept>(&json).unwrap(), kept);
        }
    }
}
