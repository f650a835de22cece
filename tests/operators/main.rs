//! ONNX's node tests, and some of our own, through the engine as a library, and as modelets.
//!
//! `cargo xtask operators` writes the cases (`export.py`) and `docs/operators.md`.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod cases;
mod compare;
mod native;
mod report;
mod wasm;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use cases::Case;
use modelet_engine::Tensor;
use wasm::Host;

/// How a run went: right, or why not.
type Verdict = Result<(), String>;

struct Verdicts {
    native: Verdict,
    wasm: Verdict,
}

struct Outcome {
    case: Case,
    /// With every input given at each call. Nothing where the protocol cannot carry the case.
    given: Option<Verdicts>,
    /// With all inputs but the first inside the model. Run where the engine refuses the case as given.
    constant: Option<Verdicts>,
}

#[test]
fn what_passes_natively_passes_in_wasm_and_the_table_says_so() {
    let folder = root().join("target/onnx-node");
    if !folder.join("index.json").exists() {
        let reason = "target/onnx-node is missing; `cargo xtask test` makes it";
        assert!(
            std::env::var_os("CI").is_none(),
            "with CI set nothing is skipped: {reason}"
        );
        eprintln!("skipped: {reason}");
        return;
    }
    let outcomes = run_all(&folder, &Host::new());
    let report = report::write(&outcomes);
    let path = root().join("docs/operators.md");
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(&path, &report).unwrap();
    }
    let worse: Vec<String> = outcomes.iter().flat_map(worse_in_wasm).collect();
    assert!(
        worse.is_empty(),
        "pass natively and fail in wasm:\n{}",
        worse.join("\n")
    );
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let change = committed
        .lines()
        .zip(report.lines())
        .find(|(committed, now)| committed != now);
    assert!(
        committed == report,
        "docs/operators.md is out of date: run `cargo xtask operators`. First change: {change:?}"
    );
}

/// Set, it means: the run is right and the committed table is to follow.
const BLESS: &str = "MODELET_BLESS";

fn worse_in_wasm(outcome: &Outcome) -> impl Iterator<Item = String> {
    [&outcome.given, &outcome.constant]
        .into_iter()
        .flatten()
        .filter_map(|verdicts| match (&verdicts.native, &verdicts.wasm) {
            (Ok(()), Err(reason)) => Some(format!("{}: {reason}", outcome.case.name)),
            _ => None,
        })
}

/// All cases of `folder` in the order of its index, on all cores.
fn run_all(folder: &Path, host: &Host) -> Vec<Outcome> {
    native::keep_panics();
    let cases = cases::read(folder);
    let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(cases.iter().map(|_| None).collect());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            let worker = || {
                while let Some(case) = cases.get(next.fetch_add(1, Relaxed)) {
                    let outcome = run(folder, host, case);
                    outcomes.lock().unwrap()[case.position] = Some(outcome);
                }
            };
            thread::Builder::new()
                .stack_size(64 << 20)
                .spawn_scoped(scope, worker)
                .unwrap();
        }
    });
    outcomes
        .into_inner()
        .unwrap()
        .into_iter()
        .map(|outcome| outcome.expect("every case was run"))
        .collect()
}

fn run(folder: &Path, host: &Host, case: &Case) -> Outcome {
    let mut outcome = Outcome {
        case: case.clone(),
        given: None,
        constant: None,
    };
    if case.outside.is_some() {
        return outcome;
    }
    let folder = folder.join(&case.name);
    let inputs = cases::tensors(&folder, &case.inputs);
    let expected = cases::tensors(&folder, &case.outputs);
    let run = |file: &str, inputs: &[Tensor]| {
        let onnx = std::fs::read(folder.join(file)).unwrap();
        let judge = |answer: Result<Vec<Tensor>, String>| {
            answer.and_then(|outputs| compare::all(&outputs, &expected))
        };
        Verdicts {
            native: judge(native::run(&onnx, inputs)),
            wasm: judge(host.run(&onnx, inputs)),
        }
    };
    let given = run("model.onnx", &inputs);
    if given.native.is_err() && inputs.len() > 1 {
        outcome.constant = Some(run("constant.onnx", &inputs[..1]));
    }
    outcome.given = Some(given);
    outcome
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
