//! Keeps requests away from a version that fails, and lets a few through to see whether it recovered.
//!
//! ```text
//!          too many failures            its time is over
//!  CLOSED ───────────────────▶ OPEN ───────────────────▶ HALF-OPEN
//!    ▲                          ▲                         │     │
//!    │                          └── a trial fails ────────┘     │
//!    └────────────────── all trials succeed ────────────────────┘
//! ```
//!
//! Times are durations since an arbitrary beginning that stays the same.

pub mod outcomes;

use std::time::Duration;

use crate::routing::hash;

/// When a breaker opens, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Failures in a row that open it.
    pub consecutive: u32,
    /// The share of failures among the latest [`Limits::of`] calls that opens it.
    pub rate: Option<f64>,
    /// At most 128.
    pub of: u32,
    /// How long it stays open at first; every time a trial fails, twice as long.
    pub open: Duration,
    pub open_limit: Duration,
    /// Calls that are let through when it is half-open, all of which must succeed.
    pub trials: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            consecutive: 5,
            rate: None,
            of: 20,
            open: Duration::from_secs(5),
            open_limit: Duration::from_secs(300),
            trials: 3,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Closed,
    Open {
        until: Duration,
    },
    /// `begun` trials are out or done, `succeeded` of them well.
    HalfOpen {
        begun: u32,
        succeeded: u32,
    },
}

/// The breaker of one version.
#[derive(Clone, Debug)]
pub struct Breaker {
    limits: Limits,
    state: State,
    consecutive: u32,
    /// A bit for each of the latest calls, 1 for a failure, the newest lowest.
    latest: u128,
    calls: u32,
    /// Openings since it was last closed.
    openings: u32,
    /// Makes the breakers of different nodes open for different times.
    seed: u64,
}

impl Breaker {
    pub fn new(limits: Limits, seed: u64) -> Breaker {
        Breaker {
            limits,
            state: State::Closed,
            consecutive: 0,
            latest: 0,
            calls: 0,
            openings: 0,
            seed,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether there is nothing that speaks against the version: another call that goes well need not
    /// be remembered.
    pub fn is_quiet(&self) -> bool {
        let of = self.limits.of.clamp(1, 128);
        let among = self.latest & (u128::MAX >> (128 - of));
        self.state == State::Closed
            && self.consecutive == 0
            && (self.limits.rate.is_none() || among == 0)
    }

    /// Whether a call could be made now. Takes nothing.
    pub fn is_willing(&self, now: Duration) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => now >= until,
            State::HalfOpen { begun, .. } => begun < self.limits.trials,
        }
    }

    /// Begins a call, if one may be made. Each that begins is to be followed by [`Breaker::end`] or
    /// [`Breaker::forget`].
    pub fn begin(&mut self, now: Duration) -> bool {
        if !self.is_willing(now) {
            return false;
        }
        match &mut self.state {
            State::Closed => {}
            State::Open { .. } => {
                self.state = State::HalfOpen {
                    begun: 1,
                    succeeded: 0,
                };
            }
            State::HalfOpen { begun, .. } => *begun += 1,
        }
        true
    }

    /// A call has ended. One that began before the breaker opened changes nothing.
    pub fn end(&mut self, now: Duration, failed: bool) {
        match self.state {
            State::Closed => self.count(now, failed),
            State::Open { .. } => {}
            State::HalfOpen { .. } if failed => self.open(now),
            State::HalfOpen { begun, succeeded } => {
                let succeeded = succeeded + 1;
                self.state = State::HalfOpen { begun, succeeded };
                if succeeded >= self.limits.trials {
                    self.close();
                }
            }
        }
    }

    /// A call that began was never made: nothing was learnt.
    pub fn forget(&mut self) {
        if let State::HalfOpen { begun, .. } = &mut self.state {
            *begun = begun.saturating_sub(1);
        }
    }

    fn count(&mut self, now: Duration, failed: bool) {
        self.consecutive = if failed { self.consecutive + 1 } else { 0 };
        self.latest = self.latest << 1 | u128::from(failed);
        self.calls = self.calls.saturating_add(1);
        let of = self.limits.of.clamp(1, 128);
        let among = self.latest & (u128::MAX >> (128 - of));
        let rate = f64::from(among.count_ones()) / f64::from(of);
        let too_often = |limit| self.calls >= of && rate >= limit;
        if self.consecutive >= self.limits.consecutive || self.limits.rate.is_some_and(too_often) {
            self.open(now);
        }
    }

