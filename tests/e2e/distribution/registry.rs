//! Debian's docker-registry, with its files in a folder of the test's own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Environment, done, refused, text};
use crate::built;

/// anna, whose password is `secret`, as `htpasswd -B` writes her.
const ANNA: &str = "anna:$2y$04$UmrOzMd6ou/DPP3zmvp23.OTR9BAaeezVgQy6HKkT0VHKuDD674uK\n";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry. It ends when this is dropped.
pub struct Registry {
    child: Child,
    pub address: String,
    pub folder: TempDir,
}

impl Registry {
    /// Nothing, said, where docker-registry is not installed.
    pub fn start() -> Option<Registry> {
        Registry::with("")
    }

    fn with(settings: &str) -> Option<Registry> {
        let version = Command::new("docker-registry").arg("--version").output();
        if version.is_err() {
            built::skip("docker-registry is missing; install docker-registry");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let place = text(folder.path());
        fs::write(folder.path().join("htpasswd"), ANNA).unwrap();
        let config = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {place}/store }} }}\n\
             http: {{ addr: '127.0.0.1:0' }}\n{}",
            settings.replace("FOLDER", place)
        );
        fs::write(folder.path().join("config.yml"), config).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = log.find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.split('"').next()?.to_owned())
        });
        // Its log is read on, so that it never waits for a reader.
        std::thread::spawn(move || log.for_each(drop));
        Some(Registry {
            child,
            address: address.unwrap(),
            folder,
        })
    }

    pub fn place(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.address)
    }

    pub fn manifest(&self, name: &str, tag: &str) -> Value {
        let url = format!("http://{}/v2/{name}/manifests/{tag}", self.address);
        let answer = ureq::get(url).header("Accept", MANIFEST).call().unwrap();
        serde_json::from_str(&answer.into_body().read_to_string().unwrap()).unwrap()
    }

    /// Pushes a blob as any tool would.
    pub fn put_blob(&self, name: &str, digest: &str, bytes: &[u8]) {
        let url = format!("http://{}/v2/{name}/blobs/uploads/", self.address);
        let begun = ureq::post(url).send_empty().unwrap();
        let location = begun.headers()["location"].to_str().unwrap();
        let url = format!("{location}&digest={digest}");
        let sent = ureq::put(url)
            .header("Content-Type", "application/octet-stream")
            .send(bytes);
        sent.unwrap();
    }

    pub fn put_manifest(&self, name: &str, tag: &str, manifest: &Value) {
        let url = format!("http://{}/v2/{name}/manifests/{tag}", self.address);
        let sent = ureq::put(url)
            .header("Content-Type", MANIFEST)
            .send(manifest.to_string());
        sent.unwrap();
    }

    /// The file that the registry keeps a blob in.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = "store/docker/registry/v2/blobs/sha256";
        let blobs = self.folder.path().join(blobs);
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_registry_that_asks_for_a_password_takes_the_one_of_docker_login() {
    let settings = "auth: { htpasswd: { realm: models, path: FOLDER/htpasswd } }\n";
    let Some(registry) = Registry::with(settings) else {
        return;
    };
    let (iris, place) = (super::iris(), registry.place("iris:1"));
    let login = tempfile::tempdir().unwrap();
    let environment: Environment = vec![("DOCKER_CONFIG".into(), text(login.path()).into())];
    refused(
        &["push", text(&iris), &place],
        &environment,
        "Not authorized",
    );
    let config = json!({ "auths": { registry.address.as_str(): { "auth": "YW5uYTpzZWNyZXQ=" } } });
    fs::write(login.path().join("config.json"), config.to_string()).unwrap();
    done(&["push", text(&iris), &place], &environment);
    let output = login.path().join("iris.wasm");
    done(&["pull", &place, "-o", text(&output)], &environment);
    super::assert_same(&iris, &output);
}
