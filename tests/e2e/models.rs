//! Every model of `models/` is built as a user would build it, and answers its golden cases.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use modelet_compiler::{Compiler, Config};
use modelet_protocol::rest::{decode_response, encode_request};
use modelet_protocol::{Datatype, GoldenCase, Tensor, golden};
use modelet_runtime::{Limits, Modelet};

use crate::built;
use crate::server::Server;

#[test]
fn iris_answers_its_golden_cases() {
    check("iris");
}

#[test]
fn digits_answers_its_golden_cases() {
    check("digits");
}

#[test]
fn wine_with_its_maps_of_probabilities_answers_its_golden_cases() {
    check("wine");
}

#[test]
fn diabetes_answers_its_golden_cases() {
    check("diabetes");
}

#[test]
fn magika_answers_its_golden_cases() {
    check("magika");
}

#[test]
fn mobilenet_answers_its_golden_cases() {
    check("mobilenet");
}

#[test]
fn answers_are_the_same_whoever_they_were_computed_with() {
    let repository = tempfile::tempdir().unwrap();
    for name in ["iris", "digits"] {
        let model = repository.path().join(name);
        fs::create_dir_all(model.join("1")).unwrap();
        fs::copy(built::modelet(name), model.join("1/model.wasm")).unwrap();
        let spec = "batching = { max_batch_size = 64, max_queue_delay = \"20ms\" }";
        fs::write(model.join("model.toml"), spec).unwrap();
    }
    let server = Server::start(&[repository.path()]);
    for name in ["iris", "digits"] {
        let cases = golden::parse(&fs::read(golden_file(name).unwrap()).unwrap()).unwrap();
        thread::scope(|scope| {
            for case in cases.iter().cycle().take(4 * cases.len()) {
                scope.spawn(|| check_served(&server, name, case));
            }
        });
        let statistics = server.get(&format!("/v2/models/{name}/stats")).json();
        let statistics = &statistics["model_stats"][0];
        let answered = statistics["inference_stats"]["success"]["count"].as_u64();
        assert_eq!(answered, Some(4 * cases.len() as u64));
        assert!(
            statistics["execution_count"].as_u64() < answered,
            "{statistics}"
        );
    }
}

fn check_served(server: &Server, name: &str, case: &GoldenCase) {
    let request = encode_request("", 120_000_000, &case.inputs, &[]).unwrap();
    let length = request.json_length.map(|length| length.to_string());
    let header = length.iter();
    let header = header.map(|length| ("Inference-Header-Content-Length", length.as_str()));
    let headers: Vec<_> = header.collect();
    let path = format!("/v2/models/{name}/infer");
    let answer = server.request("POST", &path, &headers, &request.body);
    let said = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{}: {said}", case.name);
    let length = answer.header("inference-header-content-length");
    let length = length.map(|length| length.parse().unwrap());
    let outputs = decode_response(&answer.body, length).unwrap().outputs;
    assert_eq!(outputs.len(), case.outputs.len());
    for (expected, got) in case.outputs.iter().zip(&outputs) {
        if let Err(difference) = expected.agrees_with(got) {
            panic!("{name}: {}: {difference}", case.name);
        }
    }
}

/// It was mapped once for each, because nobody held on to what others had compiled.
#[test]
fn modelets_of_one_kind_hold_one_copy_of_their_code() {
    let repository = tempfile::tempdir().unwrap();
    let artifact = |model: &str| {
        let folder = repository.path().join(model).join("1");
        fs::create_dir_all(&folder).unwrap();
        folder.join("model.wasm")
    };
    let digits = built::modelet("digits");
    fs::copy(&digits, artifact("one")).unwrap();
    fs::copy(&digits, artifact("same")).unwrap();
    built::build(
        &onnx("digits"),
        &artifact("renamed"),
        &["--name", "renamed"],
    );
    let server = Server::start(&[repository.path()]);
    assert_eq!(server.get("/v2/models/same/ready").status, 200);
    let mappings = server.mappings();
    let is_code = |line: &&str| line.contains("r-x") && line.ends_with(".cwasm");
    let code: Vec<_> = mappings.lines().filter(is_code).collect();
    let large = code.iter().filter(|line| length(line) > 1 << 20);
    assert_eq!(large.count(), 1, "{code:?}");
}

fn length(mapping: &str) -> u64 {
    let (range, _) = mapping.split_once(' ').unwrap();
    let (begin, end) = range.split_once('-').unwrap();
    let address = |text| u64::from_str_radix(text, 16).unwrap();
    address(end) - address(begin)
}

#[test]
fn no_image_at_all_has_no_scores() {
    if golden_file("mobilenet").is_none() {
        return;
    }
    let nothing = Tensor {
        name: "image".to_owned(),
        datatype: Datatype::Fp32,
        shape: vec![0, 3, 224, 224],
        data: vec![],
    };
    let deadline = Instant::now() + Duration::from_secs(120);
    let answer = load(&built::modelet("mobilenet"), false).infer(&[nothing], &[], deadline);
    assert_eq!(answer.unwrap()[0].shape, [0, 1000]);
}

