//! `spin.toml`, checked against what Spin's own schema asks of it.
//!
//! Spin publishes its manifest's types in no package registry. The keys, names and rules here were
//! read in the source of Spin 4.1.0-pre0: `crates/manifest/src/schema/v2.rs` and
//! `crates/serde/src/id.rs`.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::golden::ALL;

fn only(table: &Value, keys: &[&str]) {
    for key in table.as_table().unwrap().keys() {
        assert!(keys.contains(&key.as_str()), "{key} in {table}");
    }
}

/// Words of lower-case letters and digits that begin with a letter, with dashes between them.
fn is_kebab(text: &str) -> bool {
    text.split('-').all(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

fn check(manifest: &Table) {
    let whole = Value::Table(manifest.clone());
    only(
        &whole,
        &[
            "spin_manifest_version",
            "application",
            "trigger",
            "component",
        ],
    );
    assert_eq!(whole["spin_manifest_version"].as_integer(), Some(2));
    only(
        &whole["application"],
        &["name", "version", "description", "authors"],
    );
    assert!(whole["application"]["name"].is_str());
    let triggers = whole["trigger"]["http"].as_array().unwrap();
    assert_eq!(triggers.len(), 1);
    only(&triggers[0], &["route", "component"]);
    assert_eq!(triggers[0]["route"].as_str(), Some("/..."));
    let id = triggers[0]["component"].as_str().unwrap();
    assert!(is_kebab(id));
    let component = &whole["component"][id];
    only(
        component,
        &["source", "key_value_stores", "dependencies", "build"],
    );
    assert!(component["source"].is_str());
    for store in component["key_value_stores"].as_array().unwrap() {
        assert!(is_kebab(store.as_str().unwrap()));
    }
    let mut packages = Vec::new();
    for (name, dependency) in component["dependencies"].as_table().unwrap() {
        only(dependency, &["path", "export"]);
        assert!(dependency["path"].is_str() && dependency["export"].is_str());
        // Spin takes an export for a plain name or for an interface, not for a whole package; and it
        // composes one dependency of each package.
        let package = match name.split_once('/') {
            Some((package, _)) => package,
            None => {
                assert!(is_kebab(name), "{name}");
                name
            }
        };
        assert!(!packages.contains(&package), "{package}");
        packages.push(package);
    }
}

#[test]
fn the_manifest_is_as_spin_wants_it() {
    check(&ALL.manifest());
}

/// The folder that `spin.toml` at the root is about: `cargo xtask spin` makes it.
const FOLDER: &str = "target/spin/application/";

#[test]
fn the_manifest_at_the_root_is_of_the_application_that_xtask_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| -> Table {
        let text = fs::read_to_string(root.join(path)).unwrap();
        text.parse().unwrap()
    };
    let mut kept = read("spin.toml");
    check(&kept);
    let component = kept["component"]["gateway"].as_table_mut().unwrap();
    let build = component.remove("build").unwrap();
    assert_eq!(build["command"].as_str(), Some("cargo xtask spin"));
    let text = toml::to_string(&kept).unwrap().replace(FOLDER, "");
    let made = read(&format!("{FOLDER}spin.toml"));
    assert_eq!(text, toml::to_string(&made).unwrap());
}
