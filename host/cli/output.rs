//! Files that commands write.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// Before minutes of work, not after.
pub fn check(output: &Path) -> Result<()> {
    ensure!(
        !output.is_dir(),
        "{} is a directory; name a file in it with --output",
        output.display()
    );
    let folder = folder_of(output);
    ensure!(
        folder.is_dir(),
        "there is no directory {} to write into",
        folder.display()
    );
    Ok(())
}

/// In one step, so that a server which watches the place never sees half a file.
pub fn write(output: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = folder_of(output).join(format!(".modelet-{}.unfinished", std::process::id()));
    File::create(&unfinished)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            // Else a machine that loses its power may come back with an empty file of this name.
            file.sync_all()
        })
        .and_then(|()| fs::rename(&unfinished, output))
        .inspect_err(|_| {
            // It may not exist; the error that matters is the first.
            let _ = fs::remove_file(&unfinished);
        })
        .with_context(|| format!("{} cannot be written", output.display()))
}

fn folder_of(file: &Path) -> &Path {
    file.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
