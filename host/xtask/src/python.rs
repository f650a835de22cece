//! Virtual environments of the project's own, under `target/python`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::process::{command, exists, root, run};

/// The interpreter of `target/python/<name>`, made or brought up to date with the packages that
/// the file `requirements` lists.
pub fn environment(name: &str, requirements: &str) -> Result<PathBuf> {
    let folder = root().join("target/python").join(name);
    let python = folder.join("bin/python");
    let listed = root().join(requirements);
    let wanted =
        fs::read(&listed).with_context(|| format!("{} cannot be read", listed.display()))?;
    let installed = folder.join("installed.txt");
    if python.exists() && fs::read(&installed).is_ok_and(|packages| packages == wanted) {
        return Ok(python);
    }
    create(&folder)?;
    run(command(&python)
        .args(["-m", "pip", "install", "--disable-pip-version-check"])
        .args(["--requirement", requirements]))?;
    // Written last: an installation that was interrupted is done again.
    fs::write(&installed, wanted)
        .with_context(|| format!("{} cannot be written", installed.display()))?;
    Ok(python)
}

/// The interpreter of `target/python/<name>`, which has no packages of its own.
pub fn bare(name: &str) -> Result<PathBuf> {
    let folder = root().join("target/python").join(name);
    let python = folder.join("bin/python");
    if !python.exists() {
        create(&folder)?;
    }
    Ok(python)
}

fn create(folder: &Path) -> Result<()> {
    ensure!(
        exists("python3", &["--version"]),
        "there is no python3; install Python 3.10 or later"
    );
    run(command("python3").args(["-m", "venv"]).arg(folder)).context(
        "python3 makes no virtual environment; on Debian and Ubuntu that is the package \
         python3-venv",
    )
}
