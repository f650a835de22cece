//! `modelet serve s3://…`: what is in the store is served, what comes later too, and what is half there
//! never.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use modelet_protocol::golden;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bucket::{self, Bucket};
use super::proxy::Proxy;
use super::{Environment, done, iris, refused, text, wait_for};
use crate::built;
use crate::server::Server;

const SETTINGS: &str = "[repository]\npoll = \"50ms\"\nstore_poll = \"100ms\"\n";

const ROW: &str =
    r#"{"inputs":[{"name":"X","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}"#;

/// Where a server keeps its replica, with the compiled code that the tests share.
pub fn cache() -> TempDir {
    iris();
    let cache = tempfile::tempdir().unwrap();
    for file in fs::read_dir(built::cache()).unwrap() {
        let file = file.unwrap().path();
        if file.is_file() {
            // One that is gone by now was another test's, on its way to a better name.
            let _ = fs::copy(&file, cache.path().join(file.file_name().unwrap()));
        }
    }
    fs::write(cache.path().join("modelet.toml"), SETTINGS).unwrap();
    cache
}

pub fn command(source: &str, cache: &Path, environment: &Environment) -> Command {
    let mut command = Server::command();
    command
        .arg(source)
        .arg("--config")
        .arg(cache.join("modelet.toml"))
        .arg("--cache")
        .arg(cache)
        .envs(environment.clone());
    command
}

pub fn entry(server: &Server, version: &str) -> Value {
    let index = server.post("/v2/repository/index", "").json();
    let found = index
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == "iris" && entry["version"] == version);
    found.cloned().unwrap_or(Value::Null)
}

fn answered_by(server: &Server) -> Value {
    server.post("/v2/models/iris/infer", ROW).json()["model_version"].clone()
}

fn push(version: &str, environment: &Environment) {
    let place = format!("s3://models/live/iris/{version}");
    done(&["push", text(&iris()), &place], environment);
}

#[test]
fn what_is_in_the_store_answers_its_golden_cases() {
    let Some(bucket) = Bucket::start() else {
        return;
    };
    let environment = bucket.environment();
    push("1", &environment);
    // Names that are nobody's, or not to be believed.
    for name in [
        "iris/01/model.wasm",
        "a b/1/model.wasm",
        ".git/1/model.wasm",
        "iris/1/x/model.wasm",
    ] {
        bucket.put(&format!("live/{}", name.replace(' ', "%20")), b"no model");
    }
    let cache = cache();
    let server = Server::spawn(&mut command("s3://models/live", cache.path(), &environment));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/models/iris/golden.json");
    let file = fs::read(file).unwrap();
    let raw: Value = serde_json::from_slice(&file).unwrap();
    for (case, raw) in golden::parse(&file)
        .unwrap()
        .iter()
        .zip(raw["cases"].as_array().unwrap())
    {
        let request = json!({ "inputs": raw["inputs"] }).to_string();
        let answer = server.post("/v2/models/iris/infer", &request).json();
        assert_eq!(
            answer["outputs"][0]["data"], raw["outputs"][0]["data"],
            "{}",
            case.name
        );
        let expected = raw["outputs"][1]["data"].as_array().unwrap();
        let got = answer["outputs"][1]["data"].as_array().unwrap();
        assert_eq!(expected.len(), got.len());
        for (expected, got) in expected.iter().zip(got) {
            let difference = expected.as_f64().unwrap() - got.as_f64().unwrap();
            assert!(difference.abs() < 1e-5, "{}: {expected} {got}", case.name);
        }
    }
    let index = server.post("/v2/repository/index", "").json();
    assert_eq!(index.as_array().unwrap().len(), 1, "{index}");
}

#[test]
fn versions_and_specs_come_and_go_with_the_store() {
    let Some(bucket) = Bucket::start() else {
        return;
    };
    let environment = bucket.environment();
    push("1", &environment);
    let cache = cache();
    let server = Server::spawn(&mut command("s3://models/live", cache.path(), &environment));
    assert_eq!(answered_by(&server), "1");

    // Three ways to be there by half.
    let bytes = fs::read(iris()).unwrap();
    bucket.begin_upload("live/iris/2/model.wasm", &bytes[..6 << 20]);
    bucket.put("live/iris/3/model.wasm", &bytes[..6 << 20]);
    let digest = modelet_artifact::sha256_hex(&bytes);
    bucket.put(
        "live/iris/4/model.wasm.sha256",
        format!("{digest}  model.wasm\n").as_bytes(),
    );
    bucket.put("live/iris/4/model.wasm", &bytes[..6 << 20]);

    let spec = cache.path().join("canary.toml");
    fs::write(&spec, "[versions]\ndefault = 1\n").unwrap();
    let place = "s3://models/live/iris/5";
    let iris = iris();
    let with_spec = ["push", text(&iris), place, "--spec", text(&spec)];
    done(&with_spec, &environment);
    wait_for("version 5", || entry(&server, "5")["state"] == "READY");
    assert_eq!(answered_by(&server), "1");
    for version in ["2", "3", "4"] {
        assert_eq!(entry(&server, version), Value::Null, "{version}");
    }
    bucket.delete("live/iris/model.toml");
    wait_for("the end of the spec", || answered_by(&server) == "5");
    bucket.delete("live/iris/5/model.wasm");
    wait_for("the end of version 5", || entry(&server, "5").is_null());
    assert_eq!(answered_by(&server), "1");
    fs::write(&spec, "[versions]\ndefolt = 1\n").unwrap();
    refused(&with_spec, &environment, "defolt");
}

#[test]
fn a_spec_that_follows_a_store_is_not_written_here() {
    let Some(bucket) = Bucket::start() else {
        return;
    };
    push("1", &bucket.environment());
    let cache = cache();
    let server = Server::spawn(&mut command(
        "s3://models/live",
        cache.path(),
        &bucket.environment(),
    ));
    let url = format!("http://{}/admin/v1/models/iris/spec", server.admin);
    let read = ureq::get(&url).call().unwrap();
    let tag = read.headers()["etag"].to_str().unwrap().to_owned();
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build();
    let answer = ureq::Agent::new_with_config(agent)
        .put(&url)
        .header("If-Match", tag)
        .send("[versions]\ndefault = 1\n")
        .unwrap();
    assert!(answer.status().is_client_error() || answer.status().is_server_error());
    let said = answer.into_body().read_to_string().unwrap();
    assert!(said.contains("follows s3://models/live"), "{said}");
}

#[test]
fn what_was_taken_is_served_while_the_store_is_down_and_more_comes_when_it_is_back() {
    let Some(bucket) = Bucket::start() else {
        return;
    };
    push("1", &bucket.environment());
    let line = Proxy::start(&bucket.address, i64::MAX);
    let environment = bucket::environment(&line.address);
    let cache = cache();
    let source = "s3://models/live";
    drop(Server::spawn(&mut command(
        source,
        cache.path(),
        &environment,
    )));
    line.cut();
    let server = Server::spawn(&mut command(source, cache.path(), &environment));
    assert_eq!(answered_by(&server), "1");
    push("2", &bucket.environment());
    line.mend();
    wait_for("version 2", || answered_by(&server) == "2");
    line.cut();
    assert_eq!(answered_by(&server), "2");
}

#[test]
fn a_store_that_is_down_and_was_never_reached_is_an_error_at_once() {
    let cache = cache();
    let output = command(
        "s3://models/live",
        cache.path(),
        &bucket::environment("127.0.0.1:9"),
    )
    .stdout(Stdio::null())
    .output()
    .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("s3://models/live is not reached, and nothing was taken"),
        "{said}"
    );
}
