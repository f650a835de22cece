//! The table of what is promised and what is measured.

use anyhow::Result;

use crate::process::{cargo, command, release_dir, run};
use crate::{browser, guest, models, python};

/// Builds everything and measures it. Takes some twelve minutes, on a machine that does nothing else.
pub fn bench() -> Result<()> {
    guest::guest()?;
    run(cargo().args(["build", "--release", "--workspace", "--bins"]))?;
    models::make_all()?;
    models::make_zoo()?;
    let python = python::environment("bench", "tests/bench/requirements.txt")?;
    let mlserver = python::environment("mlserver", "tests/bench/mlserver.txt")?;
    if browser::has_node() {
        browser::packages()?;
    }
    run(command(release_dir()?.join("modelet-bench")).args([python, mlserver]))?;
    browser::bench()
}
