//! What outlasts an instance: what became of the calls of versions that have a breaker.
//!
//! Stores of keys and values promise no more than to get and to set, so two instances that write the
//! same key lose what one of them wrote. Three things make that harmless. A model has several keys, and
//! an instance writes only one of them, chosen at random; whoever reads, reads all and merges. Before
//! an instance writes it reads its key once more. And it writes all that it knows and not only what it
//! added, so that what was lost comes back with the next write of anyone who had read it. A call that is
//! lost for good makes a breaker open one failure later.

use std::collections::BTreeMap;
use std::time::Duration;

use modelet_policy::breaker::outcomes::Outcomes;
use modelet_policy::names::{ModelName, Version};
use serde::{Deserialize, Serialize};

use crate::application::Served;

/// The keys of one model.
pub const SHARDS: u32 = 4;

/// What was read is not read again for this long.
const FRESH: Duration = Duration::from_secs(1);

/// What an instance knows; a cache.
#[derive(Default)]
pub struct Memory {
    models: BTreeMap<ModelName, Known>,
}

#[derive(Default)]
struct Known {
    snapshot: Snapshot,
    read: Option<Duration>,
}

/// What one key holds: by the version and its artifact, so that another artifact under the same number
/// begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Snapshot(BTreeMap<String, Outcomes>);

/// One of the keys of a model.
pub fn key(model: &ModelName, shard: u32) -> String {
    format!("modelet/breaker/{model}/{shard}")
}

impl Memory {
    /// Whether the model's keys are to be read.
    pub fn is_stale(&self, model: &ModelName, now: Duration) -> bool {
        let read = self.models.get(model).and_then(|known| known.read);
        // A clock that was put back makes nothing fresh.
        read.is_none_or(|read| now < read || now - read >= FRESH)
    }

    /// Takes in what the model's keys hold. The error says which of it is damaged, and changes nothing
    /// else.
    pub fn read(
        &mut self,
        model: &ModelName,
        values: &[Vec<u8>],
        now: Duration,
    ) -> Result<(), String> {
        let known = self.models.entry(model.clone()).or_default();
        known.read = Some(now);
        let merged = values.iter().map(|value| known.snapshot.merge(value));
        merged.fold(Ok(()), Result::and)
    }

    /// What one of the model's keys is to hold instead of `stored`.
    pub fn write(&mut self, served: &Served, model: &ModelName, stored: Option<&[u8]>) -> Vec<u8> {
        let known = self.models.entry(model.clone()).or_default();
        // What is damaged is written over.
        stored.map(|stored| known.snapshot.merge(stored));
        let versions = served.deployment.versions(model);
        let kept: Vec<_> = versions
            .filter_map(|version| entry(served, model, version))
            .collect();
        known.snapshot.0.retain(|name, _| kept.contains(name));
        // Strings, numbers and words: there is nothing in it that could not be written.
        serde_json::to_vec(&known.snapshot).unwrap_or_default()
    }

    pub fn outcomes(
        &mut self,
        served: &Served,
        model: &ModelName,
        version: Version,
    ) -> &mut Outcomes {
        let known = self.models.entry(model.clone()).or_default();
        let entry = entry(served, model, version).unwrap_or_default();
        known.snapshot.0.entry(entry).or_default()
    }
}

fn entry(served: &Served, model: &ModelName, version: Version) -> Option<String> {
    let digest = &served.modelet(model, version)?.sha256;
    Some(format!("{version}-{}", digest.get(..16)?))
}

impl Snapshot {
    fn merge(&mut self, stored: &[u8]) -> Result<(), String> {
        let stored: Snapshot = serde_json::from_slice(stored)
            .map_err(|error| format!("a snapshot in the store is damaged: {error}"))?;
        for (entry, outcomes) in &stored.0 {
            self.0.entry(entry.clone()).or_default().merge(outcomes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use modelet_policy::breaker::outcomes::{Call, End};
    use serde_json::json;

    use super::*;
    use crate::application::tests::served;

    const NOW: Duration = Duration::from_secs(100);

    fn fail(memory: &mut Memory, served: &Served, number: u32) {
        let (model, version) = ("m".parse().unwrap(), Version::try_from(2).unwrap());
        let judge = served.judge(&model, version).unwrap();
        let call = Call { began: NOW, number };
        let outcomes = memory.outcomes(served, &model, version);
        assert!(outcomes.end(call, End::Badly, &judge, NOW));
    }

    fn is_open(memory: &mut Memory, served: &Served) -> bool {
        let (model, version) = ("m".parse().unwrap(), Version::try_from(2).unwrap());
        let judge = served.judge(&model, version).unwrap();
        let breaker = memory
            .outcomes(served, &model, version)
            .breaker(&judge, NOW);
        !breaker.is_willing(NOW)
    }

    #[test]
    fn what_one_instance_wrote_another_reads() {
        let served = served(&json!({"breaker": {"consecutive": 2}}));
        let model = "m".parse().unwrap();
        let (mut one, mut other) = (Memory::default(), Memory::default());
        assert!(other.is_stale(&model, NOW));
        fail(&mut one, &served, 1);
        fail(&mut other, &served, 2);
        let written = one.write(&served, &model, None);
        assert!(!is_open(&mut other, &served));
        other
            .read(&model, &[written.clone(), written], NOW)
            .unwrap();
        assert!(is_open(&mut other, &served));
        assert!(!other.is_stale(&model, NOW + FRESH / 2));
        assert!(other.is_stale(&model, NOW + FRESH));
        assert!(other.is_stale(&model, NOW - FRESH));
    }

    #[test]
    fn a_write_keeps_what_others_wrote_before_it() {
        let served = served(&json!({"breaker": {"consecutive": 2}}));
        let model = "m".parse().unwrap();
        let (mut one, mut other) = (Memory::default(), Memory::default());
        fail(&mut one, &served, 1);
        fail(&mut other, &served, 2);
        let first = one.write(&served, &model, None);
        let second = other.write(&served, &model, Some(&first));
        let mut third = Memory::default();
        third.read(&model, &[second], NOW).unwrap();
        assert!(is_open(&mut third, &served));
    }

    #[test]
    fn what_is_damaged_is_told_and_costs_nothing_else() {
        let served = served(&json!({"breaker": {"consecutive": 1}}));
        let model = "m".parse().unwrap();
        let mut one = Memory::default();
        fail(&mut one, &served, 1);
        let good = one.write(&served, &model, Some(b"[not json"));
        let mut other = Memory::default();
        let read = other.read(&model, &[b"{".to_vec(), good], NOW);
        assert!(read.unwrap_err().contains("is damaged"));
        assert!(is_open(&mut other, &served));
    }

    #[test]
    fn versions_that_are_gone_are_not_kept() {
        let served = served(&json!({"breaker": {}}));
        let model = "m".parse().unwrap();
        let old = br#"{"9-0000000000000000":{"proven":true,"cleared":0,"calls":[]}}"#;
        let mut memory = Memory::default();
        assert_eq!(memory.write(&served, &model, Some(old)), b"{}");
    }
}
