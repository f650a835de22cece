//! A static site: the package for browsers, the modelets, and a page that shows them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use modelet_artifact::Facts;
use modelet_policy::names::Version;
use serde::Serialize;

use crate::folder::{Content, File, Written, write};
use crate::models;

/// The last of its files.
const MARK: &str = "deployment.json";

/// What is the same in every site.
const OURS: &[(&str, &[u8])] = &[
    (
        "index.html",
        include_bytes!("../../browser/page/index.html"),
    ),
    (
        "page/page.css",
        include_bytes!("../../browser/page/page.css"),
    ),
    ("page/page.js", include_bytes!("../../browser/page/page.js")),
    ("page/show.js", include_bytes!("../../browser/page/show.js")),
    (
        "page/digits.js",
        include_bytes!("../../browser/page/digits.js"),
    ),
    ("page/pen.js", include_bytes!("../../browser/page/pen.js")),
    (
        "page/magika.js",
        include_bytes!("../../browser/page/magika.js"),
    ),
    ("page/any.js", include_bytes!("../../browser/page/any.js")),
    (
        "page/magika-labels.txt",
        include_bytes!("../../../models/magika/labels.txt"),
    ),
    (
        "modelet-web/package.json",
        include_bytes!("../../browser/js/package.json"),
    ),
    (
        "modelet-web/index.js",
        include_bytes!("../../browser/js/index.js"),
    ),
    (
        "modelet-web/index.d.ts",
        include_bytes!("../../browser/js/index.d.ts"),
    ),
    (
        "modelet-web/deployment.js",
        include_bytes!("../../browser/js/deployment.js"),
    ),
    (
        "modelet-web/device.js",
        include_bytes!("../../browser/js/device.js"),
    ),
    (
        "modelet-web/server.js",
        include_bytes!("../../browser/js/server.js"),
    ),
    (
        "modelet-web/worker.js",
        include_bytes!("../../browser/js/worker.js"),
    ),
    (
        "modelet-web/instance.js",
        include_bytes!("../../browser/js/instance.js"),
    ),
    (
        "modelet-web/fetch.js",
        include_bytes!("../../browser/js/fetch.js"),
    ),
    (
        "modelet-web/tensor.js",
        include_bytes!("../../browser/js/tensor.js"),
    ),
    (
        "modelet-web/failure.js",
        include_bytes!("../../browser/js/failure.js"),
    ),
    (
        "modelet-web/host.js",
        include_bytes!(concat!(env!("OUT_DIR"), "/host.js")),
    ),
    (
        "modelet-web/host_bg.wasm",
        include_bytes!(concat!(env!("OUT_DIR"), "/host_bg.wasm")),
    ),
];

/// What the caller decides about a site.
#[derive(Clone, Debug, Default)]
pub struct Web {
    /// The address of a server that has the same models and is asked where this device fails.
    pub server: Option<String>,
}

/// As `modelet-web` reads it.
#[derive(Serialize)]
struct Deployment {
    models: BTreeMap<String, Model>,
}

#[derive(Serialize)]
struct Model {
    policy: toml::Table,
    versions: BTreeMap<Version, Place>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    then: Vec<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Place {
    Device {
        url: String,
        sha256: String,
        reuse: bool,
        /// What the page shows before it has loaded anything.
        facts: Box<Facts>,
    },
    Server {
        server: String,
        model: String,
    },
}

/// Writes the site for all of a repository's models that are served.
pub fn web(repository: &Path, folder: &Path, options: &Web) -> Result<Vec<Written>> {
    let ours = OURS.iter().map(|(path, bytes)| File {
        path: (*path).to_owned(),
        content: Content::Ours(bytes),
    });
    let mut files: Vec<File> = ours.collect();
    let mut models = BTreeMap::new();
    for (name, model) in models::read(repository)? {
        ensure!(!model.versions.is_empty(), "model {name} has no version");
        let mut versions = BTreeMap::new();
        for (version, artifact) in model.versions {
            let facts = artifact.facts;
            let place = Place::Device {
                url: artifact.file.path.clone(),
                sha256: facts.sha256.clone(),
                reuse: model.spec.reuse,
                facts: Box::new(facts),
            };
            files.push(artifact.file);
            versions.insert(version, place);
        }
        let model = Model {
            policy: model.policy,
            versions,
            then: Vec::new(),
        };
        models.insert(name.to_string(), model);
    }
    if let Some(server) = &options.server {
        add_server(&mut models, server)?;
    }
    files.push(File {
        path: MARK.to_owned(),
        content: Content::Text(serde_json::to_string_pretty(&Deployment { models })?),
    });
    write(folder, MARK, &files)
}

/// Beside each model the same at the server. Each is asked when the other fails.
fn add_server(models: &mut BTreeMap<String, Model>, server: &str) -> Result<()> {
    let names: Vec<String> = models.keys().cloned().collect();
    let first = Version::try_from(1)?;
    for name in names {
        let there = format!("{name}.server");
        ensure!(
            !models.contains_key(&there),
            "the repository has a model of the name {there}, which is wanted for the server's {name}"
        );
        if let Some(model) = models.get_mut(&name) {
            model.then.push(there.clone());
        }
        let place = Place::Server {
            server: server.to_owned(),
            model: name.clone(),
        };
        let model = Model {
            policy: toml::Table::new(),
            versions: BTreeMap::from([(first, place)]),
            then: vec![name],
        };
        models.insert(there, model);
    }
    Ok(())
}
