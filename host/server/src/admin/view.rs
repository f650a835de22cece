//! What the admin API shows of a server.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::registry;

#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Why the database cannot be reached; `null` if it can.
    pub trouble: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ModelView {
    name: String,
    /// The state of each version that is there.
    versions: BTreeMap<u64, &'static str>,
    /// The phase of its rollout, if it ever had one.
    rollout: Option<&'static str>,
    /// A mistake in its `model.toml`.
    problem: Option<String>,
}

impl ModelView {
    pub fn new(name: &str, model: &registry::Model) -> ModelView {
        let state = |entry: &registry::Entry| match entry.state {
            registry::State::Ready(_) => "READY",
            registry::State::Loading => "LOADING",
            registry::State::Unavailable(_) => "UNAVAILABLE",
        };
        let versions = model.versions.iter();
        let rollout = model.rollout.as_ref();
        ModelView {
            name: name.to_owned(),
            versions: versions
                .map(|(version, entry)| (version.number(), state(entry)))
                .collect(),
            rollout: rollout.map(|live| live.saved.rollout.phase.word()),
            problem: model.problem.clone(),
        }
    }
}
