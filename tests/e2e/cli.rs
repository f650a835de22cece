//! What the command line answers to mistakes: the message, the exit code, and never a panic.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::built;

/// A flower that nobody could take for another.
const FLOWER: [f32; 4] = [5.1, 3.5, 1.4, 0.2];

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
fn build_removes_from_the_cache_what_nobody_used_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let [ancient, recent] = ["ancient.cwasm", "recent.cwasm"].map(|name| cache.join(name));
    for (path, days) in [(&ancient, 60), (&recent, 1)] {
        let used = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        fs::File::create(path).unwrap().set_modified(used).unwrap();
    }
    let built = command_with(
        &["build", &iris_onnx(), "-o", "iris.wasm"],
        folder.path(),
        &cache,
    )
    .output()
    .unwrap();
    assert!(built.status.success(), "{built:?}");
    assert!(!ancient.exists());
    assert!(recent.exists());
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

#[test]
fn json_numpy_and_standard_input_give_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let iris = built::modelet("iris");
    let iris = iris.to_str().unwrap();
    let json =
        r#"{"inputs":[{"name":"X","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}"#;
    fs::write(folder.path().join("flower.json"), json).unwrap();
    fs::write(folder.path().join("flower.npy"), npy("(1, 4)", &FLOWER)).unwrap();

    let of_json = modelet(&["run", iris, "--input", "flower.json"], folder.path());
    let of_npy = modelet(&["run", iris, "--input", "flower.npy"], folder.path());
    let of_stdin = command(&["run", iris, "--input", "-"], folder.path())
        .stdin(fs::File::open(folder.path().join("flower.npy")).unwrap())
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&of_json.stdout).unwrap();
    assert_eq!(answer["outputs"][0]["name"], "label");
    assert_eq!(answer["outputs"][0]["data"], serde_json::json!([0]));
    assert_eq!(of_json.stdout, of_npy.stdout);
    assert_eq!(of_json.stdout, of_stdin.stdout);

    let to_file = [
        "run",
        iris,
        "--input",
        "flower.json",
        "--output",
        "answer.json",
    ];
    assert!(modelet(&to_file, folder.path()).stdout.is_empty());
    let written = fs::read(folder.path().join("answer.json")).unwrap();
    assert_eq!(written, of_json.stdout);
}

#[test]
fn an_input_that_no_memory_holds_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/model.onnx");
    for size in ["18446744073709551615", "99999999999"] {
        let input = format!("X=FP32[{size},4]");
        let arguments = ["build", onnx, "-o", "m.wasm", "--input", &input];
        let output = command(&arguments, folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_request_that_does_not_fit_says_what_would() {
    let folder = tempfile::tempdir().unwrap();
    let iris = built::modelet("iris");
    let iris = iris.to_str().unwrap();
    let input = |name: &str, datatype: &str, shape: &str| {
        format!(
            r#"{{"inputs":[{{"name":"{name}","datatype":"{datatype}","shape":{shape},"data":[1,2,3,4]}}]}}"#
        )
    };
    for (request, expected) in [
        (b"petals".to_vec(), "not valid JSON"),
        (
            input("Z", "FP32", "[1,4]").into(),
            "no input `Z`; its inputs are `X`",
        ),
        (
            input("X", "FP64", "[1,4]").into(),
            "input `X` is FP32, got FP64",
        ),
        (
            input("X", "FP32", "[2,2]").into(),
            "does not take shape [2, 2]",
        ),
        (input("X", "FP32", "[1,5]").into(), "5"),
        (npy("(4,)", &FLOWER), "does not take shape [4]"),
        (npy("(2, 4)", &FLOWER), "takes 32 bytes, got 16"),
    ] {
        fs::write(folder.path().join("request"), request).unwrap();
        check_error(
            &["run", iris, "--input", "request"],
            folder.path(),
            &[expected],
        );
    }
}

#[test]
fn inspect_tells_what_build_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = [
        "--name",
        "flowers",
        "--version",
        "spring",
        "--label",
        "team=garden",
    ];
    built::build(
        Path::new(&iris_onnx()),
        &folder.path().join("x.wasm"),
        &told,
    );
    let output = modelet(&["inspect", "x.wasm", "--json"], folder.path());
    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(facts["name"], "flowers");
    assert_eq!(facts["version"], "spring");
    assert_eq!(facts["labels"]["team"], "garden");
    assert_eq!(facts["signature"]["inputs"][0]["name"], "X");
}

#[test]
fn a_reader_that_left_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let iris = built::modelet("iris");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(&["inspect", iris.to_str().unwrap()], folder.path())
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
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
    command(arguments, folder).output().unwrap()
}

pub fn command(arguments: &[&str], folder: &Path) -> Command {
    command_with(arguments, folder, &built::cache())
}

fn command_with(arguments: &[&str], folder: &Path, cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelet"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null());
    if arguments[0] != "inspect" {
        command.arg("--cache").arg(cache);
    }
    command
}

/// A `.npy` file of 32-bit floats.
fn npy(shape: &str, values: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    file
}

fn iris_onnx() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/model.onnx").to_owned()
}
