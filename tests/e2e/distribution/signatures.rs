//! Signatures: made and checked, taken along, and required.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::bucket::Bucket;
use super::registry::Registry;
use super::serving::{cache, command, entry};
use super::{assert_same, copy_of, done, iris, refused, text, wait_for};
use crate::server::Server;

/// A key pair that openssl made.
struct Keys {
    _folder: TempDir,
    secret: PathBuf,
    public: PathBuf,
}

fn keys() -> Keys {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("key.pem");
    let public = folder.path().join("public.pem");
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", text(&secret)]);
    openssl(&[
        "pkey",
        "-in",
        text(&secret),
        "-pubout",
        "-out",
        text(&public),
    ]);
    Keys {
        _folder: folder,
        secret,
        public,
    }
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
}

fn sign(modelet: &Path, keys: &Keys) {
    done(
        &["sign", text(modelet), "--key", text(&keys.secret)],
        &vec![],
    );
}

fn beside(modelet: &Path) -> PathBuf {
    modelet.with_file_name("model.wasm.sig")
}

/// Does something to a signed artifact, with another's keys at hand.
type Damage = fn(&Path, &Keys);

/// Every way in which a signature can be no reason to trust, and what is said then.
const REFUSALS: [(&str, Damage); 4] = [
    ("it is not signed", |modelet, _| {
        fs::remove_file(beside(modelet)).unwrap();
    }),
    ("none of the keys that are trusted", |modelet, other| {
        sign(modelet, other);
    }),
    ("it was changed after it was signed", |modelet, _| {
        fs::copy(super::digits(), modelet).unwrap();
    }),
    ("its signature is damaged", |modelet, _| {
        let signature = fs::read(beside(modelet)).unwrap();
        fs::write(beside(modelet), &signature[..signature.len() / 2]).unwrap();
    }),
];

#[test]
fn a_signature_holds_for_these_bytes_and_this_key() {
    let (keys, other) = (keys(), keys());
    let (_folder, modelet) = copy_of(&iris());
    let verify = ["verify", text(&modelet), "--key", text(&keys.public)];
    refused(&verify, &vec![], "it is not signed");
    sign(&modelet, &keys);
    assert!(done(&verify, &vec![]).contains("signed by ed25519:"));
    let both = [
        "verify",
        text(&modelet),
        "--key",
        text(&other.public),
        "--key",
        text(&keys.public),
    ];
    done(&both, &vec![]);
    for (expected, damage) in REFUSALS {
        fs::copy(iris(), &modelet).unwrap();
        sign(&modelet, &keys);
        damage(&modelet, &other);
        refused(&verify, &vec![], expected);
    }
    let swapped = ["sign", text(&modelet), "--key", text(&keys.public)];
    refused(&swapped, &vec![], "no private ed25519 key");
    let swapped = ["verify", text(&modelet), "--key", text(&keys.secret)];
    refused(&swapped, &vec![], "no public ed25519 key");
}

fn trusting<'a>(pull: &[&'a str], keys: &'a Keys) -> Vec<&'a str> {
    [pull, &[text(&keys.public)]].concat()
}

#[test]
fn a_signature_is_taken_along_and_can_come_later() {
    let (keys, other) = (keys(), keys());
    let (folder, modelet) = copy_of(&iris());
    let bucket = Bucket::start();
    let registry = Registry::start();
    let environment = bucket.as_ref().map(Bucket::environment).unwrap_or_default();
    let mut places = vec![format!("{}/models/iris/1", text(folder.path()))];
    places.extend(bucket.as_ref().map(|_| "s3://models/iris/1".to_owned()));
    places.extend(registry.as_ref().map(|registry| registry.place("iris:1")));
    for place in &places {
        let output = folder.path().join("pulled/model.wasm");
        let pull = ["pull", place, "-o", text(&output), "--require-signature"];
        let _ = fs::remove_file(beside(&modelet));
        done(&["push", text(&modelet), place], &environment);
        refused(&trusting(&pull, &keys), &environment, "it is not signed");
        sign(&modelet, &keys);
        let again = done(&["push", text(&modelet), place], &environment);
        assert!(again.contains(", was there"), "{again}");
        refused(&trusting(&pull, &other), &environment, "none of the keys");
        assert!(!output.exists());
        done(&trusting(&pull, &keys), &environment);
        assert_same(&modelet, &output);
        assert_same(&beside(&modelet), &beside(&output));
        fs::remove_dir_all(folder.path().join("pulled")).unwrap();
    }
}

/// The file with an artifact in a repository that is served.
fn version(repository: &Path, number: &str) -> PathBuf {
    let folder = repository.join("iris").join(number);
    fs::create_dir_all(&folder).unwrap();
    folder.join("model.wasm")
}

#[test]
fn a_server_that_requires_signatures_serves_nothing_else() {
    let (keys, other) = (keys(), keys());
    let repository = tempfile::tempdir().unwrap();
    let good = version(repository.path(), "1");
    fs::copy(iris(), &good).unwrap();
    sign(&good, &keys);
    let cache = cache();
    let mut serve = command(text(repository.path()), cache.path(), &vec![]);
    let server = Server::spawn(serve.args(["--require-signature", text(&keys.public)]));
    assert_eq!(entry(&server, "1")["state"], "READY");

    // Versions that come while it serves.
    for (number, (expected, damage)) in ["2", "3", "4", "5"].iter().zip(REFUSALS) {
        let made = tempfile::tempdir_in(repository.path().parent().unwrap()).unwrap();
        let modelet = version(made.path(), number);
        fs::copy(iris(), &modelet).unwrap();
        sign(&modelet, &keys);
        damage(&modelet, &other);
        let place = repository.path().join("iris").join(number);
        fs::rename(modelet.parent().unwrap(), place).unwrap();
        wait_for(number, || entry(&server, number)["state"] == "UNAVAILABLE");
        let reason = entry(&server, number)["reason"].clone();
        let reason = reason.as_str().unwrap();
        let required = format!("signatures are required, and {expected}");
        assert!(
            reason.starts_with(&required) || reason.contains(expected),
            "{reason}"
        );
        let asked = format!("/v2/models/iris/versions/{number}/infer");
        server.post(&asked, "{}").check_error(503, expected);
    }
    sign(&version(repository.path(), "2"), &keys);
    wait_for("a signature that came later", || {
        entry(&server, "2")["state"] == "READY"
    });
    // The version that is loaded stays when its file becomes another's.
    sign(&good, &other);
    wait_for("the reason", || entry(&server, "1")["reason"] != "");
    assert_eq!(entry(&server, "1")["state"], "READY");
}

#[test]
fn signatures_are_required_of_what_comes_from_a_store_too() {
    let Some(bucket) = Bucket::start() else {
        return;
    };
    let keys = keys();
    let (_folder, modelet) = copy_of(&iris());
    let environment = bucket.environment();
    let push = ["push", text(&modelet), "s3://models/iris/1"];
    done(&push, &environment);
    let cache = cache();
    let settings = cache.path().join("modelet.toml");
    fs::copy(&keys.public, cache.path().join("release.pem")).unwrap();
    let text = fs::read_to_string(&settings).unwrap() + "require_signature = [\"release.pem\"]\n";
    fs::write(&settings, text).unwrap();
    let server = Server::spawn(&mut command("s3://models", cache.path(), &environment));
    assert_eq!(entry(&server, "1")["state"], "UNAVAILABLE");
    sign(&modelet, &keys);
    done(&push, &environment);
    wait_for("the signature", || entry(&server, "1")["state"] == "READY");
    assert_eq!(entry(&server, "1")["reason"], Value::from(""));
}
