//! `modelet bundle`: what is written, and what is not.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::built;

fn bundle(repository: &Path, site: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelet"))
        .args(["bundle", "web"])
        .arg(repository)
        .arg("--output")
        .arg(site)
        .args(options)
        .output()
        .unwrap()
}

fn refused(repository: &Path, site: &Path) -> String {
    let output = bundle(repository, site, &[]);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// A repository with `iris` in versions 1 and 2.
fn repository(folder: &Path) {
    for version in ["iris/1", "iris/2"] {
        fs::create_dir_all(folder.join(version)).unwrap();
        fs::copy(
            built::modelet("iris"),
            folder.join(version).join("model.wasm"),
        )
        .unwrap();
    }
}

fn deployment(site: &Path) -> Value {
    serde_json::from_slice(&fs::read(site.join("deployment.json")).unwrap()).unwrap()
}

#[test]
fn a_site_has_the_repositorys_files_and_their_digests() {
    let folder = tempfile::tempdir().unwrap();
    let (models, site) = (folder.path().join("models"), folder.path().join("site"));
    repository(&models);
    fs::write(
        models.join("iris/model.toml"),
        "fallback.chain = [{ version = 1 }]",
    )
    .unwrap();
    let output = bundle(&models, &site, &["--server", "https://models.example"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let copied = fs::read(site.join("models/iris/2/model.wasm")).unwrap();
    assert_eq!(copied, fs::read(built::modelet("iris")).unwrap());
    let deployment = deployment(&site);
    let iris = &deployment["models"]["iris"];
    let facts = modelet_artifact::inspect(&copied).unwrap();
    assert_eq!(iris["versions"]["2"]["sha256"], facts.sha256);
    assert_eq!(
        iris["policy"],
        json!({ "fallback": { "chain": [{ "version": 1 }] } })
    );
    assert_eq!(iris["then"][0], "iris.server");
    let there = &deployment["models"]["iris.server"];
    assert_eq!(there["versions"]["1"]["server"], "https://models.example");
    assert_eq!(there["then"][0], "iris");
    for file in [
        "index.html",
        "modelet-web/index.d.ts",
        "modelet-web/host_bg.wasm",
    ] {
        assert!(site.join(file).is_file(), "{file}");
    }
}

#[test]
fn only_what_is_served_is_in_a_site_also_the_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let (models, site) = (folder.path().join("models"), folder.path().join("site"));
    repository(&models);
    assert!(bundle(&models, &site, &[]).status.success());
    fs::write(
        models.join("iris/model.toml"),
        "versions.serve = \"latest\"",
    )
    .unwrap();
    assert!(bundle(&models, &site, &[]).status.success());
    assert!(!site.join("models/iris/1").exists());
    let versions = &deployment(&site)["models"]["iris"]["versions"];
    assert_eq!(versions.as_object().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_bundled_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (models, site) = (folder.path().join("models"), folder.path().join("site"));
    fs::create_dir_all(&models).unwrap();
    assert!(refused(&models, &site).contains("the repository has no models"));
    repository(&models);
    fs::write(models.join("iris/2/model.wasm"), "damaged").unwrap();
    assert!(refused(&models, &site).contains("iris/2/model.wasm is not a modelet"));
    repository(&models);
    fs::write(models.join("iris/model.toml"), "traffic.wieghts = 1").unwrap();
    assert!(refused(&models, &site).contains("wieghts"));
    assert!(!site.exists());

    fs::remove_file(models.join("iris/model.toml")).unwrap();
    fs::create_dir_all(&site).unwrap();
    fs::write(site.join("somebody's.txt"), "precious").unwrap();
    assert!(refused(&models, &site).contains("has other files in it"));
    assert_eq!(fs::read_dir(&site).unwrap().count(), 1);
}
