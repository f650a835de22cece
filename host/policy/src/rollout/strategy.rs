//! `[strategy]`: what was typed, in Argo Rollouts' words, and the steps it means.

use serde::{Deserialize, Serialize};

use super::Millis;
use super::analysis::{Analysis, Metric};
use super::bandit::{Algorithm, Bandit};
use super::measure::Measure;
use crate::condition::Condition;
use crate::names::Version;
use crate::routing::WHOLE;
use crate::units;

/// How often an A/B test's metric is measured that says nothing of it.
const INTERVAL: Millis = 250;

/// How often a metric of a canary's background may be measured that says nothing of it. It can only
/// end the rollout, so how often the host looks is what counts.
const BACKGROUND_INTERVAL: Millis = 10;

/// Any strategy, as the steps it consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// What it was called.
    pub name: Name,
    pub steps: Vec<Step>,
    pub background: Option<Background>,
    /// Whether the canary is stable after the last step.
    pub promotes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Name {
    Canary,
    BlueGreen,
    Shadow,
    AbTest,
    Bandit,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// The canary's, in parts of [`WHOLE`].
    SetWeight(u32),
    /// The share of requests that the canary answers too, in parts of [`WHOLE`].
    SetMirror(u32),
    /// `None`: until somebody promotes.
    Pause(Option<Millis>),
    Analysis(Analysis),
    Bandit(Bandit),
}

/// An analysis that runs beside the steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Background {
    pub starting_step: usize,
    pub analysis: Analysis,
}

impl Strategy {
    /// Whether it is decided by the requests alone that callers are answered: without any that are
    /// mirrored, and without rewards.
    pub fn is_by_requests(&self) -> bool {
        let measures = |analysis: &Analysis| {
            let mut metrics = analysis.metrics.iter();
            metrics.all(|metric| {
                !matches!(
                    metric.measure,
                    Measure::Disagreement { .. } | Measure::Reward { .. }
                )
            })
        };
        let background = self.background.as_ref();
        background.is_none_or(|background| measures(&background.analysis))
            && self.steps.iter().all(|step| match step {
                Step::SetWeight(_) | Step::Pause(_) => true,
                Step::SetMirror(parts) => *parts == 0,
                Step::Analysis(analysis) => measures(analysis),
                Step::Bandit(_) => false,
            })
    }
}

impl Name {
    /// As it stands in `model.toml`.
    pub fn word(self) -> &'static str {
        match self {
            Name::Canary => "canary",
            Name::BlueGreen => "blueGreen",
            Name::Shadow => "shadow",
            Name::AbTest => "abTest",
            Name::Bandit => "bandit",
        }
    }
}

