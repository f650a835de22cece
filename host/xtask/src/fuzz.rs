//! Runs the fuzz targets of `tests/fuzz`: whatever reads bytes that somebody else wrote.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::{cargo, command, root, run};

const TARGETS: [&str; 5] = ["answer", "artifact", "npy", "request", "spec"];

/// LLVM's own coverage, which libFuzzer reads; it needs no nightly compiler.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 --cfg fuzzing";

/// Each target for this many seconds, from the same seed. What they find out is kept in
/// `target/fuzz/corpus` for the next run.
pub fn fuzz(seconds: u32) -> Result<()> {
    let host = host()?;
    // With a target of its own the flags do not reach build scripts.
    run(cargo()
        .args(["build", "--release", "--locked", "--target", &host])
        .args([
            "--manifest-path",
            "tests/fuzz/Cargo.toml",
            "--target-dir",
            "target/fuzz",
        ])
        .env("RUSTFLAGS", COVERAGE))?;
    let failures = "target/fuzz/failures";
    fs::create_dir_all(root().join(failures)).context(failures)?;
    for target in TARGETS {
        let program = root().join(format!("target/fuzz/{host}/release/{target}"));
        let found = format!("target/fuzz/corpus/{target}");
        fs::create_dir_all(root().join(&found)).with_context(|| found.clone())?;
        let mut fuzzer = command(&program);
        fuzzer
            .args([&found, &format!("tests/fuzz/corpus/{target}")])
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={failures}/{target}-"))
            .args([
                "-seed=1",
                "-timeout=10",
                "-rss_limit_mb=512",
                "-malloc_limit_mb=256",
            ]);
        tell(target, &mut fuzzer)?;
    }
    Ok(())
}

/// Runs a fuzzer to its end. It says a lot, of which only the last line matters unless it fails.
fn tell(target: &str, fuzzer: &mut Command) -> Result<()> {
    let output = fuzzer
        .output()
        .with_context(|| format!("the fuzzer `{target}` does not start"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("`{target}` failed; the file that it names makes it fail again\n{said}");
    }
    eprintln!(
        "{target:10} {}",
        said.lines().last().unwrap_or("said nothing")
    );
    Ok(())
}

fn host() -> Result<String> {
    let output = command("rustc")
        .arg("-vV")
        .output()
        .context("rustc does not start")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned)
        .context("rustc does not tell its host")
}
