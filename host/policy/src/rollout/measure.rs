//! What is measured of a canary, and what the evidence says of it.

use serde::{Deserialize, Serialize};

use super::evidence::{Counts, Evidence, Split};
use crate::condition::Names;
use crate::names::Version;
use crate::routing::WHOLE;
use crate::statistics::histogram::Histogram;
use crate::statistics::moments::Moments;
use crate::statistics::sequential::{Failures, more_failures, other_probability, probability};

/// The requests were not shared out as they should have been, with this certainty.
const MISMATCH_ALPHA: f64 = 0.001;

/// Of the false alarms that are allowed, the part for requests that were not shared out at random.
const UNSHARED_PART: f64 = 0.2;

/// A stable version that answered fewer requests before the canary got all of them will not become
/// known any better...
const STABLE_MINIMUM: u64 = 50;

/// ...and is taken to fail on no more than this share of them.
const ASSUMED_RATE: f64 = 0.05;

/// Fewer numbers than this say nothing of a mean.
const MEAN_MINIMUM: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The share of requests on which the version failed.
    ErrorRate,
    /// The share of answers that guards kept back.
    InvalidOutputs,
    /// A quantile of the time an answer takes, in seconds. Worse is more than `tolerance` times
    /// stable's.
    Latency { quantile: f64, tolerance: f64 },
    /// The mean distance from stable's answers on mirrored requests. Worse is more than `limit`.
    Disagreement { limit: f64 },
    /// The mean of the rewards that came back. Worse is less than stable's by more than `tolerance`.
    Reward { tolerance: f64 },
}

/// What conditions are asked about, as `result`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub stable: f64,
    pub canary: f64,
    /// Where the difference of rewards, the ratio of latencies or the disagreement truly lies, as far
    /// as can be told.
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    /// Of the canary that were measured.
    pub requests: u64,
    /// Shown to be worse than stable.
    pub worse: bool,
    /// Shown to be better than stable.
    pub better: bool,
    /// The requests were not shared out as the weights say: nothing is to be concluded.
    pub mismatch: bool,
}

impl Finding {
    pub fn names(&self) -> Names {
        let numbers = [
            ("stable", self.stable),
            ("canary", self.canary),
            ("lower", self.lower.unwrap_or(f64::NEG_INFINITY)),
            ("upper", self.upper.unwrap_or(f64::INFINITY)),
            ("requests", self.requests as f64),
        ];
        let flags = [("worse", self.worse), ("better", self.better)];
        Names::default().record("result", &numbers, &flags)
    }
}

/// The two that are compared, and how certain a verdict has to be.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    pub stable: Version,
    pub canary: Version,
    /// The probability of a false alarm that is allowed, over all looks together.
    pub alpha: f64,
    /// Whether callers keep their version. Some call more often than others, so that the weights say
    /// how many callers a version has, and not how many requests.
    pub sticky: bool,
}

impl Measure {
    pub fn finding(&self, evidence: &Evidence, of: Comparison) -> Finding {
        let finding = match *self {
            Measure::ErrorRate => share(evidence, of, |counts| counts.errors),
            Measure::InvalidOutputs => share(evidence, of, |counts| counts.invalid),
            Measure::Latency {
                quantile,
                tolerance,
            } => latency(evidence, of, quantile, tolerance),
            Measure::Disagreement { limit } => disagreement(&evidence.disagreement, of, limit),
            Measure::Reward { tolerance } => reward(evidence, of, tolerance),
        };
        Finding {
            mismatch: !of.sticky && mismatch(evidence),
            ..finding
        }
    }
}

fn share(evidence: &Evidence, of: Comparison, bad: impl Fn(&Counts) -> u64) -> Finding {
    let (stable, canary) = evidence.totals();
    let rate = |counts: &Counts| bad(counts) as f64 / counts.requests.max(1) as f64;
    let is_random = !of.sticky && !mismatch(evidence);
    let random = two_sided(evidence).filter(|_| is_random);
    let failures = random.clone().map(|(share, split)| Failures {
        share,
        stable: bad(&split.stable),
        canary: bad(&split.canary),
    });
    let swapped = failures.clone().map(|split| Failures {
        share: 1.0 - split.share,
        stable: split.canary,
        canary: split.stable,
    });
    let mut unshared = (bad(&canary), canary.requests);
    for (_, split) in random {
        unshared.0 -= bad(&split.canary);
        unshared.1 -= split.canary.requests;
    }
    let alpha = of.alpha * UNSHARED_PART;
    let limit = libm::log(1.0 / (of.alpha - alpha));
    let took_all = evidence.splits.contains_key(&WHOLE);
    Finding {
        stable: rate(&stable),
        canary: rate(&canary),
        requests: canary.requests,
        worse: more_failures(failures) >= limit
            || is_higher(unshared, (bad(&stable), stable.requests), alpha, took_all),
        better: more_failures(swapped) >= limit,
        ..Finding::default()
    }
}

