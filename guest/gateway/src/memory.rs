//! What outlasts an instance: what became of the calls of versions that have a breaker, and how far a
//! rollout is and what was seen of it.
//!
//! Stores of keys and values promise no more than to get and to set, so two instances that write the
//! same key lose what one of them wrote. Three things make that harmless. A model has several keys, and
//! an instance writes only one of them, chosen at random; whoever reads, reads all and merges. Before
//! an instance writes it reads its key once more. And it writes all that it knows and not only what it
//! added, so that what was lost comes back with the next write of anyone who had read it. A call that is
//! lost for good makes a breaker open one failure later. Only of what was seen of a rollout each key
//! holds a part of its own: see [`evidence`].

mod evidence;

use std::collections::BTreeMap;
use std::time::Duration;

use modelet_policy::breaker::outcomes::Outcomes;
use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::evidence::{Evidence, Observation};
use modelet_policy::rollout::kept::Kept;
use serde::{Deserialize, Serialize};

use crate::application::Served;

pub use evidence::{NOTES, Note, Part};

/// The keys of one model.
pub const SHARDS: u32 = 4;

/// What was read is not read again for this long, and what was seen of a rollout not written.
const FRESH: Duration = Duration::from_secs(1);

/// What an instance knows; a cache.
#[derive(Default)]
pub struct Memory {
    models: BTreeMap<ModelName, Known>,
    number: u64,
}

#[derive(Default)]
struct Known {
    breakers: Breakers,
    rollout: Option<Kept>,
    /// Of the rollout: what the keys held when they were read or written last...
    seen: Part,
    /// ...and what is not in them yet.
    news: Part,
    read: Option<Duration>,
    written: Option<Duration>,
}

/// By the version and its artifact, so that another artifact under the same number begins anew.
type Breakers = BTreeMap<String, Outcomes>;

/// What one key holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Snapshot {
    breakers: Breakers,
    rollout: Option<Kept>,
    evidence: Part,
}

/// One of the keys of a model.
pub fn key(model: &ModelName, shard: u32) -> String {
    format!("modelet/{model}/{shard}")
}

/// Where a call of this number is noted.
pub fn note_key(model: &ModelName, number: u32) -> String {
    format!("modelet/{model}/note/{}", number % NOTES)
}

