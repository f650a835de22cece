//! Carries out what `host/policy` decides about rollouts, and keeps what it was decided from.
//!
//! A loop looks at the database several times a second, and soon after a canary failed: it applies what any node has changed, writes
//! down what this node has seen, and, where this node leads, lets time and evidence do their work.
//! Requests know nothing of it: a rollout reaches them as weights in their model's spec. While the
//! database cannot be reached, everything stays as it was.

pub mod feedback;
mod keeper;
pub mod live;
pub mod mirror;
pub mod readiness;
mod verbs;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use modelet_policy::names::ModelName;
use modelet_policy::rollout::Millis;
use modelet_store::StateError;
use tokio::sync::{Notify, OnceCell, Semaphore};

use feedback::Predictions;
use live::Live;

pub use keeper::{keep_up, look_first};
pub use verbs::{Change, ChangeError, Verb};

/// Mirrored requests at one time; more are dropped, and counted.
const MIRRORS: usize = 2;

/// The rollouts of all models as this node knows them, and its way to the database.
pub struct Rollouts {
    url: String,
    state: OnceCell<modelet_store::State>,
    known: Mutex<BTreeMap<ModelName, Arc<Live>>>,
    /// Why the database cannot be reached.
    trouble: Mutex<Option<String>>,
    /// Rung when a canary fails.
    alarm: Arc<Notify>,
    pub predictions: Predictions,
    pub mirrors: Arc<Semaphore>,
    pub mirrors_dropped: AtomicU64,
}

impl Rollouts {
    pub fn new(url: String) -> Rollouts {
        Rollouts {
            url,
            state: OnceCell::new(),
            known: Mutex::default(),
            trouble: Mutex::new(Some("not yet connected".to_owned())),
            alarm: Arc::default(),
            predictions: Predictions::default(),
            mirrors: Arc::new(Semaphore::new(MIRRORS)),
            mirrors_dropped: AtomicU64::new(0),
        }
    }

    /// The database, which is connected to when it is first needed.
    pub async fn state(&self) -> Result<&modelet_store::State, StateError> {
        let open = || modelet_store::State::open(&self.url, fresh_id());
        self.state.get_or_try_init(open).await
    }

    /// Adds to the audit log that somebody changed something of a model.
    pub async fn note(&self, model: &ModelName, who: &str, what: &str) -> Result<(), StateError> {
        let state = self.state().await?;
        state.note(&fresh_id(), model, now(), who, what).await
    }

    /// The rollout of a model, as far as this node knows.
    pub fn of(&self, model: &ModelName) -> Option<Arc<Live>> {
        self.known().get(model).cloned()
    }

    pub fn all(&self) -> BTreeMap<ModelName, Arc<Live>> {
        self.known().clone()
    }

    /// Why the database cannot be reached, if it cannot.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*known, &trouble) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                tracing::error!(trouble = now, "rollouts stay as they are");
            }
            (Some(_), None) => tracing::info!("the state is there"),
            _ => {}
        }
        *known = trouble;
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ModelName, Arc<Live>>> {
        // Entries are replaced whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since 1970.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or(Duration::ZERO);
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// Of a rollout, or of this process.
fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
