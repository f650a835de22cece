//! A real browser: what it needs, and the stories and measurements that are run in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::models::build;
use crate::process::{command, exists, release_dir, root, run};
use crate::test::Outcome;

/// The models that a page of the tests has, with the options that `modelet build` needs for them.
const MODELS: &[(&str, &[&str])] = &[
    ("iris", &[]),
    ("digits", &[]),
    ("wine", &[]),
    ("diabetes", &[]),
    ("magika", &["--input", "bytes=INT32[1,2048]"]),
];

/// Two versions of one model, of which the second is given up for the first.
const DIGITS: &str = "\
[fallback]
chain = [{ version = 1 }]

[breaker]
consecutive = 3
open = \"2s\"
";

/// Runs every story of `tests/browser`.
pub fn test() -> Result<Outcome> {
    if let Some(missing) = missing() {
        return Ok(Outcome::Skipped(missing));
    }
    let repository = repository()?;
    node(
        &["--test", "--test-reporter=spec"],
        &["page.test.mjs", "package.test.mjs"],
        &repository,
    )?;
    Ok(Outcome::Done)
}

/// Prints what is promised of the browser beside what is measured there.
pub fn bench() -> Result<()> {
    if let Some(missing) = missing() {
        println!("not measured in a browser: {missing}");
        return Ok(());
    }
    let folder = root().join("target/browser/bench");
    let mobilenet: &[(&str, &[&str])] = &[("mobilenet", &["--input", "image=FP32[1,3,224,224]"])];
    let measured = MODELS
        .iter()
        .filter(|(name, _)| matches!(*name, "digits" | "magika"));
    for (name, options) in measured.chain(mobilenet) {
        build(name, options, &folder.join(name).join("1"))?;
    }
    node(&[], &["bench.mjs"], &folder)
}

/// Why there is no browser to be driven here, if so.
fn missing() -> Option<String> {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !exists(&chromium, &["--version"]) {
        return Some(format!(
            "there is no {chromium}; install chromium, or name one in CHROMIUM"
        ));
    }
    if !has_node() {
        return Some("there is no node with npm; install Node.js 20 or later".to_owned());
    }
    None
}

pub fn has_node() -> bool {
    exists("npm", &["--version"]) && exists("node", &["--version"])
}

fn node(options: &[&str], files: &[&str], repository: &Path) -> Result<()> {
    packages()?;
    let files = files.iter().map(|file| format!("tests/browser/{file}"));
    run(command("node")
        .args(options)
        .args(files)
        .env("MODELET", release_dir()?.join("modelet"))
        .env("REPOSITORY", repository)
        .env("CACHE", root().join("target/browser/cache")))
}

/// The npm packages of `tests/browser/package-lock.json`, in `target/browser`.
pub fn packages() -> Result<()> {
    let folder = root().join("target/browser");
    let installed = folder.join("installed.json");
    let listed = root().join("tests/browser/package-lock.json");
    let wanted = fs::read(&listed).context("tests/browser/package-lock.json cannot be read")?;
    if fs::read(&installed).is_ok_and(|packages| packages == wanted) {
        return Ok(());
    }
    fs::create_dir_all(&folder).context("target/browser cannot be made")?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(root().join("tests/browser").join(file), folder.join(file))
            .with_context(|| format!("{file} cannot be copied into target/browser"))?;
    }
    // Nothing of theirs is run at installation; the browser is the system's.
    run(command("npm")
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
        ])
        .arg(&folder))?;
    // Written last: an installation that was interrupted is done again.
    fs::write(&installed, wanted).context("target/browser/installed.json cannot be written")
}

/// The repository that the page is made of.
fn repository() -> Result<PathBuf> {
    let folder = root().join("target/browser/repository");
    for (name, options) in MODELS {
        build(name, options, &folder.join(name).join("1"))?;
    }
    let second = folder.join("digits/2");
    fs::create_dir_all(&second)
        .and_then(|()| {
            fs::copy(
                folder.join("digits/1/model.wasm"),
                second.join("model.wasm"),
            )
        })
        .and_then(|_| fs::write(folder.join("digits/model.toml"), DIGITS))
        .with_context(|| format!("{} cannot be written", folder.display()))?;
    Ok(folder)
}
