//! Measurements that decide whether a rollout goes on, in Argo Rollouts' terms.
//!
//! A metric is measured every `interval`. Each measurement is successful, failed or inconclusive, and
//! the limits say how many of which kind end the run. Other than in Argo, too little data is none of
//! these: the metric holds until there is more.

use serde::{Deserialize, Serialize};

use super::Millis;
use super::evidence::Evidence;
use super::measure::{Comparison, Finding, Measure};
use crate::condition::Condition;
use crate::names::Version;

const SECOND: Millis = 1000;

/// The metrics of a step, or of the background.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    pub metrics: Vec<Metric>,
    /// The probability of a false alarm that is allowed, over all metrics and looks together.
    pub alpha: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub name: String,
    pub measure: Measure,
    /// `None`: measured until it counts once.
    pub interval: Option<Millis>,
    pub initial_delay: Millis,
    /// Measurements until the metric is successful. `None`: as long as the rollout runs.
    pub count: Option<u32>,
    /// `None`: not shown to be worse; for rewards, shown to be better.
    pub success: Option<Condition>,
    /// `None`: shown to be worse.
    pub failure: Option<Condition>,
    /// `None`: any number may fail.
    pub failure_limit: Option<u32>,
    pub inconclusive_limit: Option<u32>,
    /// Successes in a row that are enough.
    pub consecutive_success_limit: Option<u32>,
    /// Measurements in a row whose conditions cannot be evaluated.
    pub consecutive_error_limit: u32,
    /// The requests of the canary below which nothing is a success.
    pub minimum: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunPhase {
    Running,
    Successful,
    Failed,
    Error,
    Inconclusive,
}

/// One run of an analysis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub phase: RunPhase,
    pub metrics: Vec<MetricRun>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricRun {
    pub name: String,
    pub phase: RunPhase,
    pub next_at: Millis,
    pub successful: u32,
    pub failed: u32,
    pub inconclusive: u32,
    /// Errors in a row.
    pub errors: u32,
    /// Successes in a row.
    pub successes: u32,
    pub last: Option<Finding>,
    /// Why the phase is what it is, or what is waited for.
    pub message: String,
}

/// How one measurement turned out.
enum Measurement {
    Successful,
    Failed,
    Inconclusive(&'static str),
    Error(String),
    TooFew,
}

impl Run {
    pub fn new(analysis: &Analysis, now: Millis) -> Run {
        let begun = |metric: &Metric| MetricRun {
            name: metric.name.clone(),
            phase: RunPhase::Running,
            next_at: now + metric.initial_delay,
            successful: 0,
            failed: 0,
            inconclusive: 0,
            errors: 0,
            successes: 0,
            last: None,
            message: String::new(),
        };
        Run {
            phase: RunPhase::Running,
            metrics: analysis.metrics.iter().map(begun).collect(),
        }
    }

    /// Takes the measurements that are due.
    pub fn measure(
        &mut self,
        analysis: &Analysis,
        now: Millis,
        evidence: &Evidence,
        (stable, canary): (Version, Version),
        sticky: bool,
    ) {
        let of = Comparison {
            stable,
            canary,
            alpha: analysis.alpha / analysis.metrics.len().max(1) as f64,
            sticky,
        };
        for (run, metric) in self.metrics.iter_mut().zip(&analysis.metrics) {
            if run.phase == RunPhase::Running && now >= run.next_at {
                run.count(metric, now, metric.measure.finding(evidence, of));
            }
        }
        self.phase = self.worst();
    }

    /// Why it ended as it did.
    pub fn reason(&self) -> String {
        let decisive = self.metrics.iter().filter(|run| run.phase == self.phase);
        let said = decisive.map(|run| format!("{}: {}", run.name, run.message));
        said.collect::<Vec<_>>().join("; ")
    }

