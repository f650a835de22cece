//! Files that others look at while they are written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Writes a file in one step: whoever looks finds the whole or what was before.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Of this process: another that shares the folder writes another.
    let ending = format!(".unfinished-{}", std::process::id());
    let unfinished = beside(path, &ending);
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, path))
        .inspect_err(|_| {
            // It may not exist; the error that matters is the first.
            let _ = fs::remove_file(&unfinished);
        })
}

/// The path of a file beside another, named after it.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// At most `limit` bytes of a file; what is no text becomes a text that nobody wrote.
pub fn read_beginning(path: &Path, limit: usize) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
