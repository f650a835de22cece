//! Weights that follow the rewards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Millis;
use super::evidence::Evidence;
use crate::names::Version;
use crate::routing::WHOLE;
use crate::statistics::moments::Moments;

/// Versions that compete for requests. Rewards lie between 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bandit {
    pub algorithm: Algorithm,
    /// What every arm gets at least, in parts of [`WHOLE`].
    pub minimum: u32,
    /// How often the weights are computed anew.
    pub interval: Millis,
    /// After this the best arm is promoted. `None`: somebody has to say so.
    pub duration: Option<Millis>,
    pub arms: Vec<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// An arm's share is its probability of being the best.
    Thompson,
    /// The arm with the highest upper confidence bound. Source: Auer, Cesa-Bianchi and Fischer,
    /// "Finite-time analysis of the multiarmed bandit problem", 2002.
    Ucb1,
    /// The best arm so far, but for a share of `epsilon` that all have alike.
    EpsilonGreedy { epsilon: f64 },
}

impl Bandit {
    /// Parts of [`WHOLE`], all of it together.
    pub fn weights(&self, evidence: &Evidence) -> BTreeMap<Version, u32> {
        let none = Moments::default();
        let of = |arm: &Version| *evidence.rewards.get(arm).unwrap_or(&none);
        let rewards: Vec<Moments> = self.arms.iter().map(of).collect();
        let shares = match self.algorithm {
            Algorithm::Thompson => probability_of_best(&rewards),
            Algorithm::Ucb1 => all_to(&ucb1(&rewards)),
            Algorithm::EpsilonGreedy { epsilon } => {
                let means: Vec<f64> = rewards.iter().map(optimistic_mean).collect();
                let alike = epsilon / means.len() as f64;
                let best = all_to(&means).into_iter();
                best.map(|share| share * (1.0 - epsilon) + alike).collect()
            }
        };
        self.shared_out(&shares)
    }

    /// The arm that has the highest mean so far.
    pub fn best(&self, evidence: &Evidence) -> Option<Version> {
        let seen = |arm: &Version| Some((evidence.rewards.get(arm)?.mean(), *arm));
        let best = self.arms.iter().filter_map(seen);
        best.max_by(|(a, _), (b, _)| a.total_cmp(b))
            .map(|(_, arm)| arm)
    }

    fn shared_out(&self, shares: &[f64]) -> BTreeMap<Version, u32> {
        let arms = self.arms.len() as u32;
        let free = f64::from(WHOLE.saturating_sub(self.minimum * arms));
        let part = |share: &f64| self.minimum + libm::floor(share * free) as u32;
        let mut parts: Vec<u32> = shares.iter().map(part).collect();
        // What rounding left over goes to the largest.
        let left = WHOLE.saturating_sub(parts.iter().sum());
        if let Some(largest) = parts.iter_mut().max() {
            *largest += left;
        }
        let mut shared = BTreeMap::new();
        shared.extend(self.arms.iter().copied().zip(parts));
        shared
    }
}

/// An arm that was never tried may be the best.
fn optimistic_mean(rewards: &Moments) -> f64 {
    match rewards.count {
        0 => 1.0,
        _ => rewards.mean(),
    }
}

/// Everything to the highest; equals share.
fn all_to(values: &[f64]) -> Vec<f64> {
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let count = values.iter().filter(|value| **value == highest).count();
    let share = |value: &f64| match *value == highest {
        true => 1.0 / count as f64,
        false => 0.0,
    };
    values.iter().map(share).collect()
}

fn ucb1(rewards: &[Moments]) -> Vec<f64> {
    let total: u64 = rewards.iter().map(|arm| arm.count).sum();
    let bound = |arm: &Moments| match arm.count {
        0 => f64::INFINITY,
        count => arm.mean() + (2.0 * libm::log(total as f64) / count as f64).sqrt(),
    };
    rewards.iter().map(bound).collect()
}

