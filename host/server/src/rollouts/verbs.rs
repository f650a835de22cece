//! What somebody asks of a rollout.

use modelet_admin::change;
use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::evidence::Evidence;
use modelet_policy::rollout::strategy::Strategy;
use modelet_policy::rollout::{Refused, Rollout};
use modelet_policy::spec::Serve;
use modelet_store::{Entry, Saved, StateError};

use super::keeper::with_seen;
use super::{fresh_id, now, readiness};
use crate::app::App;
use crate::registry::{Found, ResolveError};

/// One change of a model's rollout.
pub struct Change {
    pub model: String,
    /// At which the caller has seen it; 0 where there was none.
    pub revision: i64,
    pub who: String,
    pub verb: Verb,
}

pub enum Verb {
    Start {
        version: Version,
        /// `None`: that of the model's `model.toml`.
        strategy: Option<Strategy>,
    },
    Change(change::Verb),
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("model `{0}` has no rollout")]
    NoRollout(ModelName),
    #[error(
        "the rollout is at revision {is} and not {seen}: somebody else has changed it; look again"
    )]
    Stale { is: i64, seen: i64 },
    #[error("{0}")]
    Start(String),
}

impl Change {
    /// Changes it in the database and, at once, on this node.
    pub async fn carry_out(self, app: &App) -> Result<Saved, ChangeError> {
        if let Verb::Start { .. } = self.verb {
            // A version that was put there a moment ago is the one that is meant.
            tokio::task::block_in_place(|| app.refresh());
        }
        let found = app.registry.find(&self.model)?;
        let state = app.rollouts.state().await?;
        let saved = state.rollout(&found.name).await?;
        let revision = saved.as_ref().map_or(0, |saved| saved.revision);
        if revision != self.revision {
            return Err(ChangeError::Stale {
                is: revision,
                seen: self.revision,
            });
        }
        let (rollout, said, evidence) = match (self.verb, saved) {
            (Verb::Start { version, strategy }, saved) => {
                let rollout = start(&found, saved.as_ref(), version, strategy)?;
                let said = format!(
                    "started {} from version {} to {version}",
                    rollout.strategy.name.word(),
                    rollout.stable
                );
                (rollout, vec![said], Evidence::default())
            }
            (Verb::Change(_), None) => return Err(ChangeError::NoRollout(found.name)),
            (Verb::Change(verb), Some(saved)) => {
                for version in [Some(saved.rollout.canary), saved.rollout.previous] {
                    // Whoever says so has a moment to wait, and policy judges the rest.
                    if let Some(Ok(ready)) = version.map(|version| found.ready(version)) {
                        readiness::check_now(app, &ready).await;
                    }
                }
                let evidence = state.evidence(&saved.rollout.id).await?;
                let mut rollout = saved.rollout.clone();
                let said = with_seen(app, &saved, &evidence, |seen| {
                    verb.carry_out(&mut rollout, fresh_id(), seen)
                })?;
                (rollout, said, evidence)
            }
        };
        let entry = Entry {
            revision,
            at: now(),
            who: self.who,
            what: said.join("; "),
            evidence,
        };
        let model = found.name.clone();
        tracing::info!(%model, who = entry.who, what = entry.what, "the rollout was changed");
        let revision = state.save(&model, revision, &rollout, entry).await?;
        let saved = Saved {
            model,
            revision,
            rollout,
        };
        app.rollouts.apply(app, saved.clone());
        Ok(saved)
    }
}

fn start(
    found: &Found,
    before: Option<&Saved>,
    canary: Version,
    strategy: Option<Strategy>,
) -> Result<Rollout, ChangeError> {
    let wrong = |reason: &str| Err(ChangeError::Start(reason.to_owned()));
    let declared = &found.model().declared;
    let Some(strategy) = strategy.or_else(|| declared.strategy.clone()) else {
        return wrong("there is no strategy, neither in the request nor in model.toml");
    };
    if before.is_some_and(|before| before.rollout.is_active()) {
        return wrong("a rollout is under way; promote or abort it first");
    }
    if !declared.traffic.weights.is_empty() {
        return wrong("model.toml sets traffic.weights, which a rollout moves itself; remove them");
    }
    if declared.versions.serve == Serve::Latest {
        return wrong("model.toml serves the latest version only, and a rollout needs two");
    }
    found.ready(canary)?;
    let stable = match before {
        Some(before) => before.rollout.stable,
        None => stable(found, canary)?,
    };
    if stable == canary {
        return wrong("this version is the stable one already");
    }
    let mut rollout = Rollout::start(fresh_id(), strategy, stable, canary, now());
    rollout.previous = before.and_then(|before| before.rollout.previous);
    Ok(rollout)
}

/// The declared version, else the highest that is ready beside the new one.
fn stable(found: &Found, canary: Version) -> Result<Version, ChangeError> {
    let model = found.model();
    let others = model.ready().map(|ready| ready.version);
    let highest = others.filter(|version| *version != canary).max();
    let stable = model.declared.versions.default.or(highest);
    stable.ok_or_else(|| {
        ChangeError::Start("there is no version beside it that requests could come from".to_owned())
    })
}
