//! The breaker of a version or of another server, shared by its requests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use modelet_policy::breaker::{self, Limits, State};
use modelet_policy::routing::hash;

/// Lets everything through where the model's `model.toml` has no breaker.
pub struct Breaker {
    breaker: Option<Mutex<breaker::Breaker>>,
}

/// A call that was let through. Dropped without an end, it was never made.
pub struct Watched<'a> {
    breaker: &'a Breaker,
    ended: bool,
}

impl Breaker {
    /// `name` tells it from others.
    pub fn new(limits: Option<Limits>, name: &str) -> Breaker {
        // Each process draws its own times, so that nodes do not try a version all at once.
        let name = format!("{name}/{}", std::process::id());
        let seed = hash("breaker", name.as_bytes());
        Breaker {
            breaker: limits.map(|limits| Mutex::new(breaker::Breaker::new(limits, seed))),
        }
    }

    /// `None` where there is none.
    pub fn state(&self) -> Option<State> {
        self.lock().map(|breaker| breaker.state())
    }

    pub fn is_willing(&self, now: Duration) -> bool {
        self.lock().is_none_or(|breaker| breaker.is_willing(now))
    }

    /// `None` where the call may not be made.
    pub fn begin(&self, now: Duration) -> Option<Watched<'_>> {
        let may = self.lock().is_none_or(|mut breaker| breaker.begin(now));
        may.then_some(Watched {
            breaker: self,
            ended: false,
        })
    }

    fn lock(&self) -> Option<MutexGuard<'_, breaker::Breaker>> {
        let breaker = self.breaker.as_ref()?;
        // Every change under the lock is whole, so a poisoned breaker is still a sound one.
        Some(breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Watched<'_> {
    pub fn end(mut self, now: Duration, failed: bool) {
        self.ended = true;
        if let Some(mut breaker) = self.breaker.lock() {
            breaker.end(now, failed);
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.ended
            && let Some(mut breaker) = self.breaker.lock()
        {
            breaker.forget();
        }
    }
}