    fn open(&mut self, now: Duration) {
        let doubled = self.limits.open.saturating_mul(1 << self.openings.min(30));
        let longest = doubled.min(self.limits.open_limit);
        self.openings = self.openings.saturating_add(1);
        // Between half and all of it, so that nodes do not try all at once.
        let draw = hash(
            "",
            &[self.seed, u64::from(self.openings)]
                .map(u64::to_le_bytes)
                .concat(),
        );
        let time = longest / 2 + (longest / 2).mul_f64((draw >> 11) as f64 / (1_u64 << 53) as f64);
        let until = now.saturating_add(time);
        self.state = State::Open { until };
    }

    fn close(&mut self) {
        *self = Breaker::new(self.limits.clone(), self.seed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(Limits::default(), 7)
    }

    fn call(breaker: &mut Breaker, now: Duration, failed: bool) {
        assert!(breaker.begin(now));
        breaker.end(now, failed);
    }

    fn opened(breaker: &mut Breaker) -> Duration {
        for _ in 0..5 {
            call(breaker, Duration::ZERO, true);
        }
        match breaker.state() {
            State::Open { until } => until,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_trials_close_it() {
        let mut breaker = breaker();
        let until = opened(&mut breaker);
        assert!((2_500..5_000).contains(&until.as_millis()), "{until:?}");
        assert!(!breaker.begin(until - Duration::from_millis(1)));
        for _ in 0..3 {
            assert!(breaker.begin(until));
        }
        assert!(!breaker.begin(until), "the quota is used up");
        for _ in 0..3 {
            breaker.end(until, false);
        }
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_failed_trial_opens_it_for_longer() {
        let mut breaker = breaker();
        let mut until = opened(&mut breaker);
        for least in [5, 10, 20] {
            let now = until;
            call(&mut breaker, now, true);
            let State::Open { until: next } = breaker.state() else {
                panic!("{:?}", breaker.state());
            };
            assert!(next - now >= least * SECOND && next - now < 2 * least * SECOND);
            until = next;
        }
    }

    #[test]
    fn a_success_in_between_starts_the_count_anew() {
        let mut breaker = breaker();
        for _ in 0..100 {
            for failed in [true, true, true, true, false] {
                call(&mut breaker, Duration::ZERO, failed);
            }
        }
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_share_of_failures_opens_it_once_there_are_enough_calls() {
        let limits = Limits {
            rate: Some(0.5),
            of: 10,
            ..Limits::default()
        };
        let mut breaker = Breaker::new(limits, 7);
        for call_number in 0..10 {
            assert_eq!(breaker.state(), State::Closed, "{call_number}");
            call(&mut breaker, Duration::ZERO, call_number % 2 == 0);
        }
        assert!(matches!(breaker.state(), State::Open { .. }));
    }

    #[test]
    fn a_trial_that_never_ran_is_given_back() {
        let mut breaker = breaker();
        let until = opened(&mut breaker);
        for _ in 0..100 {
            assert!(breaker.begin(until));
            breaker.forget();
        }
        for _ in 0..3 {
            call(&mut breaker, until, false);
        }
        assert_eq!(breaker.state(), State::Closed);
    }

    proptest! {
        /// Calls begin, end well or badly, or never run, at times that only grow.
        #[test]
        fn it_keeps_its_word(events in prop::collection::vec((0_u64..3_000, 0_u8..4), 0..300)) {
            let mut breaker = breaker();
            let (mut now, mut out) = (Duration::ZERO, 0_u32);
            for (wait, event) in events {
                now += Duration::from_millis(wait);
                let before = breaker.state();
                match event {
                    0 => out += u32::from(breaker.begin(now)),
                    1 | 2 if out > 0 => {
                        out -= 1;
                        breaker.end(now, event == 1);
                    }
                    3 if out > 0 => {
                        out -= 1;
                        breaker.forget();
                    }
                    _ => {}
                }
                if let State::Open { until } = before && breaker.state() != before {
                    prop_assert!(now >= until, "it opened its doors early");
                }
                if let State::HalfOpen { begun, succeeded } = breaker.state() {
                    prop_assert!(begun <= 3 && succeeded < 3);
                }
            }
        }
    }
}
