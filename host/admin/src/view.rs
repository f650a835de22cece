//! What is shown of rollouts.

use std::collections::BTreeMap;

use modelet_policy::names::ModelName;
use modelet_policy::rollout::analysis::{MetricRun, Run};
use modelet_policy::rollout::evidence::{Counts, Evidence};
use modelet_policy::rollout::strategy::Step;
use modelet_policy::rollout::{Phase, Rollout, percent};
use modelet_policy::routing::WHOLE;
use serde::Serialize;
use utoipa::ToSchema;

/// A rollout, in Argo Rollouts' words.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    model: String,
    revision: i64,
    strategy: String,
    /// Progressing, Paused, Degraded or Healthy.
    phase: &'static str,
    pause_reason: Option<String>,
    message: String,
    stable: u64,
    canary: u64,
    previous: Option<u64>,
    /// The index of the current step.
    step: usize,
    steps: Vec<String>,
    /// Percent of the requests that name no version.
    weights: BTreeMap<u64, f64>,
    /// Percent of requests that the canary answers too.
    mirror: f64,
    analysis: Vec<MetricView>,
    background: Vec<MetricView>,
    evidence: EvidenceView,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricView {
    name: String,
    /// Running, Successful, Failed, Error or Inconclusive.
    phase: String,
    successful: u32,
    failed: u32,
    inconclusive: u32,
    stable: f64,
    canary: f64,
    requests: u64,
    message: String,
}

/// What all nodes have seen since the rollout began.
#[derive(Serialize, ToSchema)]
pub struct EvidenceView {
    stable: ArmView,
    canary: ArmView,
    /// Mirrored requests that were compared, and the mean distance of their answers.
    mirrored: u64,
    disagreement: f64,
}

#[derive(Serialize, ToSchema)]
pub struct ArmView {
    requests: u64,
    errors: u64,
    invalid: u64,
    /// Seconds; the median and the 95th percentile.
    p50: f64,
    p95: f64,
    rewards: u64,
    reward: f64,
}

#[derive(Serialize, ToSchema)]
pub struct EntryView {
    revision: i64,
    /// Milliseconds since 1970.
    at: u64,
    who: String,
    what: String,
    evidence: EvidenceCounts,
}

/// The counts that it was decided from.
#[derive(Serialize, ToSchema)]
pub struct EvidenceCounts {
    stable: CountsView,
    canary: CountsView,
}

#[derive(Serialize, ToSchema)]
pub struct CountsView {
    requests: u64,
    errors: u64,
    invalid: u64,
}

impl RolloutView {
    pub fn new(
        model: &ModelName,
        revision: i64,
        rollout: &Rollout,
        evidence: &Evidence,
    ) -> RolloutView {
        let of_whole = |parts: u32| f64::from(parts) * 100.0 / f64::from(WHOLE);
        let pause_reason = match rollout.phase {
            Phase::Paused(pause) => Some(format!("{pause:?}")),
            _ => None,
        };
        let mut weights = BTreeMap::new();
        let shares = rollout.weights().into_iter();
        weights.extend(shares.map(|(version, parts)| (version.number(), of_whole(parts))));
        RolloutView {
            model: model.to_string(),
            revision,
            strategy: rollout.strategy.name.word().to_owned(),
            phase: rollout.phase.word(),
            pause_reason,
            message: rollout.message.clone(),
            stable: rollout.stable.number(),
            canary: rollout.canary.number(),
            previous: rollout.previous.map(|version| version.number()),
            step: rollout.step,
            steps: rollout.strategy.steps.iter().map(step).collect(),
            weights,
            mirror: of_whole(rollout.mirror),
            analysis: metrics(rollout.run.as_ref()),
            background: metrics(rollout.background.as_ref()),
            evidence: EvidenceView::new(rollout, evidence),
        }
    }
}

impl EvidenceView {
    fn new(rollout: &Rollout, evidence: &Evidence) -> EvidenceView {
        let (stable, canary) = evidence.totals();
        let arm = |version, counts: Counts| {
            let latency = evidence.latency.get(&version);
            let quantile = |q| latency.map_or(0.0, |latency| latency.quantile(q));
            let rewards = evidence.rewards.get(&version);
            ArmView {
                requests: counts.requests,
                errors: counts.errors,
                invalid: counts.invalid,
                p50: quantile(0.5),
                p95: quantile(0.95),
                rewards: rewards.map_or(0, |rewards| rewards.count),
                reward: rewards.map_or(0.0, |rewards| rewards.mean()),
            }
        };
        EvidenceView {
            stable: arm(rollout.stable, stable),
            canary: arm(rollout.canary, canary),
            mirrored: evidence.disagreement.count,
            disagreement: evidence.disagreement.mean(),
        }
    }
}

impl EntryView {
    /// `counts` are stable's and the canary's.
    pub fn new(
        revision: i64,
        at: u64,
        who: String,
        what: String,
        (stable, canary): (Counts, Counts),
    ) -> EntryView {
        let counts = |counts: Counts| CountsView {
            requests: counts.requests,
            errors: counts.errors,
            invalid: counts.invalid,
        };
        EntryView {
            revision,
            at,
            who,
            what,
            evidence: EvidenceCounts {
                stable: counts(stable),
                canary: counts(canary),
            },
        }
    }
}

fn metrics(run: Option<&Run>) -> Vec<MetricView> {
    let view = |run: &MetricRun| {
        let last = run.last.unwrap_or_default();
        MetricView {
            name: run.name.clone(),
            phase: format!("{:?}", run.phase),
            successful: run.successful,
            failed: run.failed,
            inconclusive: run.inconclusive,
            stable: last.stable,
            canary: last.canary,
            requests: last.requests,
            message: run.message.clone(),
        }
    };
    run.map_or_else(Vec::new, |run| run.metrics.iter().map(view).collect())
}

/// A step as people read it.
fn step(step: &Step) -> String {
    match step {
        Step::SetWeight(parts) => format!("setWeight {}", percent(*parts)),
        Step::SetMirror(parts) => format!("setMirror {}", percent(*parts)),
        Step::Pause(None) => "pause".to_owned(),
        Step::Pause(Some(time)) => format!("pause {} s", *time as f64 / 1000.0),
        Step::Analysis(analysis) => {
            let names = analysis.metrics.iter().map(|metric| metric.name.as_str());
            format!("analysis {}", names.collect::<Vec<_>>().join(", "))
        }
        Step::Bandit(bandit) => format!("bandit over {} arms", bandit.arms.len()),
    }
}
