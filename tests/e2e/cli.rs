//! What the command line answers to mistakes: the message, the exit code, and never a panic.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["inspect", "nowhere.wasm"][..],
        &["run", "nowhere.wasm", "--input", "x.json"],
        &["bench", "nowhere.wasm"],
        &["serve", "nowhere.wasm"],
        &["build", "nowhere.onnx", "-o", "x.wasm"],
    ] {
        check_error(arguments, folder.path(), &["nowhere."]);
    }
}

#[test]
fn what_is_no_modelet_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let importing = r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#;
    for (name, contents, expected) in [
        ("text.wasm", b"hello".to_vec(), "not a WebAssembly file"),
        ("empty.wasm", vec![], "not a WebAssembly file"),
        (
            "module.wasm",
            wat::parse_str("(module)").unwrap(),
            "core WebAssembly module",
        ),
        (
            "import.wasm",
            wat::parse_str(importing).unwrap(),
            "the component imports `wasi:clocks/wall-clock@0.2.0`",
        ),
        (
            "bare.wasm",
            wat::parse_str("(component)").unwrap(),
            "does not export",
        ),
    ] {
        fs::write(folder.path().join(name), contents).unwrap();
        for arguments in [
            &["inspect", name][..],
            &["run", name, "--input", "-"],
            &["bench", name],
            &["serve", name, "--listen", "127.0.0.1:0"],
        ] {
            check_error(arguments, folder.path(), &[name, expected]);
        }
    }
}

#[test]
fn what_is_no_onnx_is_not_built() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "these are notes").unwrap();
    check_error(
        &["build", "notes.txt", "-o", "notes.wasm"],
        folder.path(),
        &["notes.txt"],
    );
    assert!(!folder.path().join("notes.wasm").exists());
}

#[test]
fn the_place_to_write_is_checked_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let iris = iris_onnx();
    check_error(
        &["build", &iris, "-o", "no/such/place.wasm"],
        folder.path(),
        &["there is no directory no/such"],
    );
    check_error(
        &["build", &iris, "-o", "."],
        folder.path(),
        &["is a directory"],
    );
}

#[test]
fn an_input_that_the_model_has_not_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    check_error(
        &[
            "build",
            &iris_onnx(),
            "-o",
            "x.wasm",
            "--input",
            "petals=FP32[N,4]",
        ],
        folder.path(),
        &["petals"],
    );
    assert!(!folder.path().join("x.wasm").exists());
}

#[test]
fn usage_mistakes_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["polish", "x.wasm"][..], "polish"),
        (&["build", "x.onnx"], "--output"),
        (
            &["build", "x.onnx", "-o", "x.wasm", "--label", "colour"],
            "KEY=VALUE",
        ),
        (
            &["build", "x.onnx", "-o", "x.wasm", "--input", "x=FLOAT[1]"],
            "FLOAT",
        ),
        (
            &["build", "x.onnx", "-o", "x.wasm", "--input", "x=FP32[1"],
            "FP32[1",
        ),
        (&["serve", "x.wasm", "--listen", "here"], "--listen"),
        (&["bench", "x.wasm", "--seconds", "0"], "--seconds"),
    ] {
        check_exit(2, arguments, folder.path(), &[expected]);
    }
}

#[test]
fn every_mistake_in_the_settings_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("modelet.toml"),
        "listen = 1\n[limits]\nqeue = 2\n",
    )
    .unwrap();
    check_error(
        &["serve", ".", "--config", "modelet.toml"],
        folder.path(),
        &[
            "modelet.toml",
            "line 1: listen",
            "line 3: there is no setting `limits.qeue`",
        ],
    );
}

/// Exit code 1 and, on standard error, all of `expected`.
fn check_error(arguments: &[&str], folder: &Path, expected: &[&str]) {
    check_exit(1, arguments, folder, expected);
}

fn check_exit(code: i32, arguments: &[&str], folder: &Path, expected: &[&str]) {
    let output = modelet(arguments, folder);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let said = format!("modelet {}\n{stderr}", arguments.join(" "));
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(
        stderr.starts_with("error: ") || stderr.contains("\nerror: "),
        "{said}"
    );
    for expected in expected {
        assert!(
            stderr.contains(expected),
            "`{expected}` is missing in: {said}"
        );
    }
    for never in ["panicked", "stack backtrace", "RUST_BACKTRACE"] {
        assert!(!stderr.contains(never), "{said}");
    }
}

fn modelet(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelet"))
        .args(arguments)
        .current_dir(folder)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn iris_onnx() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/model.onnx").to_owned()
}
