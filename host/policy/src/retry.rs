//! Whether a request may be sent once more, and after what time.
//!
//! Retries and hedges share a budget: a share of the latest requests, so that a server in trouble gets
//! hardly more to do and not a multiple. Source: the `RetryBudget` of Finagle, with a window of
//! slots in place of expiring tokens.

use std::time::Duration;

use crate::routing::{hash, unit};

/// Requests that may be sent once more in any [`WINDOW_SECONDS`], however few there are.
const FLOOR: f64 = 10.0;

const WINDOW_SECONDS: u64 = 10;

/// Further tries of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// After the first try; 0 for none.
    pub limit: u32,
    /// Before the first of them, twice as long before each next one.
    pub backoff: Duration,
    /// Retries and hedges together, as a share of the requests.
    pub budget: f64,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            limit: 0,
            backoff: Duration::from_millis(5),
            budget: 0.2,
        }
    }
}

impl Retry {
    /// How long to wait before try `number`, counted from 1: between half and all of its back-off, so
    /// that requests which failed together do not come back together. `None`: there is no such try,
    /// or no time for it.
    pub fn delay(&self, number: u32, key: &str, time_left: Duration) -> Option<Duration> {
        if number > self.limit {
            return None;
        }
        let whole = self.backoff.saturating_mul(1 << (number - 1).min(16));
        let draw = unit(hash(key, &number.to_le_bytes()));
        let delay = whole.mul_f64(0.5 + draw / 2.0);
        (delay < time_left).then_some(delay)
    }
}

/// What a model's requests were lately. Times are since an arbitrary beginning that stays the same.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    slots: [Slot; WINDOW_SECONDS as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    requests: u32,
    spent: u32,
}

impl Budget {
    /// Counts a request that somebody made.
    pub fn earn(&mut self, now: Duration) {
        let slot = self.slot(now);
        slot.requests = slot.requests.saturating_add(1);
    }

    /// Takes one more try out of the budget, which is this share of the requests. `false`: it is spent.
    pub fn spend(&mut self, now: Duration, share: f64) -> bool {
        let now_second = now.as_secs();
        let is_recent = |slot: &&Slot| now_second.saturating_sub(slot.second) < WINDOW_SECONDS;
        let recent = self.slots.iter().filter(is_recent);
        let (requests, spent) = recent.fold((0.0, 0.0), |(requests, spent), slot| {
            let (more, gone) = (f64::from(slot.requests), f64::from(slot.spent));
            (requests + more, spent + gone)
        });
        let may = spent + 1.0 <= FLOOR.max(requests * share);
        if may {
            self.slot(now).spent += 1;
        }
        may
    }

    fn slot(&mut self, now: Duration) -> &mut Slot {
        let second = now.as_secs();
        let slot = &mut self.slots[(second % WINDOW_SECONDS) as usize];
        if slot.second != second {
            *slot = Slot {
                second,
                ..Slot::default()
            };
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delays_grow_and_differ_between_requests() {
        let retry = Retry {
            limit: 3,
            backoff: Duration::from_millis(8),
            ..Retry::default()
        };
        let minute = Duration::from_secs(60);
        for (number, least) in [(1, 4), (2, 8), (3, 16)] {
            let delay = retry.delay(number, "a", minute).unwrap();
            let least = Duration::from_millis(least);
            assert!(least <= delay && delay <= 2 * least, "{number}: {delay:?}");
        }
        assert_ne!(retry.delay(1, "a", minute), retry.delay(1, "b", minute));
        assert_eq!(retry.delay(4, "a", minute), None);
        assert_eq!(retry.delay(1, "a", Duration::from_millis(4)), None);
        assert_eq!(Retry::default().delay(1, "a", minute), None);
    }

    #[test]
    fn the_budget_is_a_share_of_the_latest_requests() {
        let at = Duration::from_secs;
        let mut budget = Budget::default();
        let spend = |budget: &mut Budget, second| {
            (0..1000).filter(|_| budget.spend(at(second), 0.2)).count()
        };
        assert_eq!(spend(&mut budget, 0), 10, "a few are always allowed");
        for _ in 0..500 {
            budget.earn(at(1));
        }
        assert_eq!(spend(&mut budget, 2), 90);
        assert_eq!(spend(&mut budget, 9), 0);
        assert_eq!(spend(&mut budget, 12), 10, "it was long ago");
    }

    proptest! {
        #[test]
        fn never_more_than_the_share_is_spent(
            events in prop::collection::vec((0_u64..3, any::<bool>()), 0..500),
        ) {
            let (mut budget, mut now, mut earned, mut spent) = (Budget::default(), 0, 0, 0);
            for (later, is_request) in events {
                now += later;
                match is_request {
                    true => { budget.earn(Duration::from_secs(now)); earned += 1; }
                    false => spent += u64::from(budget.spend(Duration::from_secs(now), 0.5)),
                }
            }
            // A request is recent in at most two of the windows that time is cut into.
            let windows = now / WINDOW_SECONDS + 1;
            prop_assert!(spent as f64 <= f64::from(earned) * 0.5 * 2.0 + FLOOR * windows as f64);
        }
    }
}
