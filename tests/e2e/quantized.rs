//! Networks as ONNX Runtime's quantizers write them, made by `quantized.py`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::built;
use crate::models::answers;

#[test]
fn a_network_answers_as_in_onnx_runtime_however_it_was_quantized() {
    let networks = networks();
    let differences: Vec<String> = networks
        .iter()
        .filter_map(|network| {
            let name = network.file_name()?.to_str()?;
            let modelet = built::once(&network.join("model.onnx"), name);
            let difference = answers(&modelet, &network.join("golden.json")).err()?;
            Some(format!("{name}: {difference}"))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// As `f32` those of the wide networks would be 12 MB larger, which is more than all of the engine's code.
#[test]
fn no_weights_of_a_quantized_network_become_f32() {
    for network in networks() {
        let name = network.file_name().unwrap().to_str().unwrap();
        let onnx = network.join("model.onnx");
        let bytes = |path: &Path| fs::metadata(path).unwrap().len();
        if name.starts_with("wide-") {
            let more = bytes(&built::once(&onnx, name)) - bytes(&onnx);
            assert!(more < 11_500_000, "{name}: {more} bytes more than the file");
        }
    }
}

fn networks() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/quantized");
    let Ok(entries) = fs::read_dir(&folder) else {
        built::skip(&format!(
            "{} is missing; `cargo xtask test` makes it",
            folder.display()
        ));
        return vec![];
    };
    let networks: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!networks.is_empty());
    networks
}