    /// One that failed decides at once; otherwise all have to end.
    fn worst(&self) -> RunPhase {
        let any = |phase| self.metrics.iter().any(|run| run.phase == phase);
        [RunPhase::Failed, RunPhase::Error, RunPhase::Running]
            .into_iter()
            .chain([RunPhase::Inconclusive])
            .find(|phase| any(*phase))
            .unwrap_or(RunPhase::Successful)
    }
}

impl MetricRun {
    fn count(&mut self, metric: &Metric, now: Millis, finding: Finding) {
        let interval = metric.interval.unwrap_or(SECOND);
        self.next_at = now + interval;
        self.last = Some(finding);
        let measured = metric.judge(&finding);
        self.errors = match measured {
            Measurement::Error(_) => self.errors + 1,
            _ => 0,
        };
        self.successes = match measured {
            Measurement::Successful => self.successes + 1,
            _ => 0,
        };
        self.message = match measured {
            Measurement::Successful => {
                self.successful += 1;
                format!("{} of stable's {}", finding.canary, finding.stable)
            }
            Measurement::Failed => {
                self.failed += 1;
                format!("{} against stable's {}", finding.canary, finding.stable)
            }
            Measurement::Inconclusive(why) => {
                self.inconclusive += 1;
                why.to_owned()
            }
            Measurement::Error(why) => why,
            Measurement::TooFew => {
                let (seen, wanted) = (finding.requests, metric.minimum);
                format!("waits for requests: {seen} of {wanted}")
            }
        };
        self.phase = self.judge(metric);
    }

    fn judge(&self, metric: &Metric) -> RunPhase {
        let over = |count: u32, limit: Option<u32>| limit.is_some_and(|limit| count > limit);
        let measured = self.successful + self.failed + self.inconclusive;
        let wanted = match (metric.count, metric.interval) {
            (None, None) => Some(1),
            (count, _) => count,
        };
        if over(self.failed, metric.failure_limit) {
            RunPhase::Failed
        } else if self.errors > metric.consecutive_error_limit {
            RunPhase::Error
        } else if over(self.inconclusive, metric.inconclusive_limit) {
            RunPhase::Inconclusive
        } else if wanted.is_some_and(|wanted| measured >= wanted)
            || metric
                .consecutive_success_limit
                .is_some_and(|enough| self.successes >= enough)
        {
            RunPhase::Successful
        } else {
            RunPhase::Running
        }
    }
}

impl Metric {
    fn judge(&self, finding: &Finding) -> Measurement {
        let asked = |condition: &Option<Condition>, otherwise: bool| match condition {
            Some(condition) => condition.holds(&finding.names()),
            None => Ok(otherwise),
        };
        // Rates are compared all the same, for callers must not suffer from it.
        let is_rate = matches!(self.measure, Measure::ErrorRate | Measure::InvalidOutputs);
        let is_bad = is_rate && self.failure.is_none() && finding.worse;
        if finding.mismatch && !is_bad {
            return Measurement::Inconclusive("requests were not shared out as the weights say");
        }
        // A condition of the user's own wants data too; what is shown to be worse has enough.
        let enough = finding.requests >= self.minimum;
        let failed = match enough || self.failure.is_none() {
            true => asked(&self.failure, finding.worse),
            false => Ok(false),
        };
        let by_default = match self.measure {
            Measure::Reward { .. } => finding.better,
            _ => !finding.worse,
        };
        match (failed, asked(&self.success, by_default)) {
            (Ok(true), _) => Measurement::Failed,
            _ if !enough => Measurement::TooFew,
            (Err(why), _) | (_, Err(why)) => Measurement::Error(why),
            (_, Ok(true)) => Measurement::Successful,
            // With one condition only, what it does not say is the opposite.
            (_, Ok(false)) if self.success.is_some() && self.failure.is_none() => {
                Measurement::Failed
            }
            (_, Ok(false)) => Measurement::Inconclusive("neither good nor bad enough"),
        }
    }
}
