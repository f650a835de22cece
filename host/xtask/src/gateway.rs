//! The gateway: its stories on wasmtime's own host of WASI HTTP, and the application that `spin.toml` is
//! about.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::models::build;
use crate::process::{cargo, command, release_dir, root, run};
use crate::test::{Outcome, programs};

/// The models of `models/`, with the options that `modelet build` needs for them.
const MODELS: &[(&str, &[&str])] = &[
    ("iris", &[]),
    ("digits", &[]),
    ("wine", &[]),
    ("diabetes", &[]),
    ("magika", &["--input", "bytes=INT32[1,2048]"]),
    ("mobilenet", &[]),
];

/// The second version is given up for the first.
const DIGITS: &str = "fallback.chain = [{ version = 1 }]\nbreaker = {}\n";

const MANIFEST: [&str; 2] = ["--manifest-path", "tests/gateway/Cargo.toml"];

/// Runs every story of `tests/gateway`, with the `modelet` of this moment.
pub fn test() -> Result<Outcome> {
    programs()?;
    application()?;
    let repository = root().join("target/gateway/repository");
    for (name, options) in MODELS {
        build(name, options, &repository.join(name).join("1"))?;
    }
    run(cargo()
        .args([
            "test",
            "--release",
            "--locked",
            "--target-dir",
            "target/gateway",
        ])
        .args(MANIFEST)
        // One after the other: they compile, and they measure. What was measured is for the reader.
        .args(["--", "--test-threads=1", "--show-output"])
        .env("MODELET", release_dir()?.join("modelet"))
        .env("COMPOSE", release_dir()?.join("examples/compose"))
        .env("CACHE", root().join("target/browser/cache"))
        .env("REPOSITORY", repository))?;
    Ok(Outcome::Done)
}

/// Makes the application of the root's `spin.toml`, in `target/spin/application`.
pub fn application() -> Result<()> {
    let repository = root().join("target/spin/repository");
    for version in ["iris/1", "digits/1", "digits/2"] {
        let name = Path::new(version)
            .iter()
            .next()
            .and_then(|name| name.to_str());
        let name = name.context("a version is of a model")?;
        build(name, &[], &repository.join(version))?;
    }
    let spec = repository.join("digits/model.toml");
    fs::write(&spec, DIGITS).with_context(|| format!("{} cannot be written", spec.display()))?;
    run(command(release_dir()?.join("modelet"))
        .args(["bundle", "spin", "target/spin/repository"])
        .args(["--output", "target/spin/application"]))
}

/// As [`application`], from a checkout that has nothing yet.
pub fn spin() -> Result<()> {
    crate::guest::guest()?;
    run(cargo().args(["build", "--release", "--workspace", "--bins"]))?;
    application()
}
