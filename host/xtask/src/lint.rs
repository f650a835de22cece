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
    for (package, profile) in [
        ("modelet-engine", "guest"),
        ("modelet-kernels", "guest"),
        ("modelet-kernels-check", "guest"),
        ("modelet-browser", "browser"),
        ("modelet-gateway", "browser"),
    ] {
        let target_dir = ["--target-dir", "target/guest"];
        let package = ["--package", package, "--lib"];
        let target = ["--target", guest::TARGET, "--profile", profile];
        clippy(&[&package[..], &target, &target_dir].concat())?;
    }
    run(cargo().args(["test", "--release", "--workspace", "--test", "layering"]))
}

fn clippy(arguments: &[&str]) -> Result<()> {
    run(cargo()
        .arg("clippy")
        .args(arguments)
        .args(["--", "-D", "warnings"]))
}
