//! Times, counted in buckets that grow by a fiftieth each.
//!
//! Source: the logarithmic buckets of Masson, Rim and Lee, "DDSketch", arXiv 1908.10693.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sequential::plausible;

const GROWTH: f64 = 1.02;

/// How often which time was seen, to within one part in fifty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u16, u64>);

impl Histogram {
    pub fn add(&mut self, time: Duration) {
        // Below a microsecond nothing is told apart.
        let microseconds = (time.as_nanos() as f64 / 1000.0).max(1.0);
        let bucket = libm::log(microseconds) / libm::log(GROWTH);
        *self.0.entry(bucket as u16).or_default() += 1;
    }

    pub fn merge(&mut self, other: &Histogram) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// In seconds; 0 where nothing was counted.
    pub fn quantile(&self, quantile: f64) -> f64 {
        let rank = libm::ceil(quantile * self.count() as f64) as u64;
        self.at(rank.max(1)).map_or(0.0, seconds)
    }

    /// Where the true quantile lies with a probability of `1 - alpha`, at all times together, in
    /// seconds. An end that cannot be told yet is 0 or infinite.
    ///
    /// Source: Howard and Ramdas, "Sequential estimation of quantiles", Bernoulli 28(3), 2022, with the
    /// beta-binomial bound.
    pub fn interval(&self, quantile: f64, alpha: f64) -> (f64, f64) {
        let count = self.count();
        let (least, most) = plausible(count, quantile, alpha);
        let low = match least {
            0 => 0.0,
            rank => self.at(rank).map_or(0.0, seconds),
        };
        let high = match most >= count {
            true => f64::INFINITY,
            false => self
                .at(most + 1)
                .map_or(f64::INFINITY, |bucket| seconds(bucket + 1)),
        };
        (low, high)
    }

    /// The bucket of the value at this place in the order, from 1.
    fn at(&self, rank: u64) -> Option<u16> {
        let mut passed = 0;
        self.0.iter().find_map(|(bucket, count)| {
            passed += count;
            (passed >= rank).then_some(*bucket)
        })
    }
}

/// The lower end of a bucket.
fn seconds(bucket: u16) -> f64 {
    libm::exp(f64::from(bucket) * libm::log(GROWTH)) / 1e6
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(milliseconds: impl Iterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        milliseconds.for_each(|time| histogram.add(Duration::from_millis(time)));
        histogram
    }

    #[test]
    fn quantiles_are_right_to_a_fiftieth() {
        let histogram = of(1..=1000);
        for quantile in [0.5, 0.95, 0.99] {
            let (found, expected) = (histogram.quantile(quantile), quantile);
            assert!((found / expected - 1.0).abs() < 0.03, "{found} {expected}");
            let (low, high) = histogram.interval(quantile, 0.05);
            assert!(low < expected && expected < high, "{low} {high}");
        }
        assert_eq!(Histogram::default().quantile(0.5), 0.0);
        let (low, high) = Histogram::default().interval(0.5, 0.05);
        assert_eq!((low, high), (0.0, f64::INFINITY));
    }

    proptest! {
        #[test]
        fn two_halves_are_the_whole(times in prop::collection::vec(0_u64..10_000_000, 0..200), at: prop::sample::Index) {
            let at = if times.is_empty() { 0 } else { at.index(times.len()) };
            let mut merged = of(times[at..].iter().copied());
            merged.merge(&of(times[..at].iter().copied()));
            prop_assert_eq!(merged, of(times.into_iter()));
        }
    }
}
