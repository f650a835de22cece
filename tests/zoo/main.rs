//! The zoo: every scikit-learn, XGBoost and LightGBM model of `models/zoo`, built as a user would build
//! it, and run.
//!
//! `cargo xtask zoo` makes the models and writes `docs/sklearn.md`.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod compare;
mod entries;
mod refusals;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use entries::Entry;
use modelet_builder::{Builder, Options};
use modelet_compiler::{Compiler, Config};
use modelet_protocol::golden;
use modelet_runtime::Limits;

/// How an entry went: right, or why not.
type Verdict = Result<(), String>;

struct Outcome {
    entry: Entry,
    /// Nothing where ONNX Runtime does not run the model either.
    verdict: Option<Verdict>,
    /// What `build` says to a model that ONNX Runtime does not run.
    refusal: Option<String>,
}

#[test]
fn every_model_of_the_zoo_answers_as_in_onnx_runtime() {
    let folder = root().join("target/zoo");
    if !folder.join("index.json").exists() {
        skip(&format!(
            "{} has no models; `cargo xtask zoo` makes them",
            folder.display()
        ));
        return;
    }
    let outcomes = run_all(&folder);
    let report = report::write(&outcomes);
    let path = root().join("docs/sklearn.md");
    if std::env::var_os(BLESS).is_some() {
        fs::write(&path, &report).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let change = committed
        .lines()
        .zip(report.lines())
        .find(|(committed, now)| committed != now);
    assert!(
        committed == report,
        "docs/sklearn.md is out of date: run `cargo xtask zoo`. First change: {change:?}\n{}",
        report::failures(&outcomes)
    );
}

/// Set, it means: the run is right and the committed table is to follow.
const BLESS: &str = "MODELET_BLESS";

/// All entries in the order of the index, on all cores.
fn run_all(folder: &Path) -> Vec<Outcome> {
    let cache = cache();
    let config = Config {
        cache: Some(cache.clone()),
        max_instances: 8,
        ..Config::default()
    };
    let host = Compiler::new(&config).unwrap();
    let builder = Builder::new(Some(cache)).unwrap();
    let entries = entries::read(folder);
    let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(entries.iter().map(|_| None).collect());
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let position = next.fetch_add(1, Relaxed);
            let Some(entry) = entries.get(position) else {
                return;
            };
            let runs = entry.outside.is_none();
            let outcome = Outcome {
                entry: entry.clone(),
                verdict: runs.then(|| run(folder, &host, &builder, entry)),
                refusal: (!runs).then(|| refusal(folder, &builder, entry)).flatten(),
            };
            outcomes.lock().unwrap()[position] = Some(outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(worker);
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    outcomes
        .into_iter()
        .map(|outcome| outcome.expect("every entry was run"))
        .collect()
}

/// Nothing where the converter made no model, or where the model can be built.
fn refusal(folder: &Path, builder: &Builder, entry: &Entry) -> Option<String> {
    let onnx = fs::read(folder.join(&entry.slug).join("model.onnx")).ok()?;
    build(&onnx, builder, entry).err()
}

/// The only one whose shapes hang on the values of a request.
const NOT_PREPARED: &str = "KNNImputer";

fn build(onnx: &[u8], builder: &Builder, entry: &Entry) -> Result<Vec<u8>, String> {
    let options = Options {
        name: entry.slug.clone(),
        ..Options::default()
    };
    match builder.build(onnx, &options, &mut |_| ()) {
        Ok(built) => {
            let reason = built.not_prepared;
            assert_eq!(reason.is_some(), entry.title == NOT_PREPARED, "{reason:?}");
            Ok(built.component)
        }
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Of a modelet, beside its file. Those that are read anew for each request are the largest by far.
const MOST_BYTES: usize = 7_000_000;

/// Builds the model, loads what was built, and gives it every request.
fn run(folder: &Path, host: &Compiler, builder: &Builder, entry: &Entry) -> Verdict {
    let folder = folder.join(&entry.slug);
    let onnx = fs::read(folder.join("model.onnx")).unwrap();
    let cases = golden::parse(&fs::read(folder.join("golden.json")).unwrap()).unwrap();
    assert!(!cases.is_empty(), "{} is asked nothing", entry.slug);
    let component = build(&onnx, builder, entry)?;
    let beside = component.len().saturating_sub(onnx.len());
    assert!(
        beside < MOST_BYTES,
        "{} has {beside} bytes beside its file",
        entry.slug
    );
    let limits = Limits {
        memory_bytes: 1 << 30,
        reuse: false,
    };
    let modelet = host.load(&component, limits).unwrap();
    for case in cases {
        let deadline = Instant::now() + Duration::from_secs(120);
        let answer = modelet
            .infer(&case.inputs, &[], deadline)
            .map_err(|error| format!("{}: {error}", case.name))?;
        compare::all(&case.outputs, &answer, entry.relative)
            .map_err(|difference| format!("{}: {difference}", case.name))?;
    }
    Ok(())
}

/// Where compiled code is kept.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("zoo-cache")
}

/// Says why a test does nothing; with CI set that is a failure.
fn skip(reason: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "with CI set nothing is skipped: {reason}"
    );
    eprintln!("skipped: {reason}");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
