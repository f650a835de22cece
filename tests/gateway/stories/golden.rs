//! The models of `models/`: their golden cases, and their artifacts' digests.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use modelet_artifact::sha256_hex;
use modelet_protocol::golden::{self, GoldenCase};
use modelet_protocol::rest::{HEADER_LENGTH, decode_response, encode_request};
use wasmparser::{Parser, Payload};

use crate::application::{Application, bundle};
use crate::client::{Server, ask};
use crate::host::{Host, Offer};
use crate::shelf::Shelf;

/// The repository that `cargo xtask gateway` makes.
pub fn repository() -> PathBuf {
    let folder = std::env::var_os("REPOSITORY");
    folder
        .expect("`cargo xtask gateway` sets REPOSITORY")
        .into()
}

/// The repository's models.
fn models() -> Vec<String> {
    let folders = fs::read_dir(repository()).unwrap();
    let names = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    names
}

/// The application of that repository, whose composed component is compiled once.
pub static ALL: LazyLock<Application> = LazyLock::new(|| Application::of(&repository()));

pub fn cases(model: &str) -> Vec<GoldenCase> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let kept = root.join("models").join(model).join("golden.json");
    let made = root.join("target/models").join(model).join("golden.json");
    let file = if kept.exists() { kept } else { made };
    golden::parse(&fs::read(file).unwrap()).unwrap()
}

/// Over HTTP, from what serves all of them.
pub fn answers_all(address: SocketAddr) {
    let models = models();
    assert_eq!(models.len(), 6, "{models:?}");
    for model in models {
        let cases = cases(&model);
        assert!(!cases.is_empty());
        for case in cases {
            let request = encode_request("", 60_000_000, &case.inputs, &[]).unwrap();
            let length = request.json_length.map(|length| length.to_string());
            let headers: Vec<_> = length.iter().map(|it| (HEADER_LENGTH, &**it)).collect();
            let path = format!("/v2/models/{model}/infer");
            let reply = ask(address, "POST", &path, &headers, &request.body);
            let said = String::from_utf8_lossy(&reply.body[..reply.body.len().min(500)]);
            assert_eq!(reply.status, 200, "{model}: {said}");
            let length = reply.header(HEADER_LENGTH).parse().ok();
            let answer = decode_response(&reply.body, length).unwrap();
            for expected in &case.outputs {
                let got = answer.outputs.iter().find(|it| it.name == expected.name);
                if let Err(difference) = expected.agrees_with(got.unwrap()) {
                    panic!("{model}, {}: {difference}", case.name);
                }
            }
        }
    }
}

#[test]
fn all_golden_cases_pass_in_spins_composition() {
    let offer = Offer {
        shelf: Some(Arc::new(Shelf::default())),
        reuse: 1,
        ..Offer::default()
    };
    let host = Host::start(&ALL.composed_by_spin(), offer);
    answers_all(host.address);
}

#[test]
fn all_golden_cases_pass_where_nothing_but_wasi_is_offered() {
    let offer = Offer {
        reuse: 100,
        ..Offer::default()
    };
    let host = Host::start(&ALL.composed(), offer);
    answers_all(host.address);
}

/// Of every component inside of this one.
fn digests(composed: &[u8]) -> BTreeSet<String> {
    let mut digests = BTreeSet::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(composed) {
        match payload.unwrap() {
            Payload::ComponentSection {
                unchecked_range, ..
            } => {
                if depth == 0 {
                    digests.insert(sha256_hex(&composed[unchecked_range]));
                }
                depth += 1;
            }
            Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    digests
}

#[test]
fn the_server_and_the_gateway_have_loaded_the_same_bytes() {
    let server = Server::start(&repository());
    let served = server.digests();
    assert_eq!(served.len(), models().len());
    for composed in [ALL.composed_by_spin(), ALL.composed()] {
        let inside = digests(&composed);
        let missing: Vec<_> = served.difference(&inside).collect();
        assert!(missing.is_empty(), "{missing:?} are not in the component");
    }
}

#[test]
fn a_folder_that_is_no_bundle_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("spin.toml"), "").unwrap();
    let output = bundle(&repository(), folder.path());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("has other files in it"), "{said}");
}
