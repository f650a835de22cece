//! The models of `models/` give their known answers, and each place knows what it loaded.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use modelet_protocol::golden;
use modelet_protocol::rest::{HEADER_LENGTH, encode_request};

use crate::built;
use crate::device::{Device, Place, compiled};

#[test]
fn all_models_answer_their_golden_cases_on_this_processor() {
    let names = ["iris", "digits", "wine", "diabetes", "magika", "mobilenet"];
    check(Place::Native, &names);
}

#[test]
fn all_models_answer_their_golden_cases_on_an_emulated_aarch64() {
    let names = ["iris", "digits", "wine", "diabetes", "magika", "mobilenet"];
    check(Place::Emulated, &names);
}

#[test]
fn small_models_answer_their_golden_cases_where_they_are_interpreted() {
    check(Place::Interpreted, &["iris", "digits", "wine", "diabetes"]);
}

#[test]
fn server_and_devices_load_the_same_artifact() {
    let modelet = built::modelet("iris");
    let bytes = fs::read(&modelet).unwrap();
    let digest = modelet_artifact::sha256_hex(&bytes);
    assert!(served(&modelet).contains(&digest));
    for place in Place::ALL.into_iter().filter(|place| place.is_here()) {
        let device = Device::start(place, &compiled("iris", place), &[]);
        let expected = format!("loaded iris/1 sha256:{digest} ");
        assert!(device.beginning.contains(&expected), "{}", device.beginning);
    }
}

/// What a server says of this modelet when it has loaded it.
fn served(modelet: &Path) -> String {
    let mut server = Command::new(env!("CARGO_BIN_EXE_modelet"))
        .arg("serve")
        .arg(modelet)
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--state", "sqlite::memory:", "--cache"])
        .arg(built::cache())
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let loaded = lines
        .map(Result::unwrap)
        .find(|line| line.contains("sha256"));
    server.kill().unwrap();
    server.wait().unwrap();
    loaded.unwrap()
}

fn check(place: Place, names: &[&str]) {
    if !place.is_here() {
        return;
    }
    for name in names {
        let Some(golden) = golden_file(name) else {
            continue;
        };
        let device = Device::start(
            place,
            &compiled(name, place),
            &["--timeout", "300s", "--memory", "1GiB"],
        );
        let cases = golden::parse(&fs::read(golden).unwrap()).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let sent = encode_request("", 300_000_000, &case.inputs, &[]).unwrap();
            let length = sent.json_length.unwrap_or(sent.body.len()).to_string();
            let path = format!("/v2/models/{name}/versions/1/infer");
            let headers = [(HEADER_LENGTH, &*length)];
            let outputs = device
                .request("POST", &path, &headers, &sent.body)
                .outputs();
            assert_eq!(outputs.len(), case.outputs.len(), "{name}: {}", case.name);
            for (expected, got) in case.outputs.iter().zip(&outputs) {
                assert_eq!(expected.name, got.name);
                if let Err(difference) = expected.agrees_with(got) {
                    panic!("{place:?}: {name}: {}: {difference}", case.name);
                }
            }
        }
    }
}

/// The golden file of a model, or nothing, said, where a recipe did not run.
fn golden_file(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of = |folder: &str| root.join(folder).join(name).join("golden.json");
    let mut places = ["models", "target/models"].map(of).into_iter();
    let found = places.find(|file| file.exists());
    if found.is_none() {
        built::skip(&format!("{name} is missing; `cargo xtask test` makes it"));
    }
    found
}
