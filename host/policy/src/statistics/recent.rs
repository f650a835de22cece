//! The latest times of a version, of which the older ones are forgotten.

use std::time::Duration;

use super::histogram::Histogram;

/// As many are looked at; the same number before them is forgotten at once.
const REMEMBERED: u32 = 500;

/// Fewer say nothing of a quantile.
const ENOUGH: u32 = 50;

/// Times of calls.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    latest: Histogram,
    count: u32,
    before: Option<Histogram>,
}

impl Recent {
    pub fn add(&mut self, time: Duration) {
        self.latest.add(time);
        self.count += 1;
        if self.count == REMEMBERED {
            self.before = Some(std::mem::take(&mut self.latest));
            self.count = 0;
        }
    }

    /// `None` where too little is known.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let known = match &self.before {
            Some(before) => before,
            None if self.count >= ENOUGH => &self.latest,
            None => return None,
        };
        Duration::try_from_secs_f64(known.quantile(quantile)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_times_are_forgotten() {
        let mut recent = Recent::default();
        let mut add = |count, milliseconds| {
            (0..count).for_each(|_| recent.add(Duration::from_millis(milliseconds)));
            recent.quantile(0.9).map(|time| time.as_secs_f64() * 1000.0)
        };
        assert_eq!(add(ENOUGH - 1, 10), None);
        let near = |found: Option<f64>, expected: f64| {
            let found = found.unwrap();
            assert!((found / expected - 1.0).abs() < 0.03, "{found}");
        };
        near(add(1, 10), 10.0);
        near(add(REMEMBERED, 10), 10.0);
        near(add(2 * REMEMBERED, 30), 30.0);
    }
}
