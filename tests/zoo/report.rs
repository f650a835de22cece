//! `docs/sklearn.md`, from a run.

use std::fmt::Write as _;

use crate::{Outcome, Verdict};

const INTRODUCTION: &str = "\
# scikit-learn, XGBoost and LightGBM

What runs, from a run. `models/zoo` trains each of these on scikit-learn's bundled data (scikit-learn
1.9.1, XGBoost 3.2.0, LightGBM 4.7.0) and converts it as its users do (skl2onnx 1.20.0, onnxmltools
1.16.0). `modelet build` makes a modelet of the ONNX file, which must then answer as ONNX Runtime 1.32.0
does: one row, rows that were held out, and edges (zeros, values far outside, rows that tie, NaN where
the estimator takes it, unseen categories, empty texts). Labels must be equal, datatypes and shapes
too. Scores may be 1e-5 away, relative to the score or to the median of its output (1e-4 where support
vectors or a Gaussian process are summed up).

Classifiers are converted twice: with the converter's defaults, which end in a ZipMap, and with `zipmap`
off.

The serving protocol has tensors and nothing else. What a converter makes a list of maps (ZipMap) comes out
as a table, its columns in the order of the labels; a list of tensors of one shape as one tensor with a
first axis more. A map that goes in (DictVectorizer) is a table too: FP32, a column for each word in the
order of the vocabulary, zero where the map would lack it.

KNNImputer is prepared anew for each request, because the shapes inside it hang on what is missing: it
is right, and thousands of times slower than the others.

The test `zoo` fails when this page is not what it found. `cargo xtask zoo` writes the page; do not
edit it.
";

const OFF: &str = ", zipmap off";

/// The page, the same bytes for the same outcomes.
pub fn write(outcomes: &[Outcome]) -> String {
    let mut page = INTRODUCTION.to_owned();
    let run: Vec<&Verdict> = outcomes
        .iter()
        .filter_map(|outcome| outcome.verdict.as_ref())
        .collect();
    let right = run.iter().filter(|verdict| verdict.is_ok()).count();
    let _ = writeln!(
        page,
        "\nOf {} models that ONNX Runtime runs, {right} are right in WebAssembly.",
        run.len()
    );
    for group in groups(outcomes) {
        table(&mut page, group, outcomes);
    }
    list(&mut page, "What is not right", &failures(outcomes));
    list(
        &mut page,
        "What there is no answer of ONNX Runtime to",
        &outside(outcomes),
    );
    page
}

/// In the order of the entries.
fn groups(outcomes: &[Outcome]) -> Vec<&str> {
    let mut groups: Vec<&str> = vec![];
    for outcome in outcomes {
        if !groups.contains(&&*outcome.entry.group) {
            groups.push(&outcome.entry.group);
        }
    }
    groups
}

fn table(page: &mut String, group: &str, outcomes: &[Outcome]) {
    let _ = writeln!(
        page,
        "\n## {group}\n\n| model | as converted | zipmap off | operators |\n|---|---|---|---|"
    );
    for outcome in outcomes {
        let entry = &outcome.entry;
        if entry.group != group || entry.title.ends_with(OFF) || entry.outside.is_some() {
            continue;
        }
        let off = format!("{}{OFF}", entry.title);
        let off = outcomes.iter().find(|other| other.entry.title == off);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            entry.title,
            word(outcome),
            off.map_or("", word),
            entry.operators.join(" ")
        );
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match &outcome.verdict {
        Some(Ok(())) => "right",
        Some(Err(_)) => "**not right**",
        None => "",
    }
}

/// A line for each entry that is not right.
pub fn failures(outcomes: &[Outcome]) -> String {
    lines(outcomes, |outcome| match &outcome.verdict {
        Some(Err(reason)) => Some(reason.clone()),
        _ => None,
    })
}

fn outside(outcomes: &[Outcome]) -> String {
    lines(outcomes, |outcome| {
        let reason = outcome.entry.outside.as_ref()?;
        Some(match &outcome.refusal {
            None => reason.clone(),
            Some(refusal) => format!("{reason}. `modelet build`: {refusal}"),
        })
    })
}

fn lines(outcomes: &[Outcome], reason: impl Fn(&Outcome) -> Option<String>) -> String {
    let mut lines = String::new();
    for outcome in outcomes {
        if let Some(reason) = reason(outcome) {
            let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(lines, "- {}: {reason}", outcome.entry.title);
        }
    }
    lines
}

fn list(page: &mut String, title: &str, lines: &str) {
    if !lines.is_empty() {
        let _ = write!(page, "\n## {title}\n\n{lines}");
    }
}