#[test]
fn the_same_file_and_options_give_the_same_bytes() {
    let first = fs::read(built::modelet("iris")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("again.wasm");
    built::build(&onnx("iris"), &second, &["--name", "iris"]);
    assert!(
        fs::read(second).unwrap() == first,
        "two builds of iris differ"
    );
}

#[test]
fn an_artifact_holds_the_code_and_the_weights_that_it_needs_and_little_else() {
    for (name, bytes) in [
        ("iris", 600_000),
        ("digits", 800_000),
        ("magika", 1_000_000),
        ("mobilenet", 1_200_000),
    ] {
        if golden_file(name).is_none() {
            continue;
        }
        let artifact = fs::metadata(built::modelet(name)).unwrap().len();
        let source = fs::metadata(onnx(name)).unwrap().len();
        assert!(artifact - source <= bytes, "{name}: {artifact} - {source}");
    }
}

/// It took a fifth longer than as many batches of one, by tract's convolutions.
#[test]
fn a_batch_of_a_fixed_size_is_answered_item_by_item() {
    let Some(golden) = golden_file("mobilenet") else {
        return;
    };
    let cases = golden::parse(&fs::read(golden).unwrap()).unwrap();
    let three = cases.iter().find(|case| case.inputs[0].shape[0] == 3);
    let (three, folder) = (three.unwrap(), tempfile::tempdir().unwrap());
    let artifact = folder.path().join("three.wasm");
    let options = ["--input", "image=FP32[3,3,224,224]"];
    built::build(&onnx("mobilenet"), &artifact, &options);
    let deadline = Instant::now() + Duration::from_secs(120);
    let answer = load(&artifact, false).infer(&three.inputs, &[], deadline);
    let agrees = three.outputs[0].agrees_with(&answer.unwrap()[0]);
    assert_eq!(agrees, Ok(()));
    let bytes = |path: &Path| fs::metadata(path).unwrap().len();
    let more = bytes(&artifact) - bytes(&onnx("mobilenet"));
    assert!(more <= 1_200_000, "tract's convolutions are in it: {more}");
}

/// A call had its tensors in the gaps between weights: so many regions that the host unmapped them all, and each call
/// faulted in two thousand pages.
#[test]
fn a_call_finds_the_memory_of_the_one_before_in_place() {
    if !wasmtime::PoolingAllocationConfig::is_pagemap_scan_available() {
        eprintln!("skipped: this kernel cannot tell which pages were written to");
        return;
    }
    let Some(golden) = golden_file("mobilenet") else {
        return;
    };
    let cases = golden::parse(&fs::read(golden).unwrap()).unwrap();
    let modelet = load(&built::modelet("mobilenet"), false);
    let call = || {
        let deadline = Instant::now() + Duration::from_secs(120);
        modelet.infer(&cases[0].inputs, &[], deadline).unwrap()
    };
    (0..3).for_each(|_| drop(call()));
    let before = faults();
    (0..5).for_each(|_| drop(call()));
    let each = (faults() - before) / 5;
    assert!(each < 1_000, "{each} pages a call");
}

/// The pages that this process has faulted in.
fn faults() -> u64 {
    let status = fs::read_to_string("/proc/self/stat").unwrap();
    // The name in parentheses may have spaces; it is the second field, and they are the tenth.
    let (_, fields) = status.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(7).unwrap().parse().unwrap()
}

fn check(name: &str) {
    if let Some(golden) = golden_file(name) {
        let difference = answers(&built::modelet(name), &golden).err();
        assert_eq!(difference, None, "{name}");
    }
}

/// Whether a modelet answers its golden cases, from a fresh instance and from one that was used before.
pub fn answers(modelet: &Path, golden: &Path) -> Result<(), String> {
    let cases = golden::parse(&fs::read(golden).unwrap()).unwrap();
    assert!(!cases.is_empty());
    for reuse in [false, true] {
        let modelet = load(modelet, reuse);
        for case in &cases {
            let deadline = Instant::now() + Duration::from_secs(120);
            let answer = modelet.infer(&case.inputs, &[], deadline).unwrap();
            assert_eq!(answer.len(), case.outputs.len(), "{}", case.name);
            for (expected, got) in case.outputs.iter().zip(&answer) {
                assert_eq!(expected.name, got.name);
                expected
                    .agrees_with(got)
                    .map_err(|difference| format!("{}: {difference}", case.name))?;
            }
        }
    }
    Ok(())
}

fn load(modelet: &Path, reuse: bool) -> Modelet {
    let config = Config {
        cache: Some(built::cache()),
        max_instances: 4,
        ..Config::default()
    };
    let limits = Limits {
        memory_bytes: 1 << 30,
        reuse,
    };
    let bytes = fs::read(modelet).unwrap();
    Compiler::new(&config)
        .unwrap()
        .load(&bytes, limits)
        .unwrap()
}

/// The golden file that belongs to the ONNX file, or nothing, said, where a recipe did not run.
fn golden_file(name: &str) -> Option<PathBuf> {
    let golden = onnx(name).with_file_name("golden.json");
    if golden.exists() {
        return Some(golden);
    }
    built::skip(&format!(
        "{} is missing; `cargo xtask test` makes it",
        golden.display()
    ));
    None
}

/// Kept beside the recipe, or made by it.
fn onnx(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = root.join("models").join(name).join("model.onnx");
    if kept.exists() {
        return kept;
    }
    root.join("target/models").join(name).join("model.onnx")
}
