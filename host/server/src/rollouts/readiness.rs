//! A version is asked once before callers are sent to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use modelet_protocol::Tensor;
use modelet_runtime::InferError;

use crate::app::App;
use crate::registry::{Ready, Work};

/// A version that failed may have been unlucky; it is asked again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What became of a version's readiness inference.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Asked>);

#[derive(Debug, Default)]
enum Asked {
    #[default]
    Never,
    Now,
    Failed(Instant),
    Passed,
}

impl Readiness {
    pub fn has_passed(&self) -> bool {
        matches!(*self.lock(), Asked::Passed)
    }

    /// Whether somebody should ask now; whoever is told so has to.
    fn is_due(&self) -> bool {
        let mut asked = self.lock();
        let is_due = match *asked {
            Asked::Never => true,
            Asked::Failed(when) => when.elapsed() > AGAIN_AFTER,
            Asked::Now | Asked::Passed => false,
        };
        if is_due {
            *asked = Asked::Now;
        }
        is_due
    }

    fn set(&self, passed: bool) {
        *self.lock() = match passed {
            true => Asked::Passed,
            false => Asked::Failed(Instant::now()),
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the version has passed. If it was not asked yet, that is done beside.
pub fn check(app: &App, ready: &Arc<Ready>) -> bool {
    if ready.readiness.is_due() {
        let (ready, timeout) = (ready.clone(), app.config.request_timeout);
        tokio::task::spawn_blocking(move || ask(&ready, timeout));
    }
    ready.readiness.has_passed()
}

/// As [`check`], but waits for the answer.
pub async fn check_now(app: &App, ready: &Arc<Ready>) -> bool {
    if !ready.readiness.has_passed() {
        let (asked, timeout) = (ready.clone(), app.config.request_timeout);
        let asking = tokio::task::spawn_blocking(move || ask(&asked, timeout));
        // One that was lost has not passed.
        let _ = asking.await;
    }
    ready.readiness.has_passed()
}

fn ask(ready: &Ready, timeout: Duration) {
    let modelet = match &ready.work {
        Work::Modelet(modelet) => modelet,
        // It has one version, which nothing is rolled out to; its members have their own readiness.
        Work::Ensemble(_) => return ready.readiness.set(true),
    };
    let deadline = Instant::now() + timeout;
    let mut failed = None;
    for zeros in ready.signature().zeros() {
        failed = failure(modelet.infer(&zeros, &[], deadline));
        if failed.is_none() {
            break;
        }
    }
    if let Some(error) = &failed {
        let (model, version) = (&ready.model, ready.version);
        tracing::warn!(%model, %version, %error, "the readiness inference failed");
    }
    ready.readiness.set(failed.is_none());
}

/// Not every model knows what to do with zeros; it is there and says so.
fn failure(answer: Result<Vec<Tensor>, InferError>) -> Option<InferError> {
    match answer {
        Ok(_) | Err(InferError::InvalidInput(_) | InferError::ModelFailed(_)) => None,
        Err(error) => Some(error),
    }
}
