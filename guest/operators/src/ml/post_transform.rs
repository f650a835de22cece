//! What the models of `ai.onnx.ml` do to their raw scores.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostTransform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
    Probit,
}

impl PostTransform {
    pub fn parse(node: &NodeProto) -> TractResult<PostTransform> {
        Ok(match node.get_attr_opt::<&str>("post_transform")? {
            None | Some("NONE") => PostTransform::None,
            Some("LOGISTIC") => PostTransform::Logistic,
            Some("SOFTMAX") => PostTransform::Softmax,
            Some("SOFTMAX_ZERO") => PostTransform::SoftmaxZero,
            Some("PROBIT") => PostTransform::Probit,
            Some(unknown) => {
                let known = "NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT";
                node.bail_attr("post_transform", &format!("`{unknown}` is none of {known}"))?
            }
        })
    }

    /// Transforms the scores of one row.
    pub fn apply(self, scores: &mut [f32]) {
        match self {
            PostTransform::None => {}
            PostTransform::Logistic => scores
                .iter_mut()
                .for_each(|score| *score = logistic(*score)),
            PostTransform::Softmax => softmax(scores, |_| false),
            PostTransform::SoftmaxZero => softmax(scores, |score| score.abs() <= 1e-7),
            PostTransform::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
        }
    }

    /// Makes two scores, of the negative and of the positive class, from the positive one alone.
    /// `probability` says that raw scores are probabilities, so that the two add up to one;
    /// otherwise they are distances from a boundary, and opposite.
    pub fn apply_binary(self, score: f32, probability: bool) -> [f32; 2] {
        match self {
            PostTransform::Logistic => [logistic(-score), logistic(score)],
            PostTransform::Probit => [probit(1.0 - score), probit(score)],
            _ if probability => [1.0 - score, score],
            _ => [-score, score],
        }
    }
}

/// The form that does not overflow for large negative scores.
fn logistic(score: f32) -> f32 {
    let tail = 1.0 / (1.0 + score.abs().exp());
    if score < 0.0 { tail } else { 1.0 - tail }
}

fn softmax(scores: &mut [f32], stays_zero: impl Fn(f32) -> bool) {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = if stays_zero(*score) {
            0.0
        } else {
            (*score - max).exp()
        };
        sum += *score;
    }
    if sum != 0.0 {
        scores.iter_mut().for_each(|score| *score /= sum);
    }
}

/// The normal quantile by S. Winitzki's approximation of the inverse error function ("A handy
/// approximation for the error function and its inverse", 2008), as ONNX's reference has it: exact
/// quantiles would differ from other runtimes in the fourth digit.
fn probit(score: f32) -> f32 {
    const A: f32 = 0.147;
    let x = 2.0 * score - 1.0;
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let half = 2.0 / (std::f32::consts::PI * A) + 0.5 * log;
    let root = ((half * half - log / A).sqrt() - half).sqrt();
    std::f32::consts::SQRT_2 * root.copysign(x)
}
