//! Mean and spread of numbers, and how far the mean may be off.

use serde::{Deserialize, Serialize};

/// The number of requests for which the confidence sequence is narrowest.
const TUNED_FOR: f64 = 5_000.0;

/// Count, sum and sum of squares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    pub count: u64,
    pub sum: f64,
    pub squares: f64,
}

impl Moments {
    /// What is not finite is not counted.
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.count += 1;
            self.sum += value;
            self.squares += value * value;
        }
    }

    pub fn merge(&mut self, other: &Moments) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// 0 where there is nothing.
    pub fn mean(&self) -> f64 {
        match self.count {
            0 => 0.0,
            count => self.sum / count as f64,
        }
    }

    /// The square of the mean's standard error.
    fn squared_error(&self) -> f64 {
        let count = self.count as f64;
        let mean = self.mean();
        let variance = (self.squares / count - mean * mean).max(0.0) * count / (count - 1.0);
        variance / count
    }

    /// Where the true mean lies with a probability of `1 - alpha`, at all times together. `None` for
    /// fewer than 2 numbers. It holds for many numbers: ask for a hundred before it is believed.
    pub fn interval(&self, alpha: f64) -> Option<(f64, f64)> {
        (self.count >= 2).then(|| {
            let half = half_width(self.squared_error(), self.count as f64, alpha);
            (self.mean() - half, self.mean() + half)
        })
    }

    /// As [`Moments::interval`], for the mean of these less the mean of `others`.
    pub fn difference(&self, others: &Moments, alpha: f64) -> Option<(f64, f64)> {
        (self.count >= 2 && others.count >= 2).then(|| {
            let squared_error = self.squared_error() + others.squared_error();
            let half = half_width(squared_error, (self.count + others.count) as f64, alpha);
            let difference = self.mean() - others.mean();
            (difference - half, difference + half)
        })
    }
}

/// Half of an asymptotic confidence sequence. Source: Waudby-Smith et al., "Time-uniform central limit
/// theory and asymptotic confidence sequences", arXiv 2103.06476, theorem 2.2.
fn half_width(squared_error: f64, count: f64, alpha: f64) -> f64 {
    let log = -2.0 * libm::log(alpha);
    let rho_squared = (log + libm::log(log + 1.0)) / TUNED_FOR;
    let spread = count * rho_squared + 1.0;
    let width = 2.0 * spread / (count * rho_squared) * libm::log(spread.sqrt() / alpha);
    (squared_error * width).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        values.iter().for_each(|&value| moments.add(value));
        moments
    }

    #[test]
    fn an_interval_holds_the_mean_and_narrows() {
        let coin = |count: usize| -> Vec<f64> { (0..count).map(|i| (i % 2) as f64).collect() };
        let (low, high) = moments(&coin(100)).interval(0.05).unwrap();
        let (lower, higher) = moments(&coin(10_000)).interval(0.05).unwrap();
        assert!(low < lower && lower < 0.5 && 0.5 < higher && higher < high);
        assert!(higher - lower < 0.05);
        assert_eq!(moments(&[1.0]).interval(0.05), None);
    }

    #[test]
    fn a_difference_is_seen_when_there_is_one() {
        let stable = moments(&[0.0, 1.0].repeat(1000));
        let better = moments(&[0.0, 1.0, 1.0, 1.0].repeat(500));
        assert!(better.difference(&stable, 0.05).unwrap().0 > 0.1);
        assert!(stable.difference(&stable, 0.05).unwrap().0 < 0.0);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        assert_eq!(moments(&[f64::NAN, 2.0, f64::INFINITY]).count, 1);
    }
}
