//! Answers that labels and rewards may come back to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use modelet_policy::feedback::{self, Feedback};
use modelet_policy::rollout::Millis;
use modelet_protocol::{Datatype, Tensor};
use modelet_store::{Joined, Prediction, State, StateError};
use sha2::{Digest as _, Sha256};

use super::now;
use crate::app::App;
use crate::registry::Found;
use crate::request::Answer;

/// In bytes of an id, and in characters of a prediction.
const LONGEST_KEY: usize = 256;

/// Answers that wait to be written down; more are forgotten, and counted.
const WAITING: usize = 10_000;

/// How often what is too old is forgotten.
const FORGET_EVERY: Millis = 60_000;

/// Answers on their way to the database, and what became of what came back.
#[derive(Default)]
pub struct Predictions {
    waiting: Mutex<Vec<Prediction>>,
    /// Held while they are written down: who then looks for one has to wait for that.
    writing: tokio::sync::Mutex<()>,
    forgotten_at: AtomicU64,
    pub counts: Counts,
}

/// What came back, since the server began.
#[derive(Default)]
pub struct Counts {
    pub joined: AtomicU64,
    pub duplicate: AtomicU64,
    pub late: AtomicU64,
    pub unknown: AtomicU64,
    /// Answers that were not remembered.
    pub dropped: AtomicU64,
}

/// What came back for one request.
pub enum Said {
    Label(String),
    Reward(f64),
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    Joined,
    Duplicate,
    Late,
    Unknown,
}

impl Predictions {
    /// Remembers an answer, if its model wants that.
    pub fn add(&self, found: &Found, rollout: Option<&str>, id: &str, answer: &Answer) {
        let Some(spec) = &found.model().spec.feedback else {
            return;
        };
        // The versions of another model are not this one's.
        let own = answer.ready().filter(|ready| ready.model == found.name);
        let Some(ready) = own.filter(|_| !id.is_empty()) else {
            return;
        };
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING {
            self.counts.dropped.fetch_add(1, Relaxed);
            return;
        }
        waiting.push(Prediction {
            model: found.name.clone(),
            id: key(id),
            rollout: rollout.unwrap_or_default().to_owned(),
            version: ready.version,
            at: now(),
            prediction: prediction(spec, &answer.outputs),
        });
    }

    /// Writes down what waits, and forgets what is older than anybody asks for.
    pub async fn flush(&self, app: &App, state: &State) -> Result<(), StateError> {
        let _writing = self.writing.lock().await;
        let waiting = std::mem::take(&mut *self.waiting());
        if !waiting.is_empty()
            && let Err(error) = state.add_predictions(&waiting).await
        {
            let mut newer = self.waiting();
            let room = WAITING.saturating_sub(newer.len());
            newer.extend(waiting.into_iter().take(room));
            return Err(error);
        }
        let now = now();
        if now.saturating_sub(self.forgotten_at.load(Relaxed)) > FORGET_EVERY {
            self.forgotten_at.store(now, Relaxed);
            let models = app.registry.snapshot();
            let specs = models
                .values()
                .filter_map(|model| model.spec.feedback.as_ref());
            if let Some(longest) = specs.map(|spec| spec.window).max() {
                state
                    .forget_predictions(now.saturating_sub(longest))
                    .await?;
            }
        }
        Ok(())
    }

    /// Joins what came back to the answer that it belongs to.
    pub async fn join(
        &self,
        state: &State,
        found: &Found,
        spec: &Feedback,
        id: &str,
        said: &Said,
    ) -> Result<Became, StateError> {
        let became = match state.prediction(&found.name, &key(id)).await? {
            None => Became::Unknown,
            Some(prediction) => {
                let reward = match said {
                    Said::Reward(reward) => *reward,
                    Said::Label(label) => feedback::reward(&prediction.prediction, label),
                };
                let not_before = now().saturating_sub(spec.window);
                match state.reward(&prediction, reward, not_before).await? {
                    Joined::Joined => Became::Joined,
                    Joined::Duplicate => Became::Duplicate,
                    Joined::Late => Became::Late,
                }
            }
        };
        let count = match became {
            Became::Joined => &self.counts.joined,
            Became::Duplicate => &self.counts.duplicate,
            Became::Late => &self.counts.late,
            Became::Unknown => &self.counts.unknown,
        };
        count.fetch_add(1, Relaxed);
        Ok(became)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Prediction>> {
        // A list is whole whenever nobody holds it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An id as a database can keep it: one that is long or has a NUL is known by its digest.
fn key(id: &str) -> String {
    match id.len() > LONGEST_KEY || id.contains('\0') {
        true => format!("sha256:{:x}", Sha256::digest(id)),
        false => id.to_owned(),
    }
}

/// The first row of the output that labels are compared with.
fn prediction(spec: &Feedback, outputs: &[Tensor]) -> String {
    let output = match &spec.output {
        None => outputs.first(),
        Some(name) => outputs.iter().find(|output| output.name == *name),
    };
    let Some(output) = output else {
        return String::new();
    };
    if output.datatype == Datatype::Bytes {
        let first = output.bytes_elements().next().unwrap_or_default();
        // No database takes a NUL, and no label is that long.
        let text = String::from_utf8_lossy(first).replace('\0', "\u{fffd}");
        return text.chars().take(LONGEST_KEY).collect();
    }
    let columns = match output.shape.as_slice() {
        [_, rest @ ..] => rest.iter().product::<u64>().max(1) as usize,
        [] => 1,
    };
    let numbers = output.numbers().unwrap_or_default();
    feedback::class(numbers.get(..columns).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_one_that_a_database_can_keep() {
        assert_eq!(key("flower-7"), "flower-7");
        for odd in ["a\0b", &"x".repeat(12_000)] {
            let key = key(odd);
            assert!(
                key.starts_with("sha256:") && key.len() < LONGEST_KEY,
                "{key}"
            );
        }
        assert_ne!(key("a\0b"), key("a\0c"));
    }
}
