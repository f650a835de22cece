//! Stories of rollouts, told with evidence made up and time given.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use modelet_policy::fallback::Trigger;
use modelet_policy::names::Version;
use modelet_policy::rollout::evidence::{Evidence, Observation};
use modelet_policy::rollout::{Pause, Phase, Rollout, Seen};
use modelet_policy::routing::WHOLE;
use modelet_policy::spec::ModelSpec;
use proptest::prelude::*;

fn version(number: u64) -> Version {
    Version::try_from(number).unwrap()
}

/// A rollout from version 1 to 2 and what it has seen so far.
struct Story {
    rollout: Rollout,
    evidence: Evidence,
    now: u64,
    ready: bool,
    sticky: bool,
}

impl Story {
    fn begin(strategy: &str) -> Story {
        let strategy = ModelSpec::parse(strategy).unwrap().strategy.unwrap();
        Story {
            rollout: Rollout::start("a".to_owned(), strategy, version(1), version(2), 0),
            evidence: Evidence::default(),
            now: 0,
            ready: true,
            sticky: false,
        }
    }

    fn seen<T>(&mut self, look: impl FnOnce(&mut Rollout, &Seen<'_>) -> T) -> T {
        let ready = self.ready;
        let seen = Seen {
            now: self.now,
            evidence: &self.evidence,
            is_ready: &|_| ready,
            sticky: self.sticky,
        };
        look(&mut self.rollout, &seen)
    }

    fn tick(&mut self) -> Vec<String> {
        self.seen(Rollout::tick)
    }

    fn after(&mut self, seconds: u64) -> &mut Story {
        self.now += seconds * 1000;
        self.tick();
        self
    }

    /// Requests that the weights send to each, of which some fail.
    fn requests(&mut self, stable: (u64, u64), canary: (u64, u64)) -> &mut Story {
        for (is_canary, (requests, errors)) in [(false, stable), (true, canary)] {
            for number in 0..requests {
                let time = Duration::from_millis(if is_canary { 12 } else { 10 });
                let failed = (number < errors).then_some(Trigger::Trap);
                self.record(is_canary, failed, time);
            }
        }
        self
    }

    fn record(&mut self, is_canary: bool, failed: Option<Trigger>, time: Duration) {
        self.evidence.record(Observation {
            version: version(if is_canary { 2 } else { 1 }),
            is_canary,
            share: self.rollout.weight,
            failed,
            time,
        });
    }

    fn check(&self, phase: Phase, step: usize, weight_percent: u32) {
        let found = (self.rollout.phase, self.rollout.step, self.rollout.weight);
        let expected = (phase, step, weight_percent * WHOLE / 100);
        assert_eq!(found, expected, "{:?}", self.rollout);
    }
}

const CANARY: &str = "[strategy.canary]\nsteps = [{ setWeight = 10 }, { pause = { duration = \"1m\" } }, \
                      { setWeight = 50 }, { pause = {} }]";

#[test]
fn a_canary_takes_its_steps_and_waits_where_it_should() {
    let mut story = Story::begin(CANARY);
    story.tick();
    story.check(Phase::Progressing, 1, 10);
    story.after(59).check(Phase::Progressing, 1, 10);
    story.after(1).check(Phase::Paused(Pause::Step), 3, 50);
    story.after(10_000).check(Phase::Paused(Pause::Step), 3, 50);
    story
        .seen(|rollout, seen| rollout.promote(false, seen))
        .unwrap();
    story.check(Phase::Healthy, 4, 0);
    assert_eq!(story.rollout.stable, version(2));
    assert_eq!(story.rollout.weights(), [(version(2), WHOLE)].into());
    story.seen(Rollout::undo).unwrap();
    assert_eq!(story.rollout.stable, version(1));
}

#[test]
fn no_weight_moves_to_a_version_that_is_not_ready() {
    let mut story = Story::begin(CANARY);
    story.ready = false;
    story.after(1000).check(Phase::Progressing, 0, 0);
    assert!(story.rollout.message.contains("readiness"));
    let full = story.seen(|rollout, seen| rollout.promote(true, seen));
    assert!(full.unwrap_err().to_string().contains("readiness"));
    story.ready = true;
    story.after(1).check(Phase::Progressing, 1, 10);
}

#[test]
fn a_canary_that_fails_is_aborted_and_can_be_tried_again() {
    let mut story = Story::begin(CANARY);
    story.tick();
    story.requests((36, 0), (4, 4)).after(1);
    story.check(Phase::Degraded, 1, 0);
    assert!(
        story.rollout.message.contains("error-rate"),
        "{}",
        story.rollout.message
    );
    story
        .seen(|rollout, seen| rollout.retry("b".to_owned(), seen))
        .unwrap();
    story.evidence = Evidence::default();
    story.after(0).check(Phase::Progressing, 1, 10);
}

#[test]
fn a_canary_that_fails_is_aborted_whenever_the_host_looks() {
    let mut story = Story::begin(CANARY);
    story.tick();
    story.now += 10;
    story.tick();
    story.requests((200, 0), (20, 10));
    story.now += 10;
    story.tick();
    story.check(Phase::Degraded, 1, 0);
}

#[test]
fn a_canary_that_fails_no_more_than_stable_goes_on() {
    let mut story = Story::begin(CANARY);
    story.tick();
    story.requests((900, 45), (100, 5)).after(60);
    story.check(Phase::Paused(Pause::Step), 3, 50);
}

#[test]
fn answers_that_guards_keep_back_abort_too() {
    let mut story = Story::begin(CANARY);
    story.tick();
    story.requests((36, 0), (0, 0));
    for _ in 0..4 {
        story.record(true, Some(Trigger::Guard), Duration::ZERO);
    }
    story.after(1).check(Phase::Degraded, 1, 0);
    assert!(story.rollout.message.contains("invalid-outputs"));
}

#[test]
fn an_analysis_without_data_holds() {
    let steps = "[strategy.canary]\nsteps = [{ setWeight = 20 }, { analysis = { metrics = [\
                 { metric = \"error-rate\", interval = \"10s\", count = 3 }] } }]";
    let mut story = Story::begin(steps);
    for _ in 0..100 {
        story.after(10).check(Phase::Progressing, 1, 20);
    }
    story.requests((400, 0), (100, 0));
    story.after(10).after(10).check(Phase::Progressing, 1, 20);
    story.after(10).check(Phase::Healthy, 2, 0);
}

#[test]
fn a_slow_canary_is_aborted_and_a_little_slower_one_is_not() {
    for (milliseconds, phase) in [(60, Phase::Degraded), (11, Phase::Healthy)] {
        let mut story = Story::begin(
            "[strategy.canary]\nsteps = [{ setWeight = 10 }, { analysis = { metrics = [\
             { metric = \"latency\", quantile = 0.5, tolerance = 1.5 }] } }]",
        );
        story.tick();
        story.requests((900, 0), (0, 0));
        for _ in 0..100 {
            story.record(true, None, Duration::from_millis(milliseconds));
        }
        story.after(1);
        assert_eq!(story.rollout.phase, phase, "{}", story.rollout.message);
    }
}

#[test]
fn requests_that_were_not_shared_out_as_asked_block_the_verdict() {
    let mut story = Story::begin(CANARY);
    story.tick();
    story.requests((500, 0), (500, 0)).after(1);
    story.check(Phase::Paused(Pause::InconclusiveAnalysisRun), 1, 10);
    assert!(story.rollout.message.contains("shared out"));
    // But no caller has to suffer for it, also while it waits.
    story.requests((0, 0), (100, 100)).after(1);
    story.check(Phase::Degraded, 1, 0);
}

#[test]
fn a_caller_who_calls_often_neither_blocks_nor_hides_a_verdict() {
    let mut story = Story::begin(CANARY);
    story.sticky = true;
    story.tick();
    story.requests((900, 9), (900, 9)).after(1);
    story.check(Phase::Progressing, 1, 10);
    story.requests((9_000, 90), (40, 40)).after(1);
    story.check(Phase::Degraded, 1, 0);
}

#[test]
fn a_version_that_takes_everything_is_still_judged() {
    let post = "[strategy.blueGreen.postPromotionAnalysis]\n\
                metrics = [{ metric = \"error-rate\", interval = \"1s\", count = 3 }]";
    // With and without a stable version that is known well.
    for known in [500, 0] {
        let mut story = Story::begin(post);
        story.requests((known, known / 100), (0, 0));
        story.tick();
        story.check(Phase::Progressing, 1, 100);
        story.requests((0, 0), (80, 80)).after(1);
        story.check(Phase::Degraded, 1, 0);
        let mut story = Story::begin(post);
        story.requests((known, known / 100), (0, 0));
        story.tick();
        story.requests((0, 0), (80, 1)).after(1).after(1).after(1);
        story.check(Phase::Healthy, 2, 0);
    }
}

#[test]
fn a_preview_is_judged_by_those_who_ask_for_it_and_by_mirrored_requests() {
    let pre = "strategy.blueGreen.mirror = 25\n[strategy.blueGreen.prePromotionAnalysis]\n\
               metrics = [{ metric = \"error-rate\" }]";
    let mut story = Story::begin(pre);
    story.tick();
    story.check(Phase::Progressing, 1, 0);
    assert_eq!(story.rollout.mirror, 2500);
    story.requests((200, 2), (10, 0)).after(1);
    assert!(story.rollout.message.contains("waits for requests"));
    story.requests((200, 2), (60, 0)).after(1);
    story.check(Phase::Healthy, 4, 0);
    assert_eq!(story.rollout.stable, version(2));
    let mut story = Story::begin(pre);
    story.tick();
    story.requests((200, 2), (20, 20)).after(1);
    story.check(Phase::Degraded, 1, 0);
}

#[test]
fn a_condition_that_cannot_be_evaluated_ends_as_an_error() {
    let mut story = Story::begin(
        "[strategy.canary]\nsteps = [{ setWeight = 50 }, { analysis = { metrics = [\
         { metric = \"error-rate\", interval = \"1s\", successCondition = \"result.missing.x < 1\" }] } }]",
    );
    story.tick();
    story.requests((100, 0), (100, 0));
    for _ in 0..4 {
        story.after(1).check(Phase::Progressing, 1, 50);
    }
    story.after(1).check(Phase::Degraded, 1, 0);
}

#[test]
fn conditions_of_ones_own_decide() {
    let steps = |condition: &str| {
        format!(
            "[strategy.canary]\nsteps = [{{ setWeight = 50 }}, {{ analysis = {{ metrics = [\
             {{ metric = \"error-rate\", {condition} }}] }} }}]\nanalysis = {{}}"
        )
    };
    let cases = [
        ("successCondition = \"result.canary < 0.2\"", Phase::Healthy),
        (
            "successCondition = \"result.canary < 0.05\"",
            Phase::Degraded,
        ),
        (
            "failureCondition = \"result.canary > 0.05\"",
            Phase::Degraded,
        ),
        (
            "successCondition = \"result.canary < 0.05\", failureCondition = \"result.canary > 0.5\"",
            Phase::Paused(Pause::InconclusiveAnalysisRun),
        ),
    ];
    for (condition, phase) in cases {
        let mut story = Story::begin(&steps(condition));
        story.tick();
        story.requests((100, 10), (100, 10)).after(1);
        assert_eq!(story.rollout.phase, phase, "{condition}");
    }
}

#[test]
fn blue_and_green_switch_at_once_and_back() {
    let mut story = Story::begin("strategy.blueGreen = { autoPromotionEnabled = false }");
    story.after(1).check(Phase::Paused(Pause::Step), 0, 0);
    let spec = story.rollout.applied_to(&ModelSpec::default());
    assert_eq!(spec.labels["preview"], version(2));
    assert_eq!(spec.fallback.chain.len(), 1, "stable answers for it");
    story
        .seen(|rollout, seen| rollout.promote(false, seen))
        .unwrap();
    story.check(Phase::Healthy, 2, 0);
    assert_eq!(story.rollout.stable, version(2));
    let declared = ModelSpec::parse("traffic.weights = { 1 = 30, 2 = 70 }").unwrap();
    let spec = story.rollout.applied_to(&declared);
    assert_eq!(spec.traffic.weights, declared.traffic.weights, "it is over");
    story.seen(Rollout::undo).unwrap();
    assert_eq!(story.rollout.stable, version(1));
}

#[test]
fn a_shadow_is_never_promoted_by_itself() {
    let mut story = Story::begin(
        "[strategy.shadow]\nmirror = 25\nanalysis = { metrics = [{ metric = \"disagreement\" }] }",
    );
    story.after(1).check(Phase::Progressing, 1, 0);
    assert_eq!(story.rollout.mirror, 2500);
    (0..200).for_each(|_| story.evidence.disagreement.add(0.0));
    story.after(1).check(Phase::Healthy, 2, 0);
    assert_eq!(
        (story.rollout.stable, story.rollout.mirror),
        (version(1), 0)
    );
}

#[test]
fn a_test_of_a_and_b_ends_when_one_is_better() {
    for (better, phase, stable) in [(true, Phase::Healthy, 2), (false, Phase::Degraded, 1)] {
        let mut story = Story::begin("strategy.abTest = { weight = 50, duration = \"1h\" }");
        story.after(1).check(Phase::Progressing, 1, 50);
        for number in 0..2000 {
            let (good, bad) = (f64::from(number % 10 != 0), f64::from(number % 2));
            let (first, second) = if better { (bad, good) } else { (good, bad) };
            story
                .evidence
                .rewards
                .entry(version(1))
                .or_default()
                .add(first);
            story
                .evidence
                .rewards
                .entry(version(2))
                .or_default()
                .add(second);
        }
        story.after(1);
        assert_eq!(story.rollout.phase, phase);
        assert_eq!(story.rollout.stable, version(stable));
    }
}

#[test]
fn a_bandit_follows_the_rewards_and_promotes_the_best() {
    let mut story = Story::begin(
        "strategy.bandit = { algorithm = \"ucb1\", interval = \"10s\", duration = \"1m\", arms = [1, 2, 3] }",
    );
    story.tick();
    assert_eq!(story.rollout.weights().len(), 3);
    for _ in 0..1000 {
        for (arm, reward) in [(1, 0.2), (2, 0.3), (3, 0.9)] {
            story
                .evidence
                .rewards
                .entry(version(arm))
                .or_default()
                .add(reward);
        }
    }
    story.after(5);
    assert!(
        story.rollout.weights()[&version(3)] < 5000,
        "not before its time"
    );
    story.after(5);
    assert_eq!(story.rollout.weights()[&version(3)], 9800);
    story.after(60);
    assert_eq!(
        (story.rollout.phase, story.rollout.stable),
        (Phase::Healthy, version(3))
    );
}

#[test]
fn verbs_that_make_no_sense_are_refused() {
    let mut story = Story::begin(CANARY);
    story.tick();
    assert!(
        story
            .seen(|rollout, seen| rollout.promote(false, seen))
            .is_err()
    );
    assert!(story.seen(Rollout::resume).is_err());
    assert!(story.seen(Rollout::undo).is_err());
    story.rollout.pause().unwrap();
    assert!(story.rollout.pause().is_err());
    story.after(100).check(Phase::Paused(Pause::Asked), 1, 10);
    story.seen(Rollout::resume).unwrap();
    story.check(Phase::Paused(Pause::Step), 3, 50);
    story.rollout.abort().unwrap();
    story.check(Phase::Degraded, 3, 0);
    assert!(story.rollout.abort().is_err());
    assert!(
        story
            .seen(Rollout::undo)
            .unwrap_err()
            .to_string()
            .contains("no version before")
    );
}

#[test]
fn a_rollout_is_the_same_after_it_was_written_down() {
    let strategies = [
        CANARY,
        "strategy.abTest = {}",
        "strategy.bandit = {}",
        "[strategy.canary]\nsteps = [{ analysis = { metrics = [{ metric = \"latency\", \
         failureCondition = \"result.lower > 2\" }] } }]",
    ];
    for strategy in strategies {
        let mut story = Story::begin(strategy);
        story.requests((10, 0), (10, 0)).after(1);
        let written = serde_json::to_string(&story.rollout).unwrap();
        let read: Rollout = serde_json::from_str(&written).unwrap();
        assert_eq!(read, story.rollout);
        let written = serde_json::to_string(&story.evidence).unwrap();
        assert_eq!(
            serde_json::from_str::<Evidence>(&written).unwrap(),
            story.evidence
        );
    }
}

proptest! {
    /// Whatever happens, steps are taken in order, one weight is set at a time, and without evidence
    /// nobody is aborted.
    #[test]
    fn steps_are_neither_skipped_nor_repeated(ticks in prop::collection::vec((0_u64..90, 0_u8..6), 0..60)) {
        let mut story = Story::begin(CANARY);
        let mut last = 0;
        for (seconds, verb) in ticks {
            story.now += seconds * 1000;
            let said = match verb {
                0 => story.rollout.pause().unwrap_or_default(),
                1 => story.seen(Rollout::resume).unwrap_or_default(),
                2 => story.seen(|rollout, seen| rollout.promote(false, seen)).unwrap_or_default(),
                _ => story.tick(),
            };
            let steps = said.iter().filter(|what| what.starts_with("step ")).count();
            prop_assert_eq!(story.rollout.step, last + steps);
            last = story.rollout.step;
            prop_assert_ne!(story.rollout.phase, Phase::Degraded);
            let weights: u32 = story.rollout.weights().values().sum();
            prop_assert_eq!(weights, WHOLE);
        }
    }

    #[test]
    fn evidence_of_two_nodes_is_that_of_one(seen in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u8..4, 1_u64..1_000_000), 0..100)) {
        let mut all = Evidence::default();
        let mut nodes = [Evidence::default(), Evidence::default()];
        for (node, is_canary, failed, micros) in seen {
            let seen = Observation {
                version: version(if is_canary { 2 } else { 1 }),
                is_canary,
                share: 1000,
                failed: [None, Some(Trigger::Trap), Some(Trigger::Guard), Some(Trigger::Overload)][failed as usize],
                time: Duration::from_micros(micros),
            };
            all.record(seen);
            nodes[usize::from(node)].record(seen);
        }
        let [mut one, two] = nodes;
        one.merge(&two);
        prop_assert_eq!(one, all);
    }
}
