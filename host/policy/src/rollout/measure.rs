//! What is measured of a canary, and what the evidence says of it.

use serde::{Deserialize, Serialize};

use super::evidence::{Counts, Evidence, Split};
use crate::condition::Names;
use crate::names::Version;
use crate::routing::WHOLE;
use crate::statistics::histogram::Histogram;
use crate::statistics::moments::Moments;
use crate::statistics::sequential::{Failures, more_failures, other_probability};

/// The requests were not shared out as they should have been, with this certainty.
const MISMATCH_ALPHA: f64 = 0.001;

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
            mismatch: mismatch(evidence),
            ..finding
        }
    }
}

fn share(evidence: &Evidence, of: Comparison, bad: impl Fn(&Counts) -> u64) -> Finding {
    let (stable, canary) = evidence.totals();
    let rate = |counts: &Counts| bad(counts) as f64 / counts.requests.max(1) as f64;
    let failures = two_sided(evidence).map(|(share, split)| Failures {
        share,
        stable: bad(&split.stable),
        canary: bad(&split.canary),
    });
    let swapped = failures.clone().map(|split| Failures {
        share: 1.0 - split.share,
        stable: split.canary,
        canary: split.stable,
    });
    let limit = libm::log(1.0 / of.alpha);
    Finding {
        stable: rate(&stable),
        canary: rate(&canary),
        requests: canary.requests,
        worse: more_failures(failures) >= limit,
        better: more_failures(swapped) >= limit,
        ..Finding::default()
    }
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
