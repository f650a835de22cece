//! Requests that another version answers too, whose answers are compared and thrown away.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use modelet_protocol::{Datatype, Tensor};

use super::live::Live;
use crate::app::App;
use crate::attempt::{self, Candidate};
use crate::request::{Failure, Request};

/// A request kept for another version.
pub struct Mirrored {
    pub candidate: Candidate,
    pub request: Request,
    pub live: Arc<Live>,
}

impl Mirrored {
    /// Asks the other version and compares, while the caller already has the answer. Where too many
    /// are under way it is dropped.
    pub fn send(self, app: &Arc<App>, answer: &[Tensor]) {
        let Ok(place) = app.rollouts.mirrors.clone().try_acquire_owned() else {
            app.rollouts.mirrors_dropped.fetch_add(1, Relaxed);
            return;
        };
        let (app, answer) = (app.clone(), answer.to_vec());
        tokio::spawn(async move {
            let Mirrored {
                candidate,
                mut request,
                live,
            } = self;
            let (version, start) = (candidate.ready.version, Instant::now());
            let other = attempt::attempt(&app, candidate, &mut request, true).await;
            if live.counts_unweighted() {
                live.record(version, other.as_ref().err(), start.elapsed());
            }
            let distance = match &other {
                Ok(other) => Some(distance(&answer, &other.outputs)),
                // Where there is no place for it, nothing is learnt of the version.
                Err(Failure::Refused(_) | Failure::BreakerOpen { .. }) => None,
                Err(_) => Some(1.0),
            };
            if let Some(distance) = distance {
                live.seen
                    .change(|evidence| evidence.disagreement.add(distance));
            }
            drop(place);
        });
    }
}

/// How far two answers are from each other: that of the outputs that are farthest.
///
/// Of classes it is the share that differs; of scores `|a − b| / (|a| + |b|)`. 0 is equal, 1 could
/// not be farther.
fn distance(one: &[Tensor], other: &[Tensor]) -> f64 {
    let of = |output: &Tensor| {
        let same = |candidate: &&Tensor| candidate.name == output.name;
        let found = other.iter().find(same);
        found.map_or(1.0, |other| of_outputs(output, other))
    };
    one.iter().map(of).fold(0.0, f64::max)
}

fn of_outputs(one: &Tensor, other: &Tensor) -> f64 {
    if one.shape != other.shape || one.datatype != other.datatype {
        return 1.0;
    }
    match one.datatype {
        Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64 => of_scores(
            &one.numbers().unwrap_or_default(),
            &other.numbers().unwrap_or_default(),
        ),
        Datatype::Bytes => of_classes(one.bytes_elements(), other.bytes_elements()),
        datatype => {
            let size = datatype.size_bytes().unwrap_or(1);
            of_classes(one.data.chunks(size), other.data.chunks(size))
        }
    }
}

fn of_classes<'a>(
    one: impl Iterator<Item = &'a [u8]>,
    other: impl Iterator<Item = &'a [u8]>,
) -> f64 {
    let (mut different, mut all) = (0_u64, 0_u64);
    for (one, other) in one.zip(other) {
        different += u64::from(one != other);
        all += 1;
    }
    different as f64 / all.max(1) as f64
}

fn of_scores(one: &[f64], other: &[f64]) -> f64 {
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let apart = length(&mut one.iter().zip(other).map(|(a, b)| a - b));
    let sizes = length(&mut one.iter().copied()) + length(&mut other.iter().copied());
    match apart / sizes {
        _ if apart == 0.0 => 0.0,
        distance if distance.is_nan() => 1.0,
        distance => distance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: &[f32]) -> Tensor {
        Tensor {
            name: "y".to_owned(),
            datatype: Datatype::Fp32,
            shape: vec![values.len() as u64],
            data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    fn classes(values: &[i64]) -> Tensor {
        Tensor {
            name: "y".to_owned(),
            datatype: Datatype::Int64,
            shape: vec![values.len() as u64],
            data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    #[test]
    fn classes_are_equal_or_not() {
        let of = |one: &[i64], other: &[i64]| distance(&[classes(one)], &[classes(other)]);
        assert_eq!(of(&[1, 2, 3, 4], &[1, 2, 3, 4]), 0.0);
        assert_eq!(of(&[1, 2, 3, 4], &[1, 2, 3, 5]), 0.25);
        assert_eq!(of(&[1], &[1, 2]), 1.0);
    }

    #[test]
    fn scores_are_near_or_far() {
        let of = |one: &[f32], other: &[f32]| distance(&[scores(one)], &[scores(other)]);
        assert_eq!(of(&[0.0, 0.0], &[0.0, 0.0]), 0.0);
        assert!(of(&[0.5, 0.5], &[0.5, 0.51]) < 0.01);
        assert_eq!(of(&[1.0], &[-1.0]), 1.0);
        assert_eq!(of(&[1.0], &[f32::NAN]), 1.0);
        assert_eq!(distance(&[scores(&[1.0])], &[classes(&[1])]), 1.0);
        assert_eq!(distance(&[scores(&[1.0])], &[]), 1.0);
    }
}
