//! A Spin application: the gateway, the modelets beside it, and all of it in one component for hosts of
//! WASI HTTP that compose nothing themselves.

mod application;
mod compose;
mod manifest;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use modelet_gateway::application::{Application, Model, Modelet, SLOTS};
use modelet_policy::fallback::Target;
use modelet_policy::names::ModelName;
use modelet_policy::spec::Serve;

use crate::folder::{Content, File, Written, write};
use crate::models;

const GATEWAY: &[u8] = include_bytes!(env!("MODELET_GATEWAY"));
const EMPTY: &[u8] = include_bytes!(env!("MODELET_EMPTY"));

/// What a modelet exports.
const CONTRACT: &str = "modelet:model/inference@0.1.0";

/// What the gateway imports to be told what it serves, and what is exported for that.
const APPLICATION: &str = "application";

/// The last of the files.
const MARK: &str = "composed.wasm";

/// What satisfies one import of the gateway.
struct Dependency {
    import: String,
    export: &'static str,
    /// Below the folder.
    path: String,
    bytes: Vec<u8>,
}

/// Writes the application for all of a repository's models that are served.
pub fn spin(repository: &Path, folder: &Path) -> Result<Vec<Written>> {
    let models = models::read(repository)?;
    for (name, model) in &models {
        check(name, model)?;
    }
    let count: usize = models.values().map(|model| model.versions.len()).sum();
    ensure!(
        count <= usize::from(SLOTS),
        "the repository serves {count} versions, and a gateway asks at most {SLOTS}; name those that \
         are to be served in `versions.serve`"
    );
    let mut dependencies = Vec::new();
    let mut files = Vec::new();
    let application = fill(models, &mut dependencies, &mut files)?;
    let bytes = application::component(&application)?;
    dependencies.push(Dependency {
        import: APPLICATION.to_owned(),
        export: APPLICATION,
        path: "application.wasm".to_owned(),
        bytes: bytes.clone(),
    });
    for (path, content) in [
        ("gateway.wasm", Content::Ours(GATEWAY)),
        ("empty.wasm", Content::Ours(EMPTY)),
        ("application.wasm", Content::Bytes(bytes)),
        ("spin.toml", Content::Text(manifest::text(&dependencies))),
        (MARK, Content::Bytes(compose::compose(&dependencies)?)),
    ] {
        files.push(File {
            path: path.to_owned(),
            content,
        });
    }
    write(folder, MARK, &files)
}

/// What a gateway cannot do is told here, and not when a request comes.
fn check(name: &ModelName, model: &models::Model) -> Result<()> {
    if model.spec.ensemble.is_some() {
        bail!("model {name} is an ensemble, which a gateway does not put together");
    }
    let is_remote = |target: &Target| matches!(target, Target::Remote(_));
    if model.spec.fallback.chain.iter().any(is_remote) {
        bail!("model {name} falls back to another server, which a gateway does not ask");
    }
    ensure!(!model.versions.is_empty(), "model {name} has no version");
    let Some(strategy) = &model.spec.strategy else {
        return Ok(());
    };
    ensure!(
        strategy.is_by_requests(),
        "model {name} is rolled out by mirrored requests or by rewards, which a gateway has none of"
    );
    ensure!(
        model.spec.traffic.weights.is_empty(),
        "model {name} sets traffic.weights, which a rollout moves itself; remove them"
    );
    ensure!(
        model.spec.versions.serve != Serve::Latest,
        "model {name} serves the latest version only, and a rollout needs two"
    );
    Ok(())
}

/// Gives every version a slot, and fills those that are left.
fn fill(
    models: BTreeMap<ModelName, models::Model>,
    dependencies: &mut Vec<Dependency>,
    files: &mut Vec<File>,
) -> Result<Application> {
    let mut slots = 0..SLOTS;
    let mut application = Application::default();
    for (name, model) in models {
        let mut versions = BTreeMap::new();
        for ((version, artifact), slot) in model.versions.into_iter().zip(&mut slots) {
            let bytes = artifact.read()?;
            let modelet = Modelet {
                slot,
                sha256: artifact.facts.sha256,
                signature: artifact.facts.metadata.signature,
            };
            dependencies.push(Dependency {
                import: format!("slot{slot}"),
                export: CONTRACT,
                path: artifact.file.path.clone(),
                bytes,
            });
            files.push(artifact.file);
            versions.insert(version, modelet);
        }
        let policy = serde_json::to_value(model.policy)?;
        application.models.insert(name, Model { policy, versions });
    }
    let rest = slots.map(|slot| format!("slot{slot}"));
    // The types of the contract are an import too.
    for import in rest.chain([CONTRACT.to_owned()]) {
        dependencies.push(Dependency {
            import,
            export: CONTRACT,
            path: "empty.wasm".to_owned(),
            bytes: EMPTY.to_vec(),
        });
    }
    Ok(application)
}
