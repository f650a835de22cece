//! The test models, made by the recipes in `models/`, and the table of those that scikit-learn makes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::process::{cargo, command, release_dir, root, run};
use crate::{guest, python};

/// Every model and its golden cases, in `target/models`.
pub fn make_all() -> Result<()> {
    run(command(environment()?).arg("models/make.py"))
}

/// Builds one of them as a user would, with the options that it needs, as `model.wasm` in this folder.
pub fn build(name: &str, options: &[&str], version: &Path) -> Result<()> {
    let kept = root().join("models").join(name).join("model.onnx");
    let made = root().join("target/models").join(name).join("model.onnx");
    fs::create_dir_all(version).with_context(|| format!("{} cannot be made", version.display()))?;
    run(command(release_dir()?.join("modelet"))
        .arg("build")
        .arg(if kept.exists() { kept } else { made })
        .arg("--output")
        .arg(version.join("model.wasm"))
        .args(["--name", name, "--cache", "target/browser/cache"])
        .args(options))
}

/// Models that only tests have a use for, in `target/protocol-models`, `target/quantized` and `target/refused`.
pub fn make_for_tests() -> Result<()> {
    let python = environment()?;
    run(command(&python).args(["tests/clients/protocol_models.py", "target/protocol-models"]))?;
    run(command(&python).args(["tests/e2e/quantized.py", "target/quantized"]))?;
    run(command(&python).args(["tests/zoo/refused.py", "target/refused"]))
}

/// scikit-learn's estimators and what goes with them, in `target/zoo`.
pub fn make_zoo() -> Result<()> {
    run(command(environment()?).args(["models/zoo/make.py", "target/zoo"]))
}

/// Makes and runs the zoo, and writes `docs/sklearn.md`.
pub fn zoo() -> Result<()> {
    guest::guest()?;
    make_zoo()?;
    run(cargo()
        .args(["test", "--release", "--test", "zoo"])
        .env("MODELET_BLESS", "1"))
}

fn environment() -> Result<PathBuf> {
    python::environment("models", "models/requirements.txt")
}

/// Magika's ONNX file, out of its wheel. Unlike the recipe, this needs no package: there are no
/// golden cases to compute.
pub fn magika() -> Result<PathBuf> {
    let folder = root().join("target/demo/magika");
    let onnx = folder.join("magika/models/standard_v3_3/model.onnx");
    if onnx.exists() {
        return Ok(onnx);
    }
    let python = python::bare("demo")?;
    run(command(&python)
        .args(["-m", "pip", "download", "--no-deps", "--require-hashes"])
        .args(["--disable-pip-version-check", "--only-binary=:all:"])
        .args(["--requirement", "models/magika/wheel.txt", "--dest"])
        .arg(&folder))?;
    let wheel = fs::read_dir(&folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("{} cannot be read", folder.display()))?
        .into_iter()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .context("pip downloaded no wheel")?;
    run(command(&python)
        .args(["-m", "zipfile", "-e"])
        .arg(wheel)
        .arg(&folder))?;
    Ok(onnx)
}
