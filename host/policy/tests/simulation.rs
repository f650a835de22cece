//! What is promised of the statistics, simulated with seeds: few false alarms however often one looks,
//! and few requests until a broken canary is found.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use modelet_policy::fallback::Trigger;
use modelet_policy::names::Version;
use modelet_policy::rollout::evidence::{Evidence, Observation};
use modelet_policy::rollout::measure::{Comparison, Finding, Measure};

const ALPHA: f64 = 0.05;
const REQUESTS: u32 = 20_000;
const LOOK_EVERY: u32 = 50;
const RUNS: u64 = 1_000;

/// Numbers between 0 and 1 that look random. Source: SplitMix64, Steele, Lea and Flood, 2014.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What the requests of one version are like.
#[derive(Clone, Copy)]
struct Arm {
    error_rate: f64,
    /// Of a time that is exponentially distributed above one millisecond.
    mean: f64,
    reward: f64,
}

const FINE: Arm = Arm {
    error_rate: 0.01,
    mean: 0.010,
    reward: 0.8,
};

fn version(number: u64) -> Version {
    Version::try_from(number).unwrap()
}

fn request(evidence: &mut Evidence, draws: &mut Draws, share: u32, arms: [Arm; 2]) {
    let is_canary = draws.next() * 10_000.0 < f64::from(share);
    let arm = arms[usize::from(is_canary)];
    let version = version(1 + u64::from(is_canary));
    let failed = (draws.next() < arm.error_rate).then_some(Trigger::Trap);
    let seconds = 0.001 - arm.mean * (1.0 - draws.next()).ln();
    evidence.record(Observation {
        version,
        is_canary,
        share,
        failed,
        time: Duration::from_secs_f64(seconds),
    });
    let reward = f64::from(u8::from(draws.next() < arm.reward));
    evidence.rewards.entry(version).or_default().add(reward);
}

/// The requests, of both arms, after which `is_over` for the first time.
fn until(
    seed: u64,
    share: u32,
    arms: [Arm; 2],
    measure: Measure,
    is_over: impl Fn(&Finding) -> bool,
) -> Option<u32> {
    until_of(seed, share, arms, measure, false, is_over)
}

fn until_of(
    seed: u64,
    share: u32,
    arms: [Arm; 2],
    measure: Measure,
    sticky: bool,
    is_over: impl Fn(&Finding) -> bool,
) -> Option<u32> {
    let of = Comparison {
        stable: version(1),
        canary: version(2),
        alpha: ALPHA,
        sticky,
    };
    let mut draws = Draws(seed * 7_919 + u64::from(share));
    let mut evidence = Evidence::default();
    (1..=REQUESTS).find(|count| {
        request(&mut evidence, &mut draws, share, arms);
        count % LOOK_EVERY == 0 && is_over(&measure.finding(&evidence, of))
    })
}

/// The share of runs with equal arms in which one is called worse.
fn false_alarms(share: u32, arm: Arm, measure: Measure) -> f64 {
    let alarms = (0..RUNS)
        .filter(|seed| until(*seed, share, [arm; 2], measure, |finding| finding.worse).is_some());
    alarms.count() as f64 / RUNS as f64
}

#[test]
fn equal_versions_are_hardly_ever_called_worse() {
    for error_rate in [0.001, 0.01, 0.1, 0.5] {
        let arm = Arm { error_rate, ..FINE };
        for share in [100, 1_000, 5_000] {
            let found = false_alarms(share, arm, Measure::ErrorRate);
            eprintln!("errors {error_rate}, share {share}: {found}");
            assert!(
                found <= ALPHA,
                "errors {error_rate}, share {share}: {found}"
            );
        }
    }
}

#[test]
fn equal_versions_whose_callers_stay_are_hardly_ever_called_worse() {
    const RUNS: u64 = 200;
    for error_rate in [0.01, 0.5] {
        let arm = Arm { error_rate, ..FINE };
        let alarm = |seed: &u64| {
            until_of(
                *seed,
                1_000,
                [arm; 2],
                Measure::ErrorRate,
                true,
                |finding| finding.worse,
            )
            .is_some()
        };
        let found = (0..RUNS).filter(alarm).count() as f64 / RUNS as f64;
        assert!(found <= ALPHA, "errors {error_rate}: {found}");
    }
}

#[test]
fn equal_latencies_and_rewards_are_hardly_ever_called_worse() {
    let latency = Measure::Latency {
        quantile: 0.95,
        tolerance: 1.0,
    };
    for measure in [latency, Measure::Reward { tolerance: 0.0 }] {
        for share in [1_000, 5_000] {
            let found = false_alarms(share, FINE, measure);
            eprintln!("{measure:?}, share {share}: {found}");
            assert!(found <= ALPHA, "{measure:?}, share {share}: {found}");
        }
    }
}

#[test]
fn a_fair_share_is_hardly_ever_called_a_mismatch() {
    let found = (0..RUNS).filter(|seed| {
        until(*seed, 1_000, [FINE; 2], Measure::ErrorRate, |finding| {
            finding.mismatch
        })
        .is_some()
    });
    assert!(found.count() <= 5);
}

/// The median over the runs; a run that finds nothing counts as all requests.
fn median(share: u32, arms: [Arm; 2], measure: Measure) -> u32 {
    let of = |seed| until(seed, share, arms, measure, |finding| finding.worse).unwrap_or(REQUESTS);
    let mut found: Vec<u32> = (0..RUNS).map(of).collect();
    found.sort_unstable();
    found[found.len() / 2]
}

#[test]
fn a_broken_canary_is_found_within_few_requests() {
    let broken = Arm {
        error_rate: 0.5,
        ..FINE
    };
    for (share, at_most) in [(5_000, 100), (1_000, 200), (500, 300), (100, 1_000)] {
        let found = median(share, [FINE, broken], Measure::ErrorRate);
        eprintln!("half of all fail, share {share}: {found}");
        assert!(found <= at_most, "share {share}: {found}");
    }
}

#[test]
fn a_slow_or_useless_canary_is_found() {
    let slow = Arm {
        mean: 0.050,
        ..FINE
    };
    let useless = Arm {
        reward: 0.6,
        ..FINE
    };
    let latency = Measure::Latency {
        quantile: 0.95,
        tolerance: 1.25,
    };
    for (arm, measure) in [
        (slow, latency),
        (useless, Measure::Reward { tolerance: 0.0 }),
    ] {
        let found = median(1_000, [FINE, arm], measure);
        eprintln!("{measure:?}: {found}");
        assert!(found < 10_000, "{measure:?}: {found}");
    }
}
