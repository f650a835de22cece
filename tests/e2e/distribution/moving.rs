//! To and fro: the same bytes arrive, and no version ever gets others.

use std::fs;

use serde_json::{Value, json};

use super::bucket::Bucket;
use super::registry::Registry;
use super::{Environment, assert_same, digits, done, iris, refused, text, unfinished};

/// Pushes to a place and pulls from it, and tries everything that must not be.
fn there_and_back(place: &str, environment: &Environment) {
    let (iris, digits) = (iris(), digits());
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("new/iris.wasm");
    let shown = place.strip_prefix("file://").unwrap_or(place);
    let missing = format!("there is no modelet at {shown}");
    refused(&["pull", place, "-o", text(&output)], environment, &missing);

    let pushed: Value =
        serde_json::from_str(&done(&["push", text(&iris), place, "--json"], environment)).unwrap();
    let digest = modelet_artifact::sha256_hex(&fs::read(&iris).unwrap());
    assert_eq!(pushed["sha256"], digest);
    assert_eq!(pushed["was_there"], false);
    let again = done(&["push", text(&iris), place], environment);
    assert!(again.contains(", was there"), "{again}");
    let taken = "a version is never overwritten";
    refused(&["push", text(&digits), place], environment, taken);

    let pull = ["pull", place, "-o", text(&output), "--json"];
    let pulled: Value = serde_json::from_str(&done(&pull, environment)).unwrap();
    assert_eq!(pulled["sha256"], digest);
    assert_eq!(pulled["was_here"], false);
    assert_same(&iris, &output);
    let pulled: Value = serde_json::from_str(&done(&pull, environment)).unwrap();
    assert_eq!(pulled["was_here"], true);
    fs::copy(&digits, &output).unwrap();
    refused(&pull, environment, "has other bytes");
    assert_same(&digits, &output);
}

#[test]
fn there_and_back_through_a_directory() {
    let repository = tempfile::tempdir().unwrap();
    let place = format!("{}/models/iris/1", text(repository.path()));
    there_and_back(&place, &vec![]);
    assert_same(&iris(), &repository.path().join("models/iris/1/model.wasm"));
    let url = format!("file://{}/models/iris/2", text(repository.path()));
    there_and_back(&url, &vec![]);
}

#[test]
fn there_and_back_through_s3() {
    let Some(bucket) = Bucket::start() else {
        return;
    };
    there_and_back("s3://models/a/b/iris/1", &bucket.environment());
    let line = String::from_utf8(bucket.get("a/b/iris/1/model.wasm.sha256")).unwrap();
    let digest = modelet_artifact::sha256_hex(&fs::read(iris()).unwrap());
    assert_eq!(line, format!("{digest}  model.wasm\n"));
    there_and_back("s3://models/iris/1", &bucket.environment());
}

#[test]
fn there_and_back_through_a_registry() {
    let Some(registry) = Registry::start() else {
        return;
    };
    there_and_back(&registry.place("team/iris:1.0"), &vec![]);
    let manifest = registry.manifest("team/iris", "1.0");
    let config = &manifest["config"]["mediaType"];
    assert_eq!(config, "application/vnd.wasm.config.v0+json");
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1, "{manifest}");
    assert_eq!(layers[0]["mediaType"], "application/wasm");
    let digest = modelet_artifact::sha256_hex(&fs::read(iris()).unwrap());
    assert_eq!(layers[0]["digest"], format!("sha256:{digest}"));
    assert_eq!(manifest["annotations"], Value::Null);
}

#[test]
fn what_other_tools_pushed_is_pulled() {
    let bytes = fs::read(iris()).unwrap();
    let digest = format!("sha256:{}", modelet_artifact::sha256_hex(&bytes));
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("iris.wasm");
    if let Some(registry) = Registry::start() {
        let empty = format!("sha256:{}", modelet_artifact::sha256_hex(b"{}"));
        registry.put_blob("iris", &empty, b"{}");
        registry.put_blob("iris", &digest, &bytes);
        let layer = json!({ "mediaType": "application/wasm", "digest": digest, "size": bytes.len(),
            "annotations": { "org.opencontainers.image.title": "../../iris.wasm" } });
        let config = json!({ "mediaType": "application/vnd.wasm.config.v0+json", "digest": empty, "size": 2 });
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer],
            "mediaType": "application/vnd.oci.image.manifest.v1+json" });
        registry.put_manifest("iris", "1", &manifest);
        done(
            &["pull", &registry.place("iris:1"), "-o", text(&output)],
            &vec![],
        );
        assert_same(&iris(), &output);
        fs::remove_file(&output).unwrap();
    }
    if let Some(bucket) = Bucket::start() {
        bucket.put("iris/1/model.wasm", &bytes);
        let place = "s3://models/iris/1";
        let environment = bucket.environment();
        done(&["pull", place, "-o", text(&output)], &environment);
        assert_same(&iris(), &output);
        let other = digits();
        let push = ["push", text(&other), place];
        refused(&push, &environment, "a version is never overwritten");
        done(&["push", text(&iris()), place], &environment);
    }
}

#[test]
fn damaged_bytes_are_refused_and_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("iris.wasm");
    let mut damaged = fs::read(iris()).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    if let Some(bucket) = Bucket::start() {
        let place = "s3://models/iris/1";
        done(&["push", text(&iris()), place], &bucket.environment());
        bucket.put("iris/1/model.wasm", &damaged);
        let pull = ["pull", place, "-o", text(&output)];
        refused(&pull, &bucket.environment(), "is damaged");
        bucket.put("iris/2/model.wasm", b"no model");
        let pull = ["pull", "s3://models/iris/2", "-o", text(&output)];
        refused(&pull, &bucket.environment(), "is not a modelet");
    }
    if let Some(registry) = Registry::start() {
        let place = registry.place("iris:1");
        done(&["push", text(&iris()), &place], &vec![]);
        let digest = format!(
            "sha256:{}",
            modelet_artifact::sha256_hex(&fs::read(iris()).unwrap())
        );
        fs::write(registry.blob(&digest), &damaged).unwrap();
        refused(
            &["pull", &place, "-o", text(&output)],
            &vec![],
            "is damaged",
        );
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "{:?}",
        unfinished(folder.path())
    );
}

#[test]
fn mistakes_are_told_before_anything_is_sent() {
    let iris = iris();
    for (arguments, expected) in [
        (
            &["push", text(&iris), "iris"][..],
            "does not end with /MODEL/VERSION",
        ),
        (
            &["push", text(&iris), "gs://b/iris/1"],
            "is of no known kind",
        ),
        (
            &["pull", "oci://iris:1", "-o", "x.wasm"],
            "names no registry",
        ),
    ] {
        let output = super::command(arguments, &vec![]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let registry = "oci://127.0.0.1:9/iris:1";
    let spec = ["push", text(&iris), registry, "--spec", "model.toml"];
    refused(&spec, &vec![], "a registry has no place for a model.toml");
    refused(&["pull", registry, "-o", "/tmp"], &vec![], "is a directory");
    refused(
        &["push", text(&iris), registry],
        &vec![],
        "cannot be reached",
    );
}
