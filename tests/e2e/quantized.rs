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

/// Weights of eight bits stay so: a layer that was not folded would have them as `f32`.
#[test]
fn a_quantized_network_is_no_larger_than_one_that_is_not() {
    for network in networks() {
        let name = network.file_name().unwrap().to_str().unwrap();
        let modelet = built::once(&network.join("model.onnx"), name);
        let kilobytes = fs::metadata(modelet).unwrap().len() / 1000;
        assert!(kilobytes < 2_600, "{name}: {kilobytes} kB");
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
