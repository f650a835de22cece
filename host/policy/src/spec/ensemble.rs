//! `[ensemble]`.

use serde::Deserialize;

use super::protection::{TypedConfidence, confidence, of_another};
use super::traffic::TypedVersion;
use crate::ensemble::{Combine, Ensemble, Member, Missing};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typed {
    combine: String,
    members: Vec<TypedMember>,
    combiner: Option<TypedMember>,
    confidence: Option<TypedConfidence>,
    missing: Option<String>,
    minimum: Option<usize>,
    #[serde(default)]
    outputs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedMember {
    model: String,
    version: Option<TypedVersion>,
    weight: Option<f64>,
}

/// `None` where it is no ensemble; then there are errors.
pub fn read(typed: Typed, errors: &mut Vec<String>) -> Option<Ensemble> {
    let errors_before = errors.len();
    let weighted = matches!(&*typed.combine, "weighted" | "vote");
    if typed.members.is_empty() {
        errors.push("ensemble.members lists no model".to_owned());
    }
    let missing = missing(&typed, errors);
    let members: Vec<Member> = typed
        .members
        .into_iter()
        .filter_map(|typed| member("ensemble.members", typed, weighted, errors))
        .collect();
    let combiner = typed
        .combiner
        .map(|typed| member("ensemble.combiner", typed, false, errors));
    let combine = match (&*typed.combine, combiner, typed.confidence) {
        ("average" | "weighted", None, None) => Some(Combine::Average),
        ("vote", None, None) => Some(Combine::Vote),
        ("stacking", Some(combiner), None) => combiner.map(Combine::Stacking),
        ("cascade", None, Some(typed)) => Some(Combine::Cascade(confidence(typed))),
        (word, ..) => {
            errors.push(match word {
                "average" | "weighted" | "vote" => {
                    format!("ensemble: \"{word}\" has neither a combiner nor a confidence")
                }
                "stacking" => "ensemble: \"stacking\" has a combiner and no confidence".to_owned(),
                "cascade" => "ensemble: \"cascade\" has a confidence and no combiner".to_owned(),
                _ => format!(
                    "ensemble.combine is \"average\", \"weighted\", \"vote\", \"stacking\" or \
                     \"cascade\", not {word:?}"
                ),
            });
            None
        }
    };
    let ensemble = Ensemble {
        combine: combine?,
        members,
        missing: missing?,
        outputs: typed.outputs,
    };
    (errors.len() == errors_before).then_some(ensemble)
}

fn member(
    key: &str,
    typed: TypedMember,
    weighted: bool,
    errors: &mut Vec<String>,
) -> Option<Member> {
    match typed.weight {
        Some(_) if !weighted => {
            errors.push(format!(
                "{key}: only \"weighted\" and \"vote\" know weights"
            ));
        }
        Some(weight) if !(weight > 0.0 && weight.is_finite()) => {
            errors.push(format!("{key}: a weight is above 0, not {weight}"));
        }
        _ => {}
    }
    let (model, version) = of_another(key, typed.model, typed.version, errors)?;
    Some(Member {
        model,
        version,
        weight: typed.weight.unwrap_or(1.0),
    })
}

fn missing(typed: &Typed, errors: &mut Vec<String>) -> Option<Missing> {
    let count = typed.members.len();
    match (typed.missing.as_deref(), typed.minimum) {
        (None | Some("fail"), None) => Some(Missing::Fail),
        (Some("skip"), minimum) if (1..=count).contains(&minimum.unwrap_or(1)) => {
            Some(Missing::Skip {
                minimum: minimum.unwrap_or(1),
            })
        }
        _ => {
            errors.push(
                "ensemble.missing is \"fail\" or \"skip\"; \"skip\" may have a minimum from 1 to the \
                 number of members"
                    .to_owned(),
            );
            None
        }
    }
}