/// By integration over a grid: with Beta(1 + rewards, 1 + what was missed of them) for each arm's mean.
fn probability_of_best(rewards: &[Moments]) -> Vec<f64> {
    const POINTS: usize = 2000;
    let densities: Vec<Vec<f64>> = rewards.iter().map(|arm| density(arm, POINTS)).collect();
    let mut below = vec![0.0; rewards.len()];
    let mut best = vec![0.0; rewards.len()];
    for point in 0..POINTS {
        for (arm, density) in densities.iter().enumerate() {
            let others = below.iter().zip(&densities).enumerate();
            let others = others.filter(|(other, _)| *other != arm);
            // Half of what lies at this same point counts as below.
            let all_below: f64 = others
                .map(|(_, (below, density))| below + density[point] / 2.0)
                .product();
            best[arm] += density[point] * all_below;
        }
        for (below, density) in below.iter_mut().zip(&densities) {
            *below += density[point];
        }
    }
    let total: f64 = best.iter().sum();
    best.iter().map(|share| share / total).collect()
}

/// Of Beta(1 + s, 1 + f), normalised over the grid.
fn density(rewards: &Moments, points: usize) -> Vec<f64> {
    let good = rewards.sum.clamp(0.0, rewards.count as f64);
    let bad = rewards.count as f64 - good;
    let logs = (0..points).map(|point| {
        let x = (point as f64 + 0.5) / points as f64;
        good * libm::log(x) + bad * libm::log(1.0 - x)
    });
    let logs: Vec<f64> = logs.collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let heights: Vec<f64> = logs.iter().map(|log| libm::exp(log - largest)).collect();
    let total: f64 = heights.iter().sum();
    heights.iter().map(|height| height / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALGORITHMS: [Algorithm; 3] = [
        Algorithm::Thompson,
        Algorithm::Ucb1,
        Algorithm::EpsilonGreedy { epsilon: 0.1 },
    ];

    fn weights(algorithm: Algorithm, rewards: &[(u64, f64)]) -> Vec<u32> {
        let version = |number: usize| Version::try_from(number as u64).unwrap();
        let bandit = Bandit {
            algorithm,
            minimum: 100,
            interval: 1000,
            duration: None,
            arms: (1..=rewards.len()).map(version).collect(),
        };
        let mut evidence = Evidence::default();
        for (number, (count, mean)) in (1..).zip(rewards) {
            let moments = Moments {
                count: *count,
                sum: mean * *count as f64,
                squares: mean * *count as f64,
            };
            evidence.rewards.insert(version(number), moments);
        }
        let weights: Vec<u32> = bandit.weights(&evidence).into_values().collect();
        assert_eq!(weights.iter().sum::<u32>(), WHOLE, "{algorithm:?}");
        assert!(weights.iter().all(|weight| *weight >= 100), "{weights:?}");
        weights
    }

    #[test]
    fn without_rewards_all_get_alike() {
        for algorithm in ALGORITHMS {
            let weights = weights(algorithm, &[(0, 0.0), (0, 0.0)]);
            assert!(weights[0].abs_diff(weights[1]) <= 2, "{weights:?}");
        }
    }

    #[test]
    fn the_best_gets_most() {
        for algorithm in ALGORITHMS {
            let weights = weights(algorithm, &[(1000, 0.5), (1000, 0.7), (1000, 0.6)]);
            assert!(weights[1] > 9_000, "{algorithm:?} {weights:?}");
        }
    }

    #[test]
    fn thompson_goes_by_the_probability_of_being_best() {
        let few = weights(Algorithm::Thompson, &[(10, 0.5), (10, 0.6)]);
        let many = weights(Algorithm::Thompson, &[(200, 0.5), (200, 0.6)]);
        assert!(few[1] > 6_000 && few[1] < 8_000, "{few:?}");
        assert!(many[1] > few[1]);
    }
}
