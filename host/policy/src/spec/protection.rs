//! `[fallback]`, `[breaker]` and `[guards]`.

use std::time::Duration;

use serde::Deserialize;

use super::traffic::TypedVersion;
use crate::condition::Condition;
use crate::fallback::{Fallback, Remote, Target, Trigger};
use crate::guard::{Confidence, Guards, Range, Shape};
use crate::names::{Labels, ModelName, Version};
use crate::retry::Retry;
use crate::{breaker, units};

/// For one try of another server that says nothing of its own.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TypedFallback {
    chain: Vec<TypedTarget>,
    on: Option<Vec<String>>,
    retries: Option<u32>,
    backoff: Option<String>,
    budget: Option<f64>,
    hedge: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TypedTarget {
    model: Option<String>,
    version: Option<TypedVersion>,
    r#static: Option<String>,
    remote: Option<String>,
    timeout: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TypedBreaker {
    consecutive: Option<u32>,
    rate: Option<f64>,
    of: Option<u32>,
    open: Option<String>,
    open_limit: Option<String>,
    trials: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TypedGuards {
    finite: bool,
    shape: Vec<TypedShape>,
    range: Vec<TypedRange>,
    confidence: Vec<TypedConfidence>,
    conditions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedShape {
    output: String,
    sizes: Vec<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedRange {
    output: String,
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypedConfidence {
    output: String,
    at_least: f64,
}

pub fn fallback(typed: TypedFallback, labels: &Labels, errors: &mut Vec<String>) -> Fallback {
    let retry = retry(&typed, errors);
    let on = match typed.on {
        None => Trigger::ALL.to_vec(),
        Some(words) => words
            .iter()
            .filter_map(|word| trigger(word, errors))
            .collect(),
    };
    if let Some(hedge) = typed.hedge.filter(|it| !(*it > 0.0 && *it < 1.0)) {
        errors.push(format!(
            "fallback.hedge is a quantile between 0 and 1, not {hedge}"
        ));
    }
    let targets = typed.chain.into_iter();
    let chain = targets.filter_map(|typed| target(typed, labels, errors));
    Fallback {
        chain: chain.collect(),
        on,
        retry,
        hedge: typed.hedge,
    }
}

fn retry(typed: &TypedFallback, errors: &mut Vec<String>) -> Retry {
    let default = Retry::default();
    if let Some(budget) = typed.budget.filter(|it| !(0.0..=1.0).contains(it)) {
        errors.push(format!(
            "fallback.budget is a share of the requests from 0 to 1, not {budget}"
        ));
    }
    let backoff = typed.backoff.as_ref().map(|text| {
        units::duration(text).unwrap_or_else(|| {
            errors.push(format!(
                "fallback.backoff is a time such as \"5ms\", not {text:?}"
            ));
            default.backoff
        })
    });
    Retry {
        limit: typed.retries.unwrap_or(default.limit),
        backoff: backoff.unwrap_or(default.backoff),
        budget: typed.budget.unwrap_or(default.budget),
    }
}

fn trigger(word: &str, errors: &mut Vec<String>) -> Option<Trigger> {
    let found = Trigger::ALL
        .into_iter()
        .find(|trigger| trigger.word() == word);
    if found.is_none() {
        let words = Trigger::ALL.map(Trigger::word).join(", ");
        errors.push(format!("fallback.on knows {words}, not {word:?}"));
    }
    found
}

fn target(typed: TypedTarget, labels: &Labels, errors: &mut Vec<String>) -> Option<Target> {
    let key = "fallback.chain";
    if typed.remote.is_none() && typed.timeout.is_some() {
        errors.push(format!("{key}: only a remote has a timeout"));
    }
    let TypedTarget {
        model,
        version,
        r#static,
        remote,
        timeout,
    } = typed;
    match (remote, model, version, r#static) {
        (None, None, None, Some(outputs)) => Some(Target::Static(outputs)),
        (None, None, Some(version), None) => {
            version.which(key, labels, errors).map(Target::Version)
        }
        (None, Some(model), version, None) => {
            let (name, version) = of_another(key, model, version, errors)?;
            Some(Target::Model { name, version })
        }
        (Some(url), model, version, None) => {
            let model = match model {
                Some(model) => Some(of_another(key, model, None, errors)?.0),
                None => None,
            };
            Some(Target::Remote(Remote {
                url: base(&url, errors)?,
                model,
                version: numbered(key, version, errors)?,
                timeout: remote_timeout(timeout, errors)?,
            }))
        }
        _ => {
            errors.push(format!(
                "each of {key} has a version, a model (and its version), a remote (and its model and \
                 version), or static outputs"
            ));
            None
        }
    }
}

/// Another model and its version. The labels of this model say nothing about another.
pub fn of_another(
    key: &str,
    model: String,
    version: Option<TypedVersion>,
    errors: &mut Vec<String>,
) -> Option<(ModelName, Option<Version>)> {
    let name = model.parse::<ModelName>();
    let name = name.map_err(|error| errors.push(format!("{key}: {error}")));
    let version = numbered(key, version, errors);
    Some((name.ok()?, version?))
}

/// `Some(None)` where no version is named, `None` where it is no number.
fn numbered(
    key: &str,
    version: Option<TypedVersion>,
    errors: &mut Vec<String>,
) -> Option<Option<Version>> {
    match version {
        None => Some(None),
        Some(version) => version.resolve(key, &Labels::new(), errors).map(Some),
    }
}

fn base(url: &str, errors: &mut Vec<String>) -> Option<String> {
    let rest = url.strip_prefix("http://").or(url.strip_prefix("https://"));
    let is_base = rest.is_some_and(|rest| {
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '@');
        !rest.is_empty() && !rest.starts_with('/') && !rest.contains(odd)
    });
    if !is_base {
        errors.push(format!(
            "fallback.chain: a remote is the address of a server such as \
             \"https://models.example.com\", not {url:?}"
        ));
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

fn remote_timeout(timeout: Option<String>, errors: &mut Vec<String>) -> Option<Duration> {
    let Some(text) = timeout else {
        return Some(REMOTE_TIMEOUT);
    };
    let time = units::duration(&text).filter(|time| !time.is_zero());
    if time.is_none() {
        errors.push(format!(
            "fallback.chain: timeout is a time such as \"500ms\", not {text:?}"
        ));
    }
    time
}

pub fn breaker(typed: TypedBreaker, errors: &mut Vec<String>) -> breaker::Limits {
    let default = breaker::Limits::default();
    let mut at_least_one = |key: &str, typed: Option<u32>, default: u32| {
        if typed == Some(0) {
            errors.push(format!("breaker.{key} is at least 1"));
        }
        typed.unwrap_or(default)
    };
    let (consecutive, of, trials) = (
        at_least_one("consecutive", typed.consecutive, default.consecutive),
        at_least_one("of", typed.of, default.of),
        at_least_one("trials", typed.trials, default.trials),
    );
    if of > 128 {
        errors.push(format!("breaker.of is at most 128, not {of}"));
    }
    if let Some(rate) = typed.rate.filter(|rate| !(*rate > 0.0 && *rate <= 1.0)) {
        errors.push(format!("breaker.rate is above 0 and at most 1, not {rate}"));
    }
    let mut time = |key: &str, typed: Option<String>, default| match typed {
        None => default,
        Some(text) => units::duration(&text).unwrap_or_else(|| {
            errors.push(format!(
                "breaker.{key} is a time such as \"5s\", not {text:?}"
            ));
            default
        }),
    };
    breaker::Limits {
        consecutive,
        rate: typed.rate,
        of,
        open: time("open", typed.open, default.open),
        open_limit: time("open_limit", typed.open_limit, default.open_limit),
        trials,
    }
}

pub fn guards(typed: TypedGuards, errors: &mut Vec<String>) -> Guards {
    let range = |typed: TypedRange| {
        let range = Range {
            output: typed.output,
            min: typed.min.unwrap_or(f64::NEG_INFINITY),
            max: typed.max.unwrap_or(f64::INFINITY),
        };
        let is_some = range.min <= range.max;
        if !is_some || typed.min.or(typed.max).is_none() {
            let output = &range.output;
            errors.push(format!(
                "guards.range of `{output}` has a min or a max, and the min is not above the max"
            ));
        }
        range
    };
    let ranges = typed.range.into_iter().map(range).collect();
    let conditions = typed.conditions.into_iter().filter_map(|text| {
        Condition::try_from(text)
            .map_err(|error| errors.push(format!("guards.conditions: {error}")))
            .ok()
    });
    let conditions = conditions.collect();
    Guards {
        finite: typed.finite,
        shapes: typed.shape.into_iter().map(shape).collect(),
        ranges,
        confidence: typed.confidence.into_iter().map(confidence).collect(),
        conditions,
    }
}

/// Any negative size is open, as it is in the protocol's metadata.
fn shape(typed: TypedShape) -> Shape {
    let sizes = typed.sizes.into_iter();
    Shape {
        output: typed.output,
        sizes: sizes.map(|size| u64::try_from(size).ok()).collect(),
    }
}

pub fn confidence(typed: TypedConfidence) -> Confidence {
    Confidence {
        output: typed.output,
        at_least: typed.at_least,
    }
}
