//! How long a version's inferences take, and so where they run.
//!
//! To hand a call to a thread that may block costs more than a small model's whole inference. A version
//! that is known to be quick runs where its request is. A model's answer depends on nothing but its
//! inputs, so one that turns out not to be quick is stopped and run again on a thread that may block.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Quick is what takes less than a task may take between two waits.
const QUICK: Duration = Duration::from_micros(200);

/// After this a quick call is no longer believed to be one.
pub const PATIENCE: Duration = Duration::from_millis(2);

/// Inputs above this are not copied for a second try.
pub const QUICK_INPUT_BYTES: usize = 64 << 10;

/// A moving average of the time of calls.
#[derive(Debug)]
pub struct Pace {
    /// In nanoseconds; at first nothing is known, and that is slow.
    average: AtomicU64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            average: AtomicU64::new(u64::MAX),
        }
    }
}

impl Pace {
    pub fn is_quick(&self) -> bool {
        u128::from(self.average.load(Relaxed)) < QUICK.as_nanos()
    }

    /// Two calls at one time may lose one of their times: it is an estimate.
    pub fn record(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let average = match self.average.load(Relaxed) {
            u64::MAX => time,
            average => average - average / 8 + time / 8,
        };
        self.average.store(average, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_quick_when_its_calls_are() {
        let pace = Pace::default();
        assert!(!pace.is_quick(), "nothing is known of it");
        pace.record(Duration::from_micros(20));
        assert!(pace.is_quick());
        pace.record(Duration::from_millis(5));
        assert!(!pace.is_quick());
        for _ in 0..50 {
            pace.record(Duration::from_micros(20));
        }
        assert!(pace.is_quick());
    }
}
