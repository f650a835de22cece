//! Tests that may be looked at after every event.
//!
//! Each is the logarithm of a martingale that begins at 1 and, while its hypothesis holds, exceeds
//! `1 / alpha` at any time with a probability of at most `alpha` (Ville's inequality). Its hypothesis
//! is therefore rejected the first time that happens, without a correction for looking.

/// How many times as likely to fail the canary is taken to be; the test is the mean over these.
const RISK_RATIOS: [f64; 6] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Failures while the canary had this share of the requests of both.
#[derive(Clone, Copy, Debug)]
pub struct Failures {
    /// Between 0 and 1.
    pub share: f64,
    pub stable: u64,
    pub canary: u64,
}

/// Against "the canary fails no more often than stable".
///
/// If both fail equally often, a failure is the canary's with the probability of its share, whatever
/// the rate. Source: Lindon, Sanden and Shirikian, "Rapid regression detection in software deployments
/// through sequential testing", arXiv 2205.14762, with a mixture over risk ratios in place of a prior.
pub fn more_failures(failures: impl Iterator<Item = Failures> + Clone) -> f64 {
    let likelihood = |ratio: f64| -> f64 {
        let of = |split: Failures| {
            let normal = libm::log(1.0 - split.share + split.share * ratio);
            split.canary as f64 * (libm::log(ratio) - normal) - split.stable as f64 * normal
        };
        failures.clone().map(of).sum()
    };
    let logs = RISK_RATIOS.map(likelihood);
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = logs.iter().map(|log| libm::exp(log - largest)).sum::<f64>() / logs.len() as f64;
    largest + libm::log(mean)
}

/// Against "each of `of` events was a success with the probability `probability`", of which
/// `successes` were. `weight` is how many events the expectation of something near it is worth: larger
/// finds small deviations late, smaller finds large ones early.
///
/// Source: the beta-binomial mixture, Robbins, "Statistical methods related to the law of the iterated
/// logarithm", 1970.
pub fn other_probability(successes: u64, of: u64, probability: f64, weight: f64) -> f64 {
    let (hits, misses) = (successes as f64, of.saturating_sub(successes) as f64);
    let (a, b) = (weight * probability, weight * (1.0 - probability));
    ln_beta(a + hits, b + misses)
        - ln_beta(a, b)
        - hits * libm::log(probability)
        - misses * libm::log(1.0 - probability)
}

/// The fewest and the most of `of` events that do not speak against `probability` at `alpha`.
pub fn plausible(of: u64, probability: f64, alpha: f64) -> (u64, u64) {
    const WEIGHT: f64 = 10.0;
    let limit = libm::log(1.0 / alpha);
    let is_plausible = |count: u64| other_probability(count, of, probability, WEIGHT) < limit;
    // The expected count is the most plausible one, and it gets only worse to both sides.
    let expected = (libm::round(of as f64 * probability) as u64).min(of);
    let least = boundary(expected, 0, is_plausible);
    let most = boundary(expected, of, is_plausible);
    (least, most)
}

/// Where the probability of an event lies that happened `hits` times in `of`, with a probability of
/// `1 - alpha` at all times together. The same test, inverted.
pub fn probability(hits: u64, of: u64, alpha: f64) -> (f64, f64) {
    const WEIGHT: f64 = 10.0;
    const EDGE: f64 = 1e-9;
    let limit = libm::log(1.0 / alpha);
    let is_plausible = |p: f64| other_probability(hits, of, p, WEIGHT) < limit;
    let found = (hits as f64 / of.max(1) as f64).clamp(EDGE, 1.0 - EDGE);
    let towards = |end: f64| {
        if is_plausible(end) {
            return end;
        }
        let (mut inside, mut outside) = (found, end);
        for _ in 0..40 {
            let middle = (inside + outside) / 2.0;
            match is_plausible(middle) {
                true => inside = middle,
                false => outside = middle,
            }
        }
        inside
    };
    (towards(EDGE), towards(1.0 - EDGE))
}

/// The last number from `inside` towards `end` for which `holds`, by bisection.
fn boundary(inside: u64, end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    if holds(end) {
        return end;
    }
    let (mut inside, mut outside) = (inside, end);
    while inside.abs_diff(outside) > 1 {
        let middle = inside.midpoint(outside);
        match holds(middle) {
            true => inside = middle,
            false => outside = middle,
        }
    }
    inside
}

fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(share: f64, stable: u64, canary: u64) -> f64 {
        let split = Failures {
            share,
            stable,
            canary,
        };
        libm::exp(more_failures(std::iter::once(split)))
    }

    #[test]
    fn failures_of_the_canary_alone_are_soon_enough() {
        assert_eq!(failures(0.1, 0, 0), 1.0);
        assert!(failures(0.1, 0, 2) < 20.0);
        assert!(failures(0.1, 0, 3) > 20.0);
        assert!(failures(0.1, 90, 10) < 1.0, "as the share says");
        assert!(failures(0.1, 100, 0) < 0.1);
    }

    #[test]
    fn splits_multiply() {
        let of = |share, stable, canary| Failures {
            share,
            stable,
            canary,
        };
        let once = more_failures([of(0.2, 3, 7)].into_iter());
        let twice = more_failures([of(0.2, 1, 3), of(0.2, 2, 4)].into_iter());
        assert!((once - twice).abs() < 1e-9);
    }

    #[test]
    fn a_coin_is_believed_until_it_is_not() {
        assert!(other_probability(50, 100, 0.5, 10.0) < 0.0);
        assert!(other_probability(90, 100, 0.5, 10.0) > 20.0);
        assert!(other_probability(10, 100, 0.5, 10.0) > 20.0);
        assert!(other_probability(0, 0, 0.5, 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_probability_is_known_better_the_more_was_seen() {
        let (low, high) = probability(0, 0, 0.05);
        assert!(low < 0.01 && high > 0.99, "nothing is known: {low} {high}");
        let (low, high) = probability(5, 10, 0.05);
        assert!((0.05..0.2).contains(&low) && (0.8..0.95).contains(&high));
        let (low, high) = probability(500, 1000, 0.05);
        assert!((0.4..0.47).contains(&low) && (0.53..0.6).contains(&high));
        let (low, high) = probability(0, 1000, 0.05);
        assert!(low < 1e-6 && high < 0.02, "{low} {high}");
    }

    #[test]
    fn plausible_counts_surround_the_expected_one() {
        for probability in [0.5, 0.95, 0.99] {
            for of in [0, 1, 10, 1_000, 100_000] {
                let (least, most) = plausible(of, probability, 0.05);
                let expected = of as f64 * probability;
                assert!(least as f64 <= expected + 1.0 && most <= of);
                assert!(most as f64 >= expected - 1.0);
            }
        }
        let (least, most) = plausible(1_000_000, 0.5, 0.05);
        assert!(least > 495_000 && most < 505_000, "{least} {most}");
    }
}
