//! What became of a version's calls, for hosts that do not live long enough to keep a breaker.
//!
//! Many hosts may write such records at the same time, without seeing each other's. Two records of one
//! version are merged into what both know; in whatever order and how often that happens, the result is
//! the same. The breaker is no part of the record: it is worked out, by taking the calls one after the
//! other.
//!
//! A call may be written down before it is made, as pending. One that stays so has taken its host with
//! it, which nobody could have written afterwards, and counts as failed.
//!
//! Times are durations since an arbitrary beginning that is the same for all who write.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Breaker, Limits};

/// Calls that are remembered: enough for the longest window of a breaker and for a day of trials
/// that fail.
const LIMIT: usize = 256;

/// Hosts' clocks may differ by this much. What lies further in the future was written by a wrong one.
const SKEW: Duration = Duration::from_secs(60);

/// How a call ended. Of two accounts of one call the greater is the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    Pending,
    /// It says nothing of the version.
    Forgotten,
    Well,
    Badly,
}

/// A call: when it began, and a number that no other call of that moment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub began: Duration,
    pub number: u32,
}

/// How to judge a version's calls.
#[derive(Clone, Debug)]
pub struct Judge {
    pub limits: Limits,
    pub seed: u64,
    /// A call that is pending for longer has failed.
    pub timeout: Duration,
}

/// What is known of the latest calls of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Record", into = "Record")]
pub struct Outcomes {
    /// Whether it has ever answered.
    proven: bool,
    /// Calls up to here are forgotten: after them nothing spoke against the version.
    cleared: Duration,
    calls: BTreeMap<Call, End>,
}

/// As it is written: times in microseconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    proven: bool,
    cleared: u64,
    calls: Vec<(u64, u32, End)>,
}

impl Outcomes {
    /// Takes in what another record knows.
    pub fn merge(&mut self, other: &Outcomes) {
        self.proven |= other.proven;
        self.cleared = self.cleared.max(other.cleared);
        for (&call, &end) in &other.calls {
            self.set(call, end);
        }
        self.trim();
    }

    /// The breaker as these calls have left it.
    pub fn breaker(&self, judge: &Judge, now: Duration) -> Breaker {
        let mut breaker = Breaker::new(judge.limits.clone(), judge.seed);
        let limit = now.saturating_add(SKEW);
        for (call, end) in &self.calls {
            if call.began > limit || !breaker.begin(call.began) {
                continue;
            }
            let over = call.began.saturating_add(judge.timeout);
            match end {
                End::Pending if now < over => {}
                End::Pending => breaker.end(over, true),
                End::Forgotten => breaker.forget(),
                End::Well | End::Badly => breaker.end(call.began, *end == End::Badly),
            }
        }
        breaker
    }

    /// Whether a call is to be written down before it is made: the version has not answered yet, or
    /// something speaks against it.
    pub fn is_doubtful(&self, judge: &Judge, now: Duration) -> bool {
        !self.proven || !self.breaker(judge, now).is_quiet()
    }

    /// Writes a call down that is about to be made.
    pub fn begin(&mut self, call: Call) {
        self.set(call, End::Pending);
        self.trim();
    }

    /// Takes what became of a call. Whether that is worth being written.
    pub fn end(&mut self, call: Call, end: End, judge: &Judge, now: Duration) -> bool {
        let was_doubtful = self.is_doubtful(judge, now);
        self.proven |= end == End::Well;
        let is_written = self.calls.contains_key(&call);
        if !was_doubtful && !is_written && end != End::Badly {
            return false;
        }
        self.set(call, end);
        if end == End::Well && self.breaker(judge, now).is_quiet() {
            self.cleared = self.cleared.max(call.began);
        }
        self.trim();
        true
    }

    fn set(&mut self, call: Call, end: End) {
        let known = self.calls.entry(call).or_insert(end);
        *known = end.max(*known);
    }

    fn trim(&mut self) {
        let cleared = self.cleared;
        self.calls.retain(|call, _| call.began > cleared);
        while self.calls.len() > LIMIT {
            self.calls.pop_first();
        }
    }
}

impl From<Record> for Outcomes {
    fn from(record: Record) -> Outcomes {
        let calls = record.calls.into_iter().map(|(began, number, end)| {
            let began = Duration::from_micros(began);
            (Call { began, number }, end)
        });
        let mut outcomes = Outcomes {
            proven: record.proven,
            cleared: Duration::from_micros(record.cleared),
            calls: BTreeMap::new(),
        };
        outcomes.calls.extend(calls);
        outcomes.trim();
        outcomes
    }
}

