use modelet_policy::breaker::outcomes::{Call, End};
use modelet_policy::fallback::Trigger;
use modelet_policy::rollout::kept::Present;
use serde_json::json;

use super::*;
use crate::application::tests::served;

const NOW: Duration = Duration::from_secs(100);

fn model() -> ModelName {
    "m".parse().unwrap()
}

fn second() -> Version {
    Version::try_from(2).unwrap()
}

fn fail(memory: &mut Memory, served: &Served, number: u32) {
    let judge = served.judge(&model(), second()).unwrap();
    let call = Call { began: NOW, number };
    let outcomes = memory.outcomes(served, &model(), second());
    assert!(outcomes.end(call, End::Badly, &judge, NOW));
}

fn is_open(memory: &mut Memory, served: &Served) -> bool {
    let judge = served.judge(&model(), second()).unwrap();
    let outcomes = memory.outcomes(served, &model(), second());
    !outcomes.breaker(&judge, NOW).is_willing(NOW)
}

fn write(memory: &mut Memory, served: &Served, stored: Option<&[u8]>) -> Vec<u8> {
    memory.write(served, &model(), stored, NOW).0
}

fn read(memory: &mut Memory, values: &[&[u8]]) -> Result<(), String> {
    let values: Vec<Vec<u8>> = values.iter().map(|value| value.to_vec()).collect();
    memory.read(&model(), Some(&values), NOW)
}

#[test]
fn what_one_instance_wrote_another_reads() {
    let served = served(&json!({"breaker": {"consecutive": 2}}));
    let (mut one, mut other) = (Memory::default(), Memory::default());
    assert!(other.is_stale(&model(), NOW));
    fail(&mut one, &served, 1);
    fail(&mut other, &served, 2);
    let written = write(&mut one, &served, None);
    assert!(!is_open(&mut other, &served));
    read(&mut other, &[&written, &written]).unwrap();
    assert!(is_open(&mut other, &served));
    assert!(!other.is_stale(&model(), NOW + FRESH / 2));
    assert!(other.is_stale(&model(), NOW + FRESH));
    assert!(other.is_stale(&model(), NOW - FRESH));
}

#[test]
fn a_write_keeps_what_others_wrote_before_it() {
    let served = served(&json!({"breaker": {"consecutive": 2}}));
    let (mut one, mut other) = (Memory::default(), Memory::default());
    fail(&mut one, &served, 1);
    fail(&mut other, &served, 2);
    let first = write(&mut one, &served, None);
    let second = write(&mut other, &served, Some(&first));
    let mut third = Memory::default();
    read(&mut third, &[&second]).unwrap();
    assert!(is_open(&mut third, &served));
}

#[test]
fn what_is_damaged_is_told_and_costs_nothing_else() {
    let served = served(&json!({"breaker": {"consecutive": 1}}));
    let mut one = Memory::default();
    fail(&mut one, &served, 1);
    let good = write(&mut one, &served, Some(b"[not json"));
    let mut other = Memory::default();
    let told = read(&mut other, &[b"{", &good]).unwrap_err();
    assert!(told.contains("is damaged"), "{told}");
    assert!(is_open(&mut other, &served));
}

#[test]
fn versions_that_are_gone_are_not_kept() {
    let served = served(&json!({"breaker": {}}));
    let old = br#"{"breakers":{"9-0000000000000000":{"proven":true,"cleared":0,"calls":[]}}}"#;
    let written = write(&mut Memory::default(), &served, Some(old));
    let written: Snapshot = serde_json::from_slice(&written).unwrap();
    assert_eq!(written, Snapshot::default());
}

/// With a rollout of version 2, as the first instance of an application begins it.
fn rolling(served: &Served) -> Memory {
    let mut memory = Memory::default();
    let artifacts = served.artifacts(&model());
    let present = Present {
        artifacts: &artifacts,
        default: Version::try_from(1).unwrap(),
        strategy: served.strategy(&model()).unwrap(),
        host: 0,
    };
    memory.set_rollout(&model(), Kept::arrive(None, &present, 100_000).unwrap());
    memory
}

