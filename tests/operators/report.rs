//! `docs/operators.md`, from a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::{Outcome, Verdict, Verdicts};

const INTRODUCTION: &str = "\
# Operators

What runs, from a run: ONNX's own backend node tests (onnx 1.23.2), and for operators that those leave
out cases of our own (names that begin with `ml_` and `cast_`) whose right answers are ONNX Runtime's
(1.32.0). Each case goes through the engine natively and as a WebAssembly component, and must agree in
datatypes, shapes and values (1e-3 relative, 1e-5 absolute).

In ONNX's tests axes, shapes, scales and weights are inputs. The engine wants many of them inside the
model, where exporters write them, and prepares a model anew for each request where it has none. A case
that is refused is run again with all inputs but the first inside the model, and counts as passing with
constants.

The test `operators` fails when something passes natively and not in WebAssembly, or when this page is
not what it found. `cargo xtask operators` writes the page; do not edit it.
";

/// The page, the same bytes for the same outcomes.
pub fn write(outcomes: &[Outcome]) -> String {
    let mut page = INTRODUCTION.to_owned();
    let (inside, outside): (Vec<&Outcome>, _) =
        outcomes.iter().partition(|outcome| outcome.given.is_some());
    totals(&mut page, outcomes.len(), &inside);
    let (written_out, nodes): (Vec<&Outcome>, _) = inside
        .iter()
        .copied()
        .partition(|outcome| outcome.case.expanded);
    table(&mut page, "By operator", &nodes);
    table(
        &mut page,
        "Functions written out as graphs of simpler operators",
        &written_out,
    );
    failures(&mut page, &inside);
    beyond(&mut page, &outside);
    page
}

fn totals(page: &mut String, cases: usize, inside: &[&Outcome]) {
    let counts = Counts::of(inside);
    let _ = writeln!(
        page,
        "\nThe serving protocol can carry {} of {cases} cases. Natively {} of these pass, {} more with \
         constants; in WebAssembly {}, and {} more with constants.",
        counts.cases,
        counts.native.given,
        counts.native.constant,
        counts.wasm.given,
        counts.wasm.constant
    );
}

#[derive(Default)]
struct Counts {
    cases: usize,
    native: Passed,
    wasm: Passed,
}

#[derive(Default)]
struct Passed {
    given: usize,
    constant: usize,
}

impl Counts {
    fn of(outcomes: &[&Outcome]) -> Counts {
        let mut counts = Counts {
            cases: outcomes.len(),
            ..Counts::default()
        };
        for outcome in outcomes {
            counts.native.add(outcome, |verdicts| &verdicts.native);
            counts.wasm.add(outcome, |verdicts| &verdicts.wasm);
        }
        counts
    }
}

impl Passed {
    fn add(&mut self, outcome: &Outcome, side: fn(&Verdicts) -> &Verdict) {
        let passes =
            |verdicts: &Option<Verdicts>| verdicts.as_ref().is_some_and(|both| side(both).is_ok());
        if passes(&outcome.given) {
            self.given += 1;
        } else if passes(&outcome.constant) {
            self.constant += 1;
        }
    }
}

impl std::fmt::Display for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.constant {
            0 => write!(f, "{}", self.given),
            constant => write!(f, "{} + {constant}", self.given),
        }
    }
}

fn table(page: &mut String, title: &str, outcomes: &[&Outcome]) {
    let _ = writeln!(
        page,
        "\n## {title}\n\n| operator | cases | pass natively (+ with constants) | in WebAssembly |\n|---|--:|--:|--:|"
    );
    for (operator, outcomes) in by(outcomes, operator) {
        let counts = Counts::of(&outcomes);
        let _ = writeln!(
            page,
            "| {operator} | {} | {} | {} |",
            counts.cases, counts.native, counts.wasm
        );
    }
}

fn failures(page: &mut String, inside: &[&Outcome]) {
    page.push_str("\n## What fails, and why\n");
    let failing: Vec<&Outcome> = inside
        .iter()
        .copied()
        .filter(|outcome| reason(outcome).is_some())
        .collect();
    for (operator, outcomes) in by(&failing, operator) {
        let _ = writeln!(page, "\n**{operator}**");
        for (reason, outcomes) in by(&outcomes, |outcome| reason(outcome).unwrap_or_default()) {
            let names: Vec<&str> = outcomes.iter().map(|outcome| &*outcome.case.name).collect();
            let _ = writeln!(page, "- {reason}: {}", names.join(", "));
        }
    }
}

/// Why a case fails in every way it was run, or on one side only.
fn reason(outcome: &Outcome) -> Option<String> {
    let passed = Counts::of(&[outcome]);
    let native = passed.native.given + passed.native.constant > 0;
    let wasm = passed.wasm.given + passed.wasm.constant > 0;
    let verdicts = outcome.constant.as_ref().or(outcome.given.as_ref())?;
    let text = |verdict: &Verdict| brief(verdict.as_ref().err().map_or("", |reason| reason));
    match (native, wasm) {
        (true, true) => None,
        (true, false) => Some(format!("in WebAssembly only: {}", text(&verdicts.wasm))),
        (false, true) => Some(format!("natively only: {}", text(&verdicts.native))),
        (false, false) => Some(text(&verdicts.native)),
    }
}

/// What is left of a chain of errors without where it happened, which the case's name says.
fn brief(reason: &str) -> String {
    if let Some((unknown, _)) = reason.split_once(", which node") {
        return unknown.to_owned();
    }
    let mut core = reason;
    for context in [
        "ToTypedTranslator: ",
        "Infering facts: ",
        "Building node ",
        "Evaluating ",
    ] {
        core = core.rsplit_once(context).map_or(core, |(_, rest)| rest);
    }
    const LENGTH: usize = 120;
    let line: String = core.split_whitespace().collect::<Vec<_>>().join(" ");
    let start: String = line.chars().take(LENGTH).collect();
    let more = if start.len() < line.len() { "…" } else { "" };
    format!("`{}{more}`", start.replace('`', "'"))
}

fn beyond(page: &mut String, outside: &[&Outcome]) {
    page.push_str("\n## Outside the serving protocol\n\n");
    for (reason, outcomes) in by(outside, |outcome| {
        outcome.case.outside.clone().unwrap_or_default()
    }) {
        let operators: Vec<String> = by(&outcomes, operator)
            .into_iter()
            .map(|(operator, outcomes)| format!("{operator} {}", outcomes.len()))
            .collect();
        let _ = writeln!(
            page,
            "- {reason}, {} cases: {}",
            outcomes.len(),
            operators.join(", ")
        );
    }
}

fn operator(outcome: &Outcome) -> String {
    match &*outcome.case.domain {
        "" => outcome.case.operator.clone(),
        domain => format!("{domain}.{}", outcome.case.operator),
    }
}

/// Groups in the order of their keys.
fn by<'a>(
    outcomes: &[&'a Outcome],
    key: impl Fn(&Outcome) -> String,
) -> BTreeMap<String, Vec<&'a Outcome>> {
    let mut groups: BTreeMap<String, Vec<&'a Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        groups.entry(key(outcome)).or_default().push(outcome);
    }
    groups
}
