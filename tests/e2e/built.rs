//! Modelets that several tests use, built once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use wasm_encoder::{ComponentSection as _, CustomSection};

/// Where the tests keep what they make.
pub fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The code cache of all tests.
pub fn cache() -> PathBuf {
    folder().join("cache")
}

/// The modelet of a model in `models/`. Tests are processes of their own: the first builds.
pub fn modelet(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = root.join("models").join(name).join("model.onnx");
    let made = root.join("target/models").join(name).join("model.onnx");
    let onnx = if kept.exists() { kept } else { made };
    once(&onnx, name)
}

/// A model of `tests/clients/protocol_models.py`, or nothing, said, where that did not run.
pub fn for_tests(name: &str) -> Option<PathBuf> {
    made(name, &format!("target/protocol-models/{name}.onnx"))
}

/// An entry of the zoo, or nothing, said, where that was not made.
pub fn of_zoo(slug: &str) -> Option<PathBuf> {
    made(slug, &format!("target/zoo/{slug}/model.onnx"))
}

fn made(name: &str, onnx: &str) -> Option<PathBuf> {
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join(onnx);
    if onnx.exists() {
        return Some(once(&onnx, name));
    }
    skip(&format!(
        "{} is missing; `cargo xtask test` makes it",
        onnx.display()
    ));
    None
}

/// Builds `onnx` under `name`, unless that was done with this tool already.
pub fn once(onnx: &Path, name: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_BIN_EXE_modelet"));
    let output = folder().join(format!("{name}.wasm"));
    let lock = File::create(folder().join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let age = |path: &Path| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .unwrap()
    };
    if !output.exists() || age(&output) < age(tool) || age(&output) < age(onnx) {
        let mut options = vec!["--name", name];
        if name == "magika" {
            // Its batch dimension is open in the file, but only in name: a shape inside is computed
            // from it in a way that tract cannot follow.
            options.extend(["--input", "bytes=INT32[1,2048]"]);
        }
        build(onnx, &output, &options);
    }
    output
}

/// That of `modelet(name)` with ten megabytes at its end that mean nothing, and that no transport makes smaller.
pub fn enlarged(name: &str) -> PathBuf {
    let small = modelet(name);
    let output = folder().join(format!("{name}-enlarged.wasm"));
    let lock = File::create(folder().join(format!("{name}-enlarged.lock"))).unwrap();
    lock.lock().unwrap();
    let mut bytes = fs::read(small).unwrap();
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    let padding = CustomSection {
        name: "padding".into(),
        data: noise.take(10 << 20).collect(),
    };
    padding.append_to_component(&mut bytes);
    if fs::read(&output).is_ok_and(|written| written == bytes) {
        return output;
    }
    fs::write(&output, bytes).unwrap();
    output
}

pub fn build(onnx: &Path, output: &Path, options: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_modelet"))
        .arg("build")
        .arg(onnx)
        .arg("--output")
        .arg(output)
        .arg("--cache")
        .arg(cache())
        .args(options)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", onnx.display());
}

/// Says why a test does nothing; with CI set that is a failure.
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "with CI set nothing is skipped: {reason}"
    );
    eprintln!("skipped: {reason}");
}
