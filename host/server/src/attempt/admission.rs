//! Who may run now, who waits, and who is turned away at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of places to run and a number of places to wait.
#[derive(Debug)]
pub struct Admission {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
}

/// The right to run; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

/// Why a request does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("overloaded: all places to run and to wait are taken")]
    QueueFull,
    #[error("the deadline passed while the request waited for its turn")]
    Deadline,
}

impl Admission {
    pub fn new(concurrency: usize, queue: usize) -> Admission {
        Admission {
            running: Arc::new(Semaphore::new(concurrency)),
            waiting: Arc::default(),
            queue,
        }
    }

    /// Waits for a place until `deadline`, if there is a place to wait.
    pub async fn admit(&self, deadline: Instant) -> Result<Permit, Refused> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(Permit { _permit: permit });
        }
        let _place = self.take_place()?;
        match tokio::time::timeout_at(deadline.into(), self.running.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Permit { _permit: permit }),
            // The semaphore is never closed, so what is left is that time ran out.
            _ => Err(Refused::Deadline),
        }
    }

    /// Waits for a place, however long. For who has a place to wait already.
    pub async fn turn(&self) -> Result<Permit, Refused> {
        let permit = self.running.clone().acquire_owned().await;
        // The semaphore is never closed.
        let permit = permit.map_err(|_| Refused::Deadline)?;
        Ok(Permit { _permit: permit })
    }

    /// How many may run at this moment beside those that do.
    pub fn free(&self) -> usize {
        self.running.available_permits()
    }

    /// Requests waiting at this moment.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// A place to wait, if there is one.
    pub fn take_place(&self) -> Result<Place, Refused> {
        self.waiting
            .try_update(Relaxed, Relaxed, |waiting| {
                (waiting < self.queue).then_some(waiting + 1)
            })
            .map(|_| Place(self.waiting.clone()))
            .map_err(|_| Refused::QueueFull)
    }
}

/// A place in the queue; also given back when the caller hangs up.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_a_place_is_given_back() {
        let admission = Arc::new(Admission::new(1, 1));
        let running = admission.admit(soon()).await.unwrap();
        let waits = tokio::spawn({
            let admission = admission.clone();
            async move {
                admission
                    .admit(Instant::now() + Duration::from_secs(60))
                    .await
            }
        });
        while admission.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            admission.admit(soon()).await.unwrap_err(),
            Refused::QueueFull
        );
        drop(running);
        let second = waits.await.unwrap().unwrap();
        assert_eq!(
            admission.admit(soon()).await.unwrap_err(),
            Refused::Deadline
        );
        assert_eq!(admission.waiting(), 0);
        drop(second);
        admission.admit(soon()).await.unwrap();
    }
}