/// As it stands in `model.toml` or in a request: one of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Typed {
    canary: Option<TypedCanary>,
    blue_green: Option<TypedBlueGreen>,
    shadow: Option<TypedShadow>,
    ab_test: Option<TypedAbTest>,
    bandit: Option<TypedBandit>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct TypedCanary {
    steps: Vec<TypedStep>,
    analysis: Option<TypedAnalysis>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum TypedStep {
    SetWeight(f64),
    SetMirror(f64),
    Pause(TypedPause),
    Analysis(TypedAnalysis),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TypedPause {
    duration: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct TypedBlueGreen {
    mirror: Option<f64>,
    pre_promotion_analysis: Option<TypedAnalysis>,
    post_promotion_analysis: Option<TypedAnalysis>,
    auto_promotion_enabled: Option<bool>,
    auto_promotion_seconds: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct TypedShadow {
    mirror: Option<f64>,
    duration: Option<String>,
    analysis: Option<TypedAnalysis>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct TypedAbTest {
    weight: Option<f64>,
    duration: Option<String>,
    analysis: Option<TypedAnalysis>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct TypedBandit {
    algorithm: Option<String>,
    epsilon: Option<f64>,
    minimum_weight: Option<f64>,
    interval: Option<String>,
    duration: Option<String>,
    arms: Vec<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct TypedAnalysis {
    starting_step: Option<usize>,
    alpha: Option<f64>,
    metrics: Vec<TypedMetric>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TypedMetric {
    metric: String,
    name: Option<String>,
    quantile: Option<f64>,
    tolerance: Option<f64>,
    limit: Option<f64>,
    interval: Option<String>,
    initial_delay: Option<String>,
    count: Option<u32>,
    success_condition: Option<String>,
    failure_condition: Option<String>,
    failure_limit: Option<i64>,
    inconclusive_limit: Option<i64>,
    consecutive_error_limit: Option<u32>,
    consecutive_success_limit: Option<u32>,
    minimum_requests: Option<u64>,
}

/// Collects what is wrong, each with the place where it stands.
struct Reader<'e> {
    errors: &'e mut Vec<String>,
}

/// What a strategy means for these two versions; mistakes go to `errors`. `None` where there is none.
pub fn read(typed: Typed, errors: &mut Vec<String>) -> Option<Strategy> {
    let mut reader = Reader { errors };
    let mut found = Vec::new();
    found.extend(typed.canary.map(|typed| reader.canary(typed)));
    found.extend(typed.blue_green.map(|typed| reader.blue_green(typed)));
    found.extend(typed.shadow.map(|typed| reader.shadow(typed)));
    found.extend(typed.ab_test.map(|typed| reader.ab_test(typed)));
    found.extend(typed.bandit.map(|typed| reader.bandit(typed)));
    if found.len() > 1 {
        reader.say("strategy is one of canary, blueGreen, shadow, abTest and bandit, not several");
    }
    found.pop()
}

impl Reader<'_> {
    fn say(&mut self, error: impl Into<String>) {
        self.errors.push(error.into());
    }

    fn canary(&mut self, typed: TypedCanary) -> Strategy {
        if typed.steps.is_empty() {
            self.say("strategy.canary.steps has no step");
        }
        let background = typed.analysis.unwrap_or_else(|| TypedAnalysis {
            metrics: ["error-rate", "invalid-outputs"].map(plain).to_vec(),
            ..TypedAnalysis::default()
        });
        let starting_step = background.starting_step.unwrap_or_default();
        let analysis = self.analysis("strategy.canary.analysis", background, true);
        let steps = typed.steps.into_iter().enumerate();
        let steps =
            steps.map(|(index, step)| self.step(&format!("strategy.canary.steps[{index}]"), step));
        Strategy {
            name: Name::Canary,
            steps: steps.collect(),
            background: (!analysis.metrics.is_empty()).then_some(Background {
                starting_step,
                analysis,
            }),
            promotes: true,
        }
    }

    fn step(&mut self, key: &str, typed: TypedStep) -> Step {
        match typed {
            TypedStep::SetWeight(percent) => {
                Step::SetWeight(self.parts(&format!("{key}.setWeight"), percent))
            }
            TypedStep::SetMirror(percent) => {
                Step::SetMirror(self.parts(&format!("{key}.setMirror"), percent))
            }
            TypedStep::Pause(pause) => {
                Step::Pause(self.time(&format!("{key}.pause.duration"), pause.duration))
            }
            TypedStep::Analysis(analysis) => {
                Step::Analysis(self.required(&format!("{key}.analysis"), analysis))
            }
        }
    }

    fn blue_green(&mut self, typed: TypedBlueGreen) -> Strategy {
        let mut steps = Vec::new();
        if let Some(analysis) = typed.pre_promotion_analysis {
            let key = "strategy.blueGreen.prePromotionAnalysis";
            let analysis = Step::Analysis(self.required(key, analysis));
            // Not everybody has callers that ask for the preview.
            let mirror = typed.mirror.unwrap_or(10.0);
            let mirror = Step::SetMirror(self.parts("strategy.blueGreen.mirror", mirror));
            steps.extend([mirror, analysis, Step::SetMirror(0)]);
        }
        match (typed.auto_promotion_enabled, typed.auto_promotion_seconds) {
            (Some(false), None) => steps.push(Step::Pause(None)),
            (_, Some(seconds)) => steps.push(Step::Pause(Some(seconds.saturating_mul(1000)))),
            (_, None) => {}
        }
        steps.push(Step::SetWeight(WHOLE));
        if let Some(analysis) = typed.post_promotion_analysis {
            let key = "strategy.blueGreen.postPromotionAnalysis";
            steps.push(Step::Analysis(self.required(key, analysis)));
        }
        Strategy {
            name: Name::BlueGreen,
            steps,
            background: None,
            promotes: true,
        }
    }

    fn shadow(&mut self, typed: TypedShadow) -> Strategy {
        let mirror = self.parts("strategy.shadow.mirror", typed.mirror.unwrap_or(100.0));
        let duration = self.time("strategy.shadow.duration", typed.duration);
        let mut steps = vec![Step::SetMirror(mirror)];
        match typed.analysis {
            Some(analysis) => {
                let key = "strategy.shadow.analysis";
                steps.extend(duration.map(|time| Step::Pause(Some(time))));
                steps.push(Step::Analysis(self.required(key, analysis)));
            }
            None => steps.push(Step::Pause(duration)),
        }
        Strategy {
            name: Name::Shadow,
            steps,
            background: None,
            promotes: false,
        }
    }

    fn ab_test(&mut self, typed: TypedAbTest) -> Strategy {
        let weight = self.parts("strategy.abTest.weight", typed.weight.unwrap_or(50.0));
        let duration = self.time("strategy.abTest.duration", typed.duration);
        let until_decided = |metric: &mut Metric| {
            metric.interval.get_or_insert(INTERVAL);
            metric.consecutive_success_limit.get_or_insert(1);
            let looks = duration.map(|time| time / metric.interval.unwrap_or(INTERVAL).max(1));
            metric.inconclusive_limit = looks.map(|looks| looks.min(u64::from(u32::MAX)) as u32);
        };
        let analysis = typed.analysis.unwrap_or_else(|| TypedAnalysis {
            metrics: vec![plain("reward")],
            ..TypedAnalysis::default()
        });
        let mut analysis = self.required("strategy.abTest.analysis", analysis);
        analysis.metrics.iter_mut().for_each(until_decided);
        Strategy {
            name: Name::AbTest,
            steps: vec![Step::SetWeight(weight), Step::Analysis(analysis)],
            background: None,
            promotes: true,
        }
    }

    fn bandit(&mut self, typed: TypedBandit) -> Strategy {
        let epsilon = typed.epsilon.unwrap_or(0.1);
        if !(0.0..=1.0).contains(&epsilon) {
            self.say(format!(
                "strategy.bandit.epsilon is between 0 and 1, not {epsilon}"
            ));
        }
        let algorithm = match typed.algorithm.as_deref() {
            None | Some("thompson") => Algorithm::Thompson,
            Some("ucb1") => Algorithm::Ucb1,
            Some("epsilon-greedy") => Algorithm::EpsilonGreedy { epsilon },
            Some(other) => {
                self.say(format!(
                    "strategy.bandit.algorithm knows thompson, ucb1 and epsilon-greedy, not {other:?}"
                ));
                Algorithm::Thompson
            }
        };
        let minimum = typed.minimum_weight.unwrap_or(1.0);
        let minimum = self.parts("strategy.bandit.minimumWeight", minimum);
        let arms = typed.arms.into_iter().filter_map(|number| {
            let arm = Version::try_from(number);
            arm.map_err(|error| self.errors.push(format!("strategy.bandit.arms: {error}")))
                .ok()
        });
        let arms: Vec<Version> = arms.collect();
        if u64::from(minimum) * arms.len().max(2) as u64 > u64::from(WHOLE) {
            self.say("strategy.bandit.minimumWeight times the arms is more than 100");
        }
        let interval = self.time("strategy.bandit.interval", typed.interval);
        let bandit = Bandit {
            algorithm,
            minimum,
            interval: interval.unwrap_or(60_000),
            duration: self.time("strategy.bandit.duration", typed.duration),
            arms,
        };
        Strategy {
            name: Name::Bandit,
            steps: vec![Step::Bandit(bandit)],
            background: None,
            promotes: true,
        }
    }

    fn required(&mut self, key: &str, typed: TypedAnalysis) -> Analysis {
        if typed.metrics.is_empty() {
            self.say(format!("{key}.metrics has no metric"));
        }
        if typed.starting_step.is_some() {
            self.say(format!(
                "{key}.startingStep is for the background of a canary only"
            ));
        }
        self.analysis(key, typed, false)
    }

    fn analysis(&mut self, key: &str, typed: TypedAnalysis, endless: bool) -> Analysis {
        let alpha = typed.alpha.unwrap_or(0.05);
        if !(alpha > 0.0 && alpha < 1.0) {
            self.say(format!("{key}.alpha is between 0 and 1, not {alpha}"));
        }
        let metrics = typed.metrics.into_iter().enumerate();
        let metrics = metrics.map(|(index, metric)| {
            self.metric(&format!("{key}.metrics[{index}]"), metric, endless)
        });
        Analysis {
            metrics: metrics.collect(),
            alpha,
        }
    }

    fn metric(&mut self, key: &str, typed: TypedMetric, endless: bool) -> Metric {
        let measure = self.measure(key, &typed);
        let interval = self.time(&format!("{key}.interval"), typed.interval);
        let by_default = match measure {
            // A mean is not believed before.
            Measure::Disagreement { .. } | Measure::Reward { .. } => 100,
            _ => 50,
        };
        Metric {
            measure,
            interval: interval.or(endless.then_some(BACKGROUND_INTERVAL)),
            initial_delay: self
                .time(&format!("{key}.initialDelay"), typed.initial_delay)
                .unwrap_or_default(),
            count: typed.count,
            success: self.condition(&format!("{key}.successCondition"), typed.success_condition),
            failure: self.condition(&format!("{key}.failureCondition"), typed.failure_condition),
            failure_limit: limit(typed.failure_limit),
            inconclusive_limit: limit(typed.inconclusive_limit),
            consecutive_success_limit: typed.consecutive_success_limit.filter(|limit| *limit > 0),
            consecutive_error_limit: typed.consecutive_error_limit.unwrap_or(4),
            minimum: typed.minimum_requests.unwrap_or(by_default),
            name: typed.name.unwrap_or(typed.metric),
        }
    }

    fn measure(&mut self, key: &str, typed: &TypedMetric) -> Measure {
        let quantile = typed.quantile.unwrap_or(0.95);
        if !(quantile > 0.0 && quantile < 1.0) {
            self.say(format!("{key}.quantile is between 0 and 1, not {quantile}"));
        }
        match typed.metric.as_str() {
            "error-rate" => Measure::ErrorRate,
            "invalid-outputs" => Measure::InvalidOutputs,
            "latency" => Measure::Latency {
                quantile,
                tolerance: typed.tolerance.unwrap_or(1.25),
            },
            "disagreement" => Measure::Disagreement {
                limit: typed.limit.unwrap_or(0.05),
            },
            "reward" => Measure::Reward {
                tolerance: typed.tolerance.unwrap_or(0.0),
            },
            other => {
                self.say(format!(
                    "{key}.metric knows error-rate, invalid-outputs, latency, disagreement and \
                     reward, not {other:?}"
                ));
                Measure::ErrorRate
            }
        }
    }

    fn condition(&mut self, key: &str, typed: Option<String>) -> Option<Condition> {
        Condition::try_from(typed?)
            .map_err(|error| self.say(format!("{key}: {error}")))
            .ok()
    }

    /// Percent, as parts.
    fn parts(&mut self, key: &str, percent: f64) -> u32 {
        let parts = percent * f64::from(WHOLE) / 100.0;
        if !(0.0..=100.0).contains(&percent) || (parts - parts.round()).abs() > 1e-6 {
            self.say(format!(
                "{key} is a percentage from 0 to 100 with at most two decimals, not {percent}"
            ));
            return 0;
        }
        parts.round() as u32
    }

    fn time(&mut self, key: &str, typed: Option<String>) -> Option<Millis> {
        let text = typed?;
        let time = units::duration(&text);
        if time.is_none() {
            self.say(format!(
                "{key} is a time such as \"90s\" or \"5m\", not {text:?}"
            ));
        }
        time.and_then(|time| Millis::try_from(time.as_millis()).ok())
    }
}

/// Argo's: −1 switches the limit off, and 0 is the default.
fn limit(typed: Option<i64>) -> Option<u32> {
    u32::try_from(typed.unwrap_or(0)).ok()
}

fn plain(metric: &str) -> TypedMetric {
    TypedMetric {
        metric: metric.to_owned(),
        name: None,
        quantile: None,
        tolerance: None,
        limit: None,
        interval: None,
        initial_delay: None,
        count: None,
        success_condition: None,
        failure_condition: None,
        failure_limit: None,
        inconclusive_limit: None,
        consecutive_error_limit: None,
        consecutive_success_limit: None,
        minimum_requests: None,
    }
}