impl From<Outcomes> for Record {
    fn from(outcomes: Outcomes) -> Record {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let calls = outcomes.calls.iter();
        Record {
            proven: outcomes.proven,
            cleared: micros(outcomes.cleared),
            calls: calls
                .map(|(call, end)| (micros(call.began), call.number, *end))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::breaker::State;

    const SECOND: Duration = Duration::from_secs(1);

    fn judge() -> Judge {
        Judge {
            limits: Limits::default(),
            seed: 7,
            timeout: 10 * SECOND,
        }
    }

    fn call(second: u32) -> Call {
        Call {
            began: second * SECOND,
            number: 0,
        }
    }

    /// Calls at these seconds that ended in these ways.
    fn outcomes(ends: &[(u32, End)]) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for &(second, end) in ends {
            outcomes.end(call(second), end, &judge(), second * SECOND);
        }
        outcomes
    }

    #[test]
    fn failures_that_two_hosts_saw_open_the_breaker_together() {
        let one = outcomes(&[(1, End::Badly), (3, End::Badly), (5, End::Badly)]);
        let mut other = outcomes(&[(2, End::Badly), (4, End::Badly)]);
        let now = 6 * SECOND;
        let is_closed =
            |outcomes: &Outcomes| outcomes.breaker(&judge(), now).state() == State::Closed;
        assert!(is_closed(&one) && is_closed(&other));
        other.merge(&one);
        assert!(!is_closed(&other));
    }

    #[test]
    fn calls_that_go_well_are_not_written_once_it_has_answered() {
        let mut outcomes = Outcomes::default();
        assert!(outcomes.is_doubtful(&judge(), SECOND));
        assert!(outcomes.end(call(1), End::Well, &judge(), SECOND));
        assert!(!outcomes.is_doubtful(&judge(), SECOND));
        assert!(!outcomes.end(call(2), End::Well, &judge(), 2 * SECOND));
        assert!(!outcomes.end(call(3), End::Forgotten, &judge(), 3 * SECOND));
        assert!(outcomes.end(call(4), End::Badly, &judge(), 4 * SECOND));
        assert!(outcomes.end(call(5), End::Well, &judge(), 5 * SECOND));
        assert!(outcomes.calls.is_empty(), "{outcomes:?}");
    }

    #[test]
    fn calls_that_took_their_host_with_them_count_as_failed() {
        let mut outcomes = Outcomes::default();
        for second in 1..6 {
            outcomes.begin(call(second));
        }
        let state = |now| outcomes.breaker(&judge(), now).state();
        assert_eq!(state(10 * SECOND), State::Closed);
        assert!(matches!(state(15 * SECOND), State::Open { .. }));
    }

    #[test]
    fn trials_that_go_well_forget_what_was_before() {
        let mut outcomes = outcomes(&[1, 2, 3, 4, 5].map(|second| (second, End::Badly)));
        let old = outcomes.clone();
        for second in 20..23 {
            assert!(outcomes.is_doubtful(&judge(), second * SECOND));
            outcomes.end(call(second), End::Well, &judge(), second * SECOND);
        }
        // A host that slept through it writes what it knows.
        outcomes.merge(&old);
        let breaker = outcomes.breaker(&judge(), 30 * SECOND);
        assert!(breaker.is_quiet(), "{outcomes:?}");
    }

    #[test]
    fn a_clock_that_is_ahead_closes_no_door() {
        let far = [1000, 1001, 1002, 1003, 1004].map(|second| (second, End::Badly));
        let outcomes = outcomes(&far);
        assert!(outcomes.breaker(&judge(), SECOND).is_quiet());
    }

    fn arbitrary() -> impl Strategy<Value = Outcomes> {
        let end = prop_oneof![
            Just(End::Pending),
            Just(End::Forgotten),
            Just(End::Well),
            Just(End::Badly)
        ];
        let calls = prop::collection::vec((0_u64..500, 0_u32..3, end), 0..300);
        (any::<bool>(), 0_u64..100, calls).prop_map(|(proven, cleared, calls)| {
            Outcomes::from(Record {
                proven,
                cleared,
                calls,
            })
        })
    }

    fn merged(records: &[&Outcomes]) -> Outcomes {
        let mut all = Outcomes::default();
        for record in records {
            all.merge(record);
        }
        all
    }

    proptest! {
        #[test]
        fn the_order_and_number_of_merges_change_nothing(
            a in arbitrary(), b in arbitrary(), c in arbitrary(),
        ) {
            let all = merged(&[&a, &b, &c]);
            prop_assert_eq!(&all, &merged(&[&c, &b, &a, &b, &c]));
            prop_assert_eq!(&all, &merged(&[&a, &merged(&[&b, &c])]));
            prop_assert!(all.calls.len() <= LIMIT);
        }

        #[test]
        fn what_is_written_is_read(outcomes in arbitrary()) {
            let json = serde_json::to_string(&outcomes).unwrap();
            prop_assert_eq!(serde_json::from_str::<Outcomes>(&json).unwrap(), outcomes);
        }

        #[test]
        fn one_host_decides_as_a_breaker_that_lives(
            events in prop::collection::vec((1_u64..4_000, any::<bool>()), 0..200),
        ) {
            let mut now = Duration::from_secs(100);
            let mut breaker = Breaker::new(judge().limits, judge().seed);
            let mut outcomes = Outcomes::default();
            for (wait, failed) in events {
                now += Duration::from_millis(wait);
                let begins = breaker.begin(now);
                prop_assert_eq!(outcomes.breaker(&judge(), now).is_willing(now), begins);
                if begins {
                    breaker.end(now, failed);
                    let call = Call { began: now, number: 0 };
                    let end = if failed { End::Badly } else { End::Well };
                    outcomes.end(call, end, &judge(), now);
                }
            }
        }
    }
}
