//! The table of supported operators, from ONNX's own node tests.

use anyhow::Result;

use crate::process::{cargo, command, root, run};
use crate::{guest, python};

/// Runs every case and writes `docs/operators.md`.
pub fn operators() -> Result<()> {
    guest::guest()?;
    export()?;
    run(cargo()
        .args(["test", "--release", "--test", "operators"])
        .env("MODELET_BLESS", "1"))
}

/// Writes the cases to `target/onnx-node`.
pub fn export() -> Result<()> {
    let folder = root().join("target/onnx-node");
    let python = python::environment("operators", "tests/operators/requirements.txt")?;
    run(command(python)
        .arg("tests/operators/export.py")
        .arg(&folder))
}