fn canary() -> Served {
    served(&json!({"strategy": {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}]}}}))
}

fn record(memory: &mut Memory, failed: Option<Trigger>, now: Duration) -> bool {
    let rollout = memory.rollout(&model()).unwrap().rollout().id.clone();
    let seen = Observation {
        version: second(),
        is_canary: true,
        share: 1000,
        failed,
        time: Duration::from_millis(1),
    };
    memory.record(&model(), &rollout, seen, now)
}

/// Requests and errors of the canary.
fn canarys(memory: &Memory) -> (u64, u64) {
    let (_, canary) = memory.evidence(&model()).totals();
    (canary.requests, canary.errors)
}

#[test]
fn what_instances_saw_of_a_canary_adds_up_over_the_keys() {
    let served = canary();
    let (mut one, mut other) = (rolling(&served), rolling(&served));
    assert!(record(&mut one, None, NOW));
    record(&mut other, Some(Trigger::Failed), NOW);
    record(&mut other, None, NOW);
    let first = write(&mut one, &served, None);
    let second = write(&mut other, &served, Some(&first));
    assert_eq!((canarys(&one), canarys(&other)), ((1, 0), (2, 1)));
    let mut third = Memory::default();
    record(&mut one, None, NOW);
    let another = write(&mut one, &served, None);
    read(&mut third, &[&second, &another]).unwrap();
    assert_eq!(canarys(&third), (4, 1));
    // What is read again is not added again.
    read(&mut third, &[&second, &another]).unwrap();
    assert_eq!(canarys(&third), (4, 1));
}

#[test]
fn what_was_not_written_after_all_is_written_later() {
    let served = canary();
    let mut memory = rolling(&served);
    record(&mut memory, None, NOW);
    let (_, news) = memory.write(&served, &model(), None, NOW);
    memory.keep(&model(), &news);
    let written = write(&mut memory, &served, None);
    let mut other = Memory::default();
    read(&mut other, &[&written]).unwrap();
    assert_eq!(canarys(&other), (1, 0));
}

#[test]
fn good_answers_are_written_together_and_failures_of_the_canary_at_once() {
    let served = canary();
    let mut memory = rolling(&served);
    assert!(record(&mut memory, None, NOW));
    write(&mut memory, &served, None);
    assert!(!record(&mut memory, None, NOW + FRESH / 2));
    assert!(record(&mut memory, None, NOW + FRESH));
    assert!(record(&mut memory, Some(Trigger::Guard), NOW + FRESH / 2));
}

#[test]
fn a_call_that_took_its_host_with_it_counts_against_the_canary() {
    let served = canary();
    let mut memory = rolling(&served);
    let note = Note {
        rollout: memory.rollout(&model()).unwrap().rollout().id.clone(),
        share: 1000,
        began: 100_000_000,
        number: 11,
    };
    let notes = [note.written(), Vec::new(), b"{".to_vec()];
    let second = Duration::from_secs(1);
    let mut find = |now| memory.find_lost(&model(), &notes, second, now);
    assert!(find(NOW).is_empty());
    assert_eq!(find(NOW + 2 * second), [11]);
    assert_eq!(canarys(&memory), (1, 1));
}

#[test]
fn a_rollout_whose_shares_are_none_is_damaged() {
    let served = canary();
    let written = write(&mut rolling(&served), &served, None);
    let mut value: serde_json::Value = serde_json::from_slice(&written).unwrap();
    value["rollout"]["rollout"]["weight"] = json!(10_001);
    let mut memory = Memory::default();
    let told = read(&mut memory, &[value.to_string().as_bytes()]).unwrap_err();
    assert!(told.contains("its shares are none"), "{told}");
    assert!(memory.rollout(&model()).is_none());
}
