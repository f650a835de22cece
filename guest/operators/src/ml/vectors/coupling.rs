//! Probabilities of several classes from the scores of each pair of them.

/// The least and one less the largest probability that a pair can have.
const MARGIN: f32 = 1e-7;
const MAX_ROUNDS: usize = 100;

/// Platt's: the probability of a pair's first class falls with slope times score plus offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sigmoid {
    pub slope: f32,
    pub offset: f32,
}

impl Sigmoid {
    fn probability(self, score: f32) -> f32 {
        let value = score * self.slope + self.offset;
        let tail = 1.0 / (1.0 + value.abs().exp());
        let probability = if value < 0.0 { 1.0 - tail } else { tail };
        probability.clamp(MARGIN, 1.0 - MARGIN)
    }
}

/// The second approach of T.-F. Wu, C.-J. Lin and R. C. Weng, "Probability estimates for multi-class
/// classification by pairwise coupling" (2004), with LIBSVM's stopping rule. `scores` are those of
/// the pairs (0, 1), (0, 2) and so on, for as many classes as `probabilities` has.
pub fn couple(sigmoids: &[Sigmoid], scores: &[f32], probabilities: &mut [f32]) {
    let n = probabilities.len();
    let q = quadratic_form(n, sigmoids, scores);
    probabilities.fill(1.0 / n as f32);
    for _ in 0..MAX_ROUNDS {
        let mut gradient: Vec<f32> = q
            .chunks_exact(n)
            .map(|row| row.iter().zip(&*probabilities).map(|(q, p)| q * p).sum())
            .collect();
        let mut value: f32 = gradient
            .iter()
            .zip(&*probabilities)
            .map(|(g, p)| g * p)
            .sum();
        let error = gradient
            .iter()
            .map(|g| (g - value).abs())
            .fold(0.0, f32::max);
        if error < 0.005 / n as f32 {
            break;
        }
        for class in 0..n {
            let own = q[class * n + class];
            let step = (value - gradient[class]) / own;
            probabilities[class] += step;
            let scale = 1.0 + step;
            value = (value + step * (step * own + 2.0 * gradient[class])) / scale / scale;
            for other in 0..n {
                gradient[other] = (gradient[other] + step * q[class * n + other]) / scale;
                probabilities[other] /= scale;
            }
        }
    }
}

/// [classes, classes]: what the sought probabilities minimise.
fn quadratic_form(n: usize, sigmoids: &[Sigmoid], scores: &[f32]) -> Vec<f32> {
    let mut q = vec![0f32; n * n];
    let mut pair = sigmoids.iter().zip(scores);
    for first in 0..n {
        for second in first + 1..n {
            let Some((sigmoid, score)) = pair.next() else {
                return q;
            };
            let wins = sigmoid.probability(*score);
            let loses = 1.0 - wins;
            q[first * n + first] += loses * loses;
            q[second * n + second] += wins * wins;
            q[first * n + second] = -loses * wins;
            q[second * n + first] = -loses * wins;
        }
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_have_the_pairs_probability() {
        let sigmoid = Sigmoid {
            slope: -1.0,
            offset: 0.0,
        };
        let mut probabilities = [0.0; 2];
        couple(&[sigmoid], &[2.0], &mut probabilities);
        assert!(
            (probabilities[0] - 0.880797).abs() < 1e-5,
            "{probabilities:?}"
        );
    }

    #[test]
    fn equal_pairs_make_equal_classes() {
        let sigmoid = Sigmoid {
            slope: -1.0,
            offset: 0.0,
        };
        let mut probabilities = [0.0; 3];
        couple(&[sigmoid; 3], &[0.0; 3], &mut probabilities);
        for probability in probabilities {
            assert!((probability - 1.0 / 3.0).abs() < 1e-6, "{probabilities:?}");
        }
    }
}
