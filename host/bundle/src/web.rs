//! A static site: the package for browsers, the modelets, and a page that shows them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use modelet_artifact::{Facts, inspect};
use modelet_policy::names::{ModelName, Version};
use modelet_policy::versions::served;
use modelet_store::{ArtifactFile, ModelEntry, Repository};
use serde::Serialize;

use crate::folder::{Content, File, MARK, MODELS, Written, write};

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
    let repository = Repository::open(repository)?;
    let listing = repository.scan()?;
    if let Some(problem) = listing.problems.first() {
        bail!("{}: {}", problem.path.display(), problem.reason);
    }
    let ours = OURS.iter().map(|(path, bytes)| File {
        path: (*path).to_owned(),
        content: Content::Ours(bytes),
    });
    let mut files: Vec<File> = ours.collect();
    let mut models = BTreeMap::new();
    for (name, entry) in listing.models {
        let model = Model {
            policy: repository.read_spec(&name)?.parse()?,
            versions: versions(&name, entry, &mut files)?,
            then: Vec::new(),
        };
        models.insert(name.to_string(), model);
    }
    ensure!(!models.is_empty(), "the repository has no models");
    if let Some(server) = &options.server {
        add_server(&mut models, server)?;
    }
    files.push(File {
        path: MARK.to_owned(),
        content: Content::Text(serde_json::to_string_pretty(&Deployment { models })?),
    });
    write(folder, &files)
}

/// The versions of a model that are served; their files are added to `files`.
fn versions(
    name: &ModelName,
    entry: ModelEntry,
    files: &mut Vec<File>,
) -> Result<BTreeMap<Version, Place>> {
    let spec = entry.spec.map_err(|reason| anyhow!("{name}: {reason}"))?;
    let mut versions = BTreeMap::new();
    for version in served(&spec.versions, entry.versions.keys().copied()) {
        let artifact = &entry.versions[&version];
        let (file, place) = device(name, version, artifact, spec.reuse)?;
        files.push(file);
        versions.insert(version, place);
    }
    ensure!(!versions.is_empty(), "model {name} has no version");
    Ok(versions)
}

fn device(
    name: &ModelName,
    version: Version,
    artifact: &ArtifactFile,
    reuse: bool,
) -> Result<(File, Place)> {
    let facts = inspect(&artifact.read()?)
        .with_context(|| format!("{} is not a modelet", artifact.path.display()))?;
    let path = format!("{MODELS}/{name}/{version}/model.wasm");
    let content = Content::Copy {
        from: artifact.path.clone(),
        bytes: facts.size_bytes,
    };
    let place = Place::Device {
        url: path.clone(),
        sha256: facts.sha256.clone(),
        reuse,
        facts: Box::new(facts),
    };
    Ok((File { path, content }, place))
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
