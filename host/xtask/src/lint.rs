//! What needs no model and no server: formatting, clippy, and who depends on whom.

use anyhow::Result;

use crate::guest;
use crate::process::{cargo, run};

pub fn lint() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    for outside in ["tests/fuzz/Cargo.toml", "tests/gateway/Cargo.toml"] {
        run(cargo().args(["fmt", "--check", "--manifest-path", outside]))?;
    }
    clippy(&["--workspace", "--all-targets", "--release"])?;
    guest::add_target(guest::TARGET)?;
    clippy(&[
        "--package",
        "modelet-engine",
        "--lib",
        "--target",
        guest::TARGET,
        "--profile",
        "guest",
        "--target-dir",
        "target/guest",
    ])?;
    clippy(&[
        "--package",
        "modelet-browser",
        "--lib",
        "--target",
        guest::TARGET,
        "--profile",
        "browser",
        "--target-dir",
        "target/guest",
    ])?;
    clippy(&[
        "--package",
        "modelet-gateway",
        "--lib",
        "--target",
        guest::TARGET,
        "--profile",
        "browser",
        "--target-dir",
        "target/guest",
    ])?;
    run(cargo().args(["test", "--release", "--workspace", "--test", "layering"]))
}

fn clippy(arguments: &[&str]) -> Result<()> {
    run(cargo()
        .arg("clippy")
        .args(arguments)
        .args(["--", "-D", "warnings"]))
}
