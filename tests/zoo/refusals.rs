//! What `modelet build` says to models that cannot run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Of Rust's own way to print values and to fail, which nobody should have to read.
const NEVER: [&str; 7] = [
    "Some(",
    "Err(",
    "Fixed(",
    "DatumType",
    "panicked",
    "unreachable",
    "TractError",
];

#[test]
fn a_model_that_cannot_run_is_refused_with_what_to_do() {
    let folder = crate::root().join("target/refused");
    let Ok(index) = fs::read(folder.join("index.json")) else {
        crate::skip(&format!(
            "{} has no models; `cargo xtask test` makes them",
            folder.display()
        ));
        return;
    };
    let says: BTreeMap<String, Vec<String>> = serde_json::from_slice(&index).unwrap();
    assert!(says.len() > 40, "{} models", says.len());
    let mut wrong = String::new();
    for (file, words) in &says {
        let said = refusal(&folder.join(file));
        println!("{file}: {said}");
        let missing: Vec<_> = words.iter().filter(|word| !said.contains(*word)).collect();
        let never: Vec<_> = NEVER.iter().filter(|never| said.contains(*never)).collect();
        if !missing.is_empty() || !never.is_empty() {
            wrong += &format!("{file}: {said}\n  lacks {missing:?}, has {never:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What stands on the line of the error.
fn refusal(onnx: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_modelet"))
        .arg("build")
        .arg(onnx)
        .args(["--output", "refused.wasm", "--cache"])
        .arg(crate::cache())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}: {said}", onnx.display());
    assert!(!folder.path().join("refused.wasm").exists());
    let error = said.lines().skip_while(|line| !line.starts_with("error: "));
    error.collect::<Vec<_>>().join(" ")
}
