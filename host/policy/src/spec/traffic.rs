//! `[labels]` and `[traffic]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::names::{Labels, ROLLOUT_LABELS, Version, Which};
use crate::routing::{Rule, Sticky, Traffic, WHOLE};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Typed {
    /// Percent, by the number of a version or by a label.
    weights: BTreeMap<String, f64>,
    sticky: Option<TypedSticky>,
    salt: String,
    #[serde(rename = "match")]
    rules: Vec<TypedRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum TypedSticky {
    Header(String),
    Cookie(String),
    Parameter(String),
    Client(bool),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedRule {
    header: String,
    value: Option<String>,
    version: TypedVersion,
}

/// A number or a label.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum TypedVersion {
    Number(u64),
    Label(String),
}

impl TypedVersion {
    /// `key` is where it stands, for the error.
    pub fn resolve(&self, key: &str, labels: &Labels, errors: &mut Vec<String>) -> Option<Version> {
        let resolved = match self {
            TypedVersion::Number(number) => {
                Version::try_from(*number).map_err(|error| error.to_string())
            }
            TypedVersion::Label(label) => named(label, labels),
        };
        resolved
            .map_err(|reason| errors.push(format!("{key}: {reason}")))
            .ok()
    }

    /// As [`TypedVersion::resolve`], but a label of a rollout that the [labels] do not have stays
    /// one.
    pub fn which(self, key: &str, labels: &Labels, errors: &mut Vec<String>) -> Option<Which> {
        match self {
            TypedVersion::Label(label)
                if ROLLOUT_LABELS.contains(&&*label) && !labels.contains_key(&label) =>
            {
                Some(Which::Label(label))
            }
            typed => typed.resolve(key, labels, errors).map(Which::Version),
        }
    }
}

fn named(text: &str, labels: &Labels) -> Result<Version, String> {
    if let Some(version) = labels.get(text) {
        return Ok(*version);
    }
    text.parse()
        .map_err(|_| format!("`{text}` is neither a version nor one of the [labels]"))
}

pub fn labels(typed: BTreeMap<String, u64>, errors: &mut Vec<String>) -> Labels {
    let mut labels = Labels::new();
    for (label, number) in typed {
        if label.parse::<Version>().is_ok() {
            errors.push(format!("labels.{label} would hide version {label}"));
        }
        let typed = TypedVersion::Number(number);
        let version = typed.resolve(&format!("labels.{label}"), &Labels::new(), errors);
        labels.extend(version.map(|version| (label, version)));
    }
    labels
}

pub fn traffic(typed: Typed, labels: &Labels, errors: &mut Vec<String>) -> Traffic {
    Traffic {
        weights: weights(typed.weights, labels, errors),
        sticky: typed.sticky.and_then(|sticky| match sticky {
            TypedSticky::Header(name) => Some(Sticky::Header(name.to_ascii_lowercase())),
            TypedSticky::Cookie(name) => Some(Sticky::Cookie(name)),
            TypedSticky::Parameter(name) => Some(Sticky::Parameter(name)),
            TypedSticky::Client(is) => is.then_some(Sticky::Client),
        }),
        salt: typed.salt,
        mirror: None,
        rules: typed
            .rules
            .into_iter()
            .filter_map(|rule| {
                Some(Rule {
                    version: rule.version.which("traffic.match", labels, errors)?,
                    header: rule.header.to_ascii_lowercase(),
                    value: rule.value,
                })
            })
            .collect(),
    }
}

fn weights(
    typed: BTreeMap<String, f64>,
    labels: &Labels,
    errors: &mut Vec<String>,
) -> BTreeMap<Version, u32> {
    let mut weights = BTreeMap::new();
    let (is_empty, errors_before) = (typed.is_empty(), errors.len());
    for (text, percent) in typed {
        let parts = percent * f64::from(WHOLE) / 100.0;
        if !(0.0..=f64::from(WHOLE)).contains(&parts) || (parts - parts.round()).abs() > 1e-6 {
            errors.push(format!(
                "traffic.weights.{text} is a percentage of at most two decimals, not {percent}"
            ));
        }
        match named(&text, labels) {
            Err(reason) => errors.push(format!("traffic.weights: {reason}")),
            Ok(version) => {
                if weights.insert(version, parts.round() as u32).is_some() {
                    errors.push(format!("traffic.weights names version {version} twice"));
                }
            }
        }
    }
    let total: u64 = weights.values().map(|&weight| u64::from(weight)).sum();
    if !is_empty && errors.len() == errors_before && total != u64::from(WHOLE) {
        let percent = total as f64 * 100.0 / f64::from(WHOLE);
        errors.push(format!(
            "traffic.weights are {percent} together and not 100"
        ));
    }
    weights
}
