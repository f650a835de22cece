//! `[fallback]`, `[breaker]` and `[guards]`.

use serde::Deserialize;

use super::traffic::{Labels, TypedVersion};
use crate::fallback::{Fallback, Target, Trigger};
use crate::guard::{Confidence, Guards, Range};
use crate::names::ModelName;
use crate::{breaker, units};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TypedFallback {
    chain: Vec<TypedTarget>,
    on: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TypedTarget {
    model: Option<String>,
    version: Option<TypedVersion>,
    r#static: Option<String>,
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
    range: Vec<TypedRange>,
    confidence: Vec<TypedConfidence>,
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
struct TypedConfidence {
    output: String,
    at_least: f64,
}

pub fn fallback(typed: TypedFallback, labels: &Labels, errors: &mut Vec<String>) -> Fallback {
    let on = match typed.on {
        None => Trigger::ALL.to_vec(),
        Some(words) => words
            .iter()
            .filter_map(|word| trigger(word, errors))
            .collect(),
    };
    let targets = typed.chain.into_iter();
    let chain = targets.filter_map(|typed| target(typed, labels, errors));
    Fallback {
        chain: chain.collect(),
        on,
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
    match (typed.model, typed.version, typed.r#static) {
        (None, None, Some(outputs)) => Some(Target::Static(outputs)),
        (None, Some(version), None) => version.resolve(key, labels, errors).map(Target::Version),
        (Some(model), version, None) => {
            // The labels of this model say nothing about another.
            let version = match version {
                None => None,
                Some(version) => Some(version.resolve(key, &Labels::new(), errors)?),
            };
            model
                .parse::<ModelName>()
                .map_err(|error| errors.push(format!("{key}: {error}")))
                .map(|name| Target::Model { name, version })
                .ok()
        }
        _ => {
            errors.push(format!(
                "each of {key} has a version, a model (and its version), or static outputs"
            ));
            None
        }
    }
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
    let confidence = typed.confidence.into_iter().map(|typed| Confidence {
        output: typed.output,
        at_least: typed.at_least,
    });
    Guards {
        finite: typed.finite,
        ranges,
        confidence: confidence.collect(),
    }
}
