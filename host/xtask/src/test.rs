//! Everything that is checked before a change is believed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::{cargo, exists, is_ci, run};
use crate::{browser, device, fuzz, gateway, guest, lint, models, operators, python};

/// How a part of the tests ended, if without a failure.
pub enum Outcome {
    Done,
    /// Why it could not run here.
    Skipped(String),
}

/// Runs every part, also after one has failed, and then says how each ended.
pub fn test() -> Result<()> {
    guest::guest()?;
    let mut summary = Summary::default();
    summary.part("lint", || lint::lint().map(|()| Outcome::Done));
    summary.part("kernels in wasm", || {
        guest::kernels().map(|()| Outcome::Done)
    });
    summary.part("policy in wasm", || guest::policy().map(|()| Outcome::Done));
    summary.part("fuzz", || fuzz::fuzz(5).map(|()| Outcome::Done));
    summary.part("clients", with_python(clients));
    summary.part("models", with_python(models::make_all));
    summary.part("models for tests", with_python(models::make_for_tests));
    summary.part("zoo", with_python(models::make_zoo));
    summary.part("ONNX node tests", with_python(operators::export));
    summary.part("device", device::for_tests);
    summary.part("Postgres", || Ok(postgres()));
    summary.part("tests", tests);
    summary.part("browser", in_browser);
    summary.part("gateway", gateway::test);
    summary.print();
    summary.verdict()
}

/// Only the part of [`test`] that is about the gateway.
pub fn gateway() -> Result<()> {
    guest::guest()?;
    let mut summary = Summary::default();
    summary.part("models", with_python(models::make_all));
    summary.part("gateway", gateway::test);
    summary.print();
    summary.verdict()
}

/// Only the part of [`test`] that needs a browser.
pub fn browser() -> Result<()> {
    guest::guest()?;
    let mut summary = Summary::default();
    summary.part("models", with_python(models::make_all));
    summary.part("browser", in_browser);
    summary.print();
    summary.verdict()
}

/// The stories in a browser, with the `modelet` of this moment.
fn in_browser() -> Result<Outcome> {
    programs()?;
    browser::test()
}

/// Builds `modelet` and what else runs, as the tests have built it: without the examples Cargo would
/// choose other features, and build most of it again.
pub fn programs() -> Result<()> {
    run(cargo().args(["build", "--release", "--workspace", "--bins", "--examples"]))
}

/// A part that needs a virtual environment.
fn with_python(work: fn() -> Result<()>) -> impl FnOnce() -> Result<Outcome> {
    move || {
        if !exists("python3", &["-c", "import ensurepip"]) {
            let reason = "python3 makes no virtual environment here; install python3-venv, or do \
                          without the tests that need this";
            return Ok(Outcome::Skipped(reason.to_owned()));
        }
        work().map(|()| Outcome::Done)
    }
}

/// The clients that the end-to-end tests start.
fn clients() -> Result<()> {
    python::environment("tests", "tests/requirements.txt").map(drop)
}

/// The server that the state is also kept in. The tests start their own.
fn postgres() -> Outcome {
    match has_postgres() {
        true => Outcome::Done,
        false => Outcome::Skipped("there is no /usr/lib/postgresql; install postgresql".to_owned()),
    }
}

fn has_postgres() -> bool {
    Path::new("/usr/lib/postgresql").is_dir()
}

fn tests() -> Result<Outcome> {
    let nextest = ["nextest", "--version"];
    if is_ci() && !exists("cargo", &nextest) {
        run(cargo().args(["install", "cargo-nextest", "--locked"]))?;
    }
    if exists("cargo", &nextest) {
        run(cargo().args([
            "nextest",
            "run",
            "--release",
            "--workspace",
            "--no-fail-fast",
            "-E",
            if has_postgres() {
                "all()"
            } else {
                "not test(on_postgres)"
            },
        ]))?;
    } else {
        eprintln!("cargo-nextest is not installed: `cargo test` runs the same tests, more slowly");
        let mut test = cargo();
        test.args(["test", "--release", "--workspace", "--no-fail-fast"]);
        if !has_postgres() {
            test.args(["--", "--skip", "on_postgres"]);
        }
        run(&mut test)?;
    }
    Ok(Outcome::Done)
}

#[derive(Default)]
struct Summary {
    parts: Vec<(&'static str, Duration, Result<Outcome>)>,
}

impl Summary {
    fn part(&mut self, name: &'static str, work: impl FnOnce() -> Result<Outcome>) {
        eprintln!("== {name}");
        let start = Instant::now();
        let mut result = work();
        if let (true, Ok(Outcome::Skipped(reason))) = (is_ci(), &result) {
            result = Err(anyhow::anyhow!("with CI=true nothing is skipped: {reason}"));
        }
        self.parts.push((name, start.elapsed(), result));
    }

    fn print(&self) {
        eprintln!("== summary");
        for (name, time, result) in &self.parts {
            let ended = match result {
                Ok(Outcome::Done) => "done".to_owned(),
                Ok(Outcome::Skipped(reason)) => format!("SKIPPED: {reason}"),
                Err(error) => format!("FAILED: {error:#}"),
            };
            eprintln!("{name:16} {:6.0} s  {ended}", time.as_secs_f64());
        }
    }

    fn verdict(&self) -> Result<()> {
        let failed: Vec<_> = self
            .parts
            .iter()
            .filter(|(_, _, result)| result.is_err())
            .map(|(name, ..)| *name)
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        bail!("failed: {}", failed.join(", "))
    }
}
