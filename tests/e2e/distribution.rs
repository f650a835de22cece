//! Artifacts on their way: directories, a server that speaks S3, a registry, keys that openssl made.

mod bucket;
mod moving;
mod proxy;
mod registry;
mod resuming;
mod serving;
mod signatures;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::built;

/// What is set for a command, beside what it inherits.
type Environment = Vec<(String, String)>;

fn command(arguments: &[&str], environment: &Environment) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelet"))
        .args(arguments)
        .envs(environment.clone())
        .output()
        .unwrap()
}

/// What a command says when it does what it should.
#[track_caller]
fn done(arguments: &[&str], environment: &Environment) -> String {
    let output = command(arguments, environment);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it refuses.
#[track_caller]
fn refused(arguments: &[&str], environment: &Environment, expected: &str) {
    let output = command(arguments, environment);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.contains(expected), "`{expected}` is not in: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn iris() -> PathBuf {
    built::enlarged("iris")
}

/// Another artifact.
fn digits() -> PathBuf {
    built::modelet("digits")
}

#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    assert!(
        fs::read(one).unwrap() == fs::read(other).unwrap(),
        "{} is not {}",
        one.display(),
        other.display()
    );
}

/// Of what a failed or refused pull left under other names than the one that was asked for.
fn unfinished(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.to_string_lossy().ends_with(".unfinished"))
        .collect()
}

#[track_caller]
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// A modelet and its signature, alone in a folder.
fn copy_of(modelet: &Path) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("model.wasm");
    fs::copy(modelet, &copy).unwrap();
    (folder, copy)
}
