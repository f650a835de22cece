//! Repositories that no gateway serves.

use std::fs;
use std::path::Path;

use modelet_protocol::Datatype;

use crate::application::bundle;
use crate::modelet::{Behaviour, vector};

fn echo() -> Vec<u8> {
    vector("m", Datatype::Fp32, Behaviour::Echo)
}

/// Why the repository that `make` makes is refused; nothing is written.
fn refused(make: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (repository, application) = (folder.path().join("r"), folder.path().join("a"));
    fs::create_dir(&repository).unwrap();
    make(&repository);
    let output = bundle(&repository, &application);
    assert_eq!(output.status.code(), Some(1));
    assert!(!application.exists());
    String::from_utf8(output.stderr).unwrap()
}

fn put(repository: &Path, file: &str, bytes: impl AsRef<[u8]>) {
    let file = repository.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

fn check(said: &str, expected: &[&str]) {
    for part in expected {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn more_versions_than_there_are_slots() {
    let said = refused(|repository| {
        for version in 1..=17 {
            put(repository, &format!("m/{version}/model.wasm"), echo());
        }
    });
    check(&said, &["17 versions", "at most 16", "versions.serve"]);
}

#[test]
fn versions_that_are_not_served_take_no_slot() {
    let folder = tempfile::tempdir().unwrap();
    let (repository, application) = (folder.path().join("r"), folder.path().join("a"));
    for version in 1..=17 {
        put(&repository, &format!("m/{version}/model.wasm"), echo());
    }
    put(&repository, "m/model.toml", "versions.serve = [16, 17]");
    for _ in 0..2 {
        // The second time it is an earlier bundle.
        assert!(bundle(&repository, &application).status.success());
    }
    let models = fs::read_dir(application.join("models/m")).unwrap();
    assert_eq!(models.count(), 2);
    assert_eq!(
        fs::read(application.join("models/m/17/model.wasm")).unwrap(),
        echo()
    );
}

#[test]
fn an_artifact_that_is_damaged() {
    let said = refused(|repository| {
        let mut damaged = echo();
        damaged.truncate(damaged.len() / 2);
        put(repository, "m/1/model.wasm", damaged);
    });
    check(&said, &["m/1/model.wasm is not a modelet"]);
    let said = refused(|repository| put(repository, "m/1/model.wasm", "hello"));
    check(
        &said,
        &["m/1/model.wasm is not a modelet", "not a WebAssembly file"],
    );
}

#[test]
fn what_a_gateway_does_not_do() {
    let with = |spec: &str| {
        refused(|repository| {
            put(repository, "m/1/model.wasm", echo());
            put(repository, "m/model.toml", spec);
        })
    };
    let said = with("fallback.chain = [{ remote = \"http://127.0.0.1:1\" }]");
    check(&said, &["model m falls back to another server"]);
    let said = with("traffic.weight = 1");
    check(&said, &["m: ", "weight"]);
    let said = refused(|repository| {
        put(repository, "m/1/model.wasm", echo());
        let members = "members = [{ model = \"m\" }]";
        let spec = format!("[ensemble]\ncombine = \"average\"\n{members}");
        put(repository, "all/model.toml", spec);
    });
    check(&said, &["model all is an ensemble"]);
    check(&refused(|_| {}), &["has no models"]);
    check(
        &refused(|repository| put(repository, "m/model.toml", "")),
        &["m has no version"],
    );
}

#[test]
fn rollouts_that_need_what_a_gateway_has_not() {
    for (spec, expected) in [
        ("strategy.shadow = {}", "mirrored requests"),
        ("strategy.bandit = {}", "rewards"),
        ("strategy.abTest = {}", "rewards"),
        (
            "traffic.weights = { 1 = 50, 2 = 50 }\nstrategy.canary.steps = [{ setWeight = 1 }]",
            "traffic.weights",
        ),
        (
            "versions.serve = \"latest\"\nstrategy.canary.steps = [{ setWeight = 1 }]",
            "latest version only",
        ),
    ] {
        let said = refused(|repository| {
            for version in [1, 2] {
                put(repository, &format!("m/{version}/model.wasm"), echo());
            }
            put(repository, "m/model.toml", spec);
        });
        check(&said, &["model m", expected]);
    }
}