/// Whether events of the canary's requests, of which it is not known that they were shared out at
/// random, are likelier than those of stable's: two intervals that do not meet. Events come with
/// the number of requests.
fn is_higher(canary: (u64, u64), stable: (u64, u64), alpha: f64, took_all: bool) -> bool {
    if canary.0 == 0 {
        return false;
    }
    let upper = match took_all && stable.1 < STABLE_MINIMUM {
        true => ASSUMED_RATE,
        false => probability(stable.0, stable.1, alpha / 2.0).1,
    };
    probability(canary.0, canary.1, alpha / 2.0).0 > upper
}

/// The splits in which both versions took part, with the canary's share.
fn two_sided(evidence: &Evidence) -> impl Iterator<Item = (f64, &Split)> + Clone {
    let splits = evidence.splits.iter();
    let both = splits.filter(|(share, _)| (1..WHOLE).contains(*share));
    both.map(|(share, split)| (f64::from(*share) / f64::from(WHOLE), split))
}

/// Whether more or fewer requests reached the canary than its weights explain.
fn mismatch(evidence: &Evidence) -> bool {
    const WEIGHT: f64 = 1000.0;
    let log: f64 = two_sided(evidence)
        .map(|(share, split)| {
            let (stable, canary) = (split.stable.requests, split.canary.requests);
            other_probability(canary, stable + canary, share, WEIGHT)
        })
        .sum();
    log >= libm::log(1.0 / MISMATCH_ALPHA)
}

fn latency(evidence: &Evidence, of: Comparison, quantile: f64, tolerance: f64) -> Finding {
    let none = Histogram::default();
    let stable = evidence.latency.get(&of.stable).unwrap_or(&none);
    let canary = evidence.latency.get(&of.canary).unwrap_or(&none);
    // Each band may be wrong with half of what is allowed.
    let (stable_low, stable_high) = stable.interval(quantile, of.alpha / 2.0);
    let (canary_low, canary_high) = canary.interval(quantile, of.alpha / 2.0);
    let lower = Some(canary_low / stable_high).filter(|ratio| *ratio > 0.0);
    let upper = Some(canary_high / stable_low).filter(|ratio| ratio.is_finite());
    Finding {
        stable: stable.quantile(quantile),
        canary: canary.quantile(quantile),
        lower,
        upper,
        requests: canary.count(),
        worse: lower.is_some_and(|ratio| ratio > tolerance),
        better: upper.is_some_and(|ratio| ratio < 1.0),
        mismatch: false,
    }
}

fn disagreement(seen: &Moments, of: Comparison, limit: f64) -> Finding {
    let interval = seen.interval(of.alpha);
    let interval = interval.filter(|_| seen.count >= MEAN_MINIMUM);
    Finding {
        canary: seen.mean(),
        lower: interval.map(|(lower, _)| lower),
        upper: interval.map(|(_, upper)| upper),
        requests: seen.count,
        worse: interval.is_some_and(|(lower, _)| lower > limit),
        better: interval.is_some_and(|(_, upper)| upper < limit),
        ..Finding::default()
    }
}

fn reward(evidence: &Evidence, of: Comparison, tolerance: f64) -> Finding {
    let none = Moments::default();
    let stable = evidence.rewards.get(&of.stable).unwrap_or(&none);
    let canary = evidence.rewards.get(&of.canary).unwrap_or(&none);
    let difference = canary.difference(stable, of.alpha);
    let difference = difference.filter(|_| canary.count.min(stable.count) >= MEAN_MINIMUM);
    Finding {
        stable: stable.mean(),
        canary: canary.mean(),
        lower: difference.map(|(lower, _)| lower),
        upper: difference.map(|(_, upper)| upper),
        requests: canary.count,
        worse: difference.is_some_and(|(_, upper)| upper < -tolerance),
        better: difference.is_some_and(|(lower, _)| lower > 0.0),
        mismatch: false,
    }
}