impl Memory {
    /// Of an instance whose number no other has.
    pub fn new(number: u64) -> Memory {
        Memory {
            models: BTreeMap::new(),
            number,
        }
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether the model's keys are to be read.
    pub fn is_stale(&self, model: &ModelName, now: Duration) -> bool {
        let read = self.models.get(model).and_then(|known| known.read);
        read.is_none_or(|read| is_over(read, now))
    }

    /// Takes in what the model's keys hold; `None` where they cannot be read. The error says which of it
    /// is damaged, and changes nothing else.
    pub fn read(
        &mut self,
        model: &ModelName,
        values: Option<&[Vec<u8>]>,
        now: Duration,
    ) -> Result<(), String> {
        let known = self.models.entry(model.clone()).or_default();
        known.read = Some(now);
        let Some(values) = values else {
            return Ok(());
        };
        let mut damaged = Ok(());
        let mut parts = Vec::new();
        for value in values {
            match Snapshot::read(value) {
                Ok(snapshot) => {
                    parts.push(snapshot.evidence.clone());
                    known.merge(snapshot);
                }
                Err(reason) => damaged = Err(reason),
            }
        }
        known.seen = known.nothing_seen();
        parts.iter().for_each(|part| known.seen.add(part));
        damaged
    }

    /// What one of the model's keys is to hold instead of `stored`. What was seen of a rollout counts
    /// as written: if it is not, [`Memory::keep`] takes it back.
    pub fn write(
        &mut self,
        served: &Served,
        model: &ModelName,
        stored: Option<&[u8]>,
        now: Duration,
    ) -> (Vec<u8>, Part) {
        let known = self.models.entry(model.clone()).or_default();
        // What is damaged is written over.
        let stored = stored.map(Snapshot::read).and_then(Result::ok);
        let stored = stored.unwrap_or_default();
        let part = stored.evidence.clone();
        known.merge(stored);
        let versions = served.deployment.versions(model);
        let kept: Vec<_> = versions
            .filter_map(|version| entry(served, model, version))
            .collect();
        known.breakers.retain(|name, _| kept.contains(name));
        let nothing = known.nothing_seen();
        let news = std::mem::replace(&mut known.news, nothing.clone());
        let mut evidence = nothing;
        evidence.add(&part);
        evidence.add(&news);
        known.seen.add(&news);
        known.written = Some(now);
        let snapshot = Snapshot {
            breakers: known.breakers.clone(),
            rollout: known.rollout.clone(),
            evidence,
        };
        // Strings, numbers and words: there is nothing in it that could not be written.
        (serde_json::to_vec(&snapshot).unwrap_or_default(), news)
    }

    /// What was to be written was not.
    pub fn keep(&mut self, model: &ModelName, news: &Part) {
        let known = self.models.entry(model.clone()).or_default();
        known.news.add(news);
    }

    pub fn outcomes(
        &mut self,
        served: &Served,
        model: &ModelName,
        version: Version,
    ) -> &mut Outcomes {
        let known = self.models.entry(model.clone()).or_default();
        let entry = entry(served, model, version).unwrap_or_default();
        known.breakers.entry(entry).or_default()
    }

    pub fn rollout(&self, model: &ModelName) -> Option<&Kept> {
        self.models.get(model)?.rollout.as_ref()
    }

    /// Goes on from here.
    pub fn set_rollout(&mut self, model: &ModelName, rollout: Kept) {
        let known = self.models.entry(model.clone()).or_default();
        known.rollout = Some(rollout);
        known.forget_others();
    }

    /// What all have seen of the rollout, as far as this instance knows.
    pub fn evidence(&self, model: &ModelName) -> Evidence {
        let known = self.models.get(model);
        let rollout = known.and_then(|known| Some((known, known.rollout.as_ref()?)));
        rollout.map_or_else(Evidence::default, |(known, kept)| {
            let mut all = known.nothing_seen();
            all.add(&known.seen);
            all.add(&known.news);
            all.evidence(kept.rollout().canary)
        })
    }

    /// Takes what was seen of the rollout with this name. Whether that is to be written now.
    pub fn record(
        &mut self,
        model: &ModelName,
        rollout: &str,
        seen: Observation,
        now: Duration,
    ) -> bool {
        let known = self.models.entry(model.clone()).or_default();
        if known.news.is_of(rollout) {
            known.news.record(seen);
        }
        // Callers suffer from what others do not know of a canary.
        let is_urgent = seen.is_canary && seen.failed.is_some();
        is_urgent || known.written.is_none_or(|written| is_over(written, now))
    }

    /// Takes what is noted of calls that may be under way; what never ended counts as failed. Which of
    /// them are to be taken away.
    pub fn find_lost(
        &mut self,
        model: &ModelName,
        notes: &[Vec<u8>],
        timeout: Duration,
        now: Duration,
    ) -> Vec<u32> {
        let known = self.models.entry(model.clone()).or_default();
        let notes = notes.iter().filter(|note| !note.is_empty());
        let mut numbers = Vec::new();
        for note in notes.filter_map(|note| serde_json::from_slice::<Note>(note).ok()) {
            if note.is_lost(timeout, now) {
                if known.news.is_of(&note.rollout) {
                    known.news.lose(&note);
                }
                numbers.push(note.number);
            }
        }
        numbers
    }
}

impl Known {
    fn merge(&mut self, snapshot: Snapshot) {
        for (entry, outcomes) in &snapshot.breakers {
            let known = self.breakers.entry(entry.clone()).or_default();
            known.merge(outcomes);
        }
        match (&mut self.rollout, snapshot.rollout) {
            (Some(known), Some(other)) => known.merge(other),
            (None, other) => self.rollout = other,
            (Some(_), None) => {}
        }
        self.forget_others();
    }

    /// What was seen of another rollout than this one.
    fn forget_others(&mut self) {
        let nothing = self.nothing_seen();
        for part in [&mut self.seen, &mut self.news] {
            let mut of_this = nothing.clone();
            of_this.add(part);
            *part = of_this;
        }
    }

    fn nothing_seen(&self) -> Part {
        let rollout = self.rollout.as_ref();
        rollout.map_or_else(Part::default, |kept| Part::of(&kept.rollout().id))
    }
}

fn is_over(since: Duration, now: Duration) -> bool {
    // A clock that was put back makes nothing fresh.
    now < since || now - since >= FRESH
}

fn entry(served: &Served, model: &ModelName, version: Version) -> Option<String> {
    let digest = served.digest(model, version)?;
    Some(format!("{version}-{digest}"))
}

impl Snapshot {
    fn read(stored: &[u8]) -> Result<Snapshot, String> {
        let damaged = |why: &str| format!("a snapshot in the store is damaged: {why}");
        let snapshot: Snapshot =
            serde_json::from_slice(stored).map_err(|error| damaged(&error.to_string()))?;
        let rollout = snapshot.rollout.as_ref();
        match rollout.is_none_or(|kept| kept.rollout().is_sound()) {
            true => Ok(snapshot),
            false => Err(damaged("its shares are none")),
        }
    }
}

#[cfg(test)]
mod tests;
