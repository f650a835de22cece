//! The loop that keeps this node and the database in line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::evidence::Evidence;
use modelet_policy::rollout::{Rollout, Seen};
use modelet_policy::versions;
use modelet_store::{Entry, Saved, State, StateError};

use super::live::{self, Live};
use super::{Rollouts, fresh_id, now, readiness};
use crate::app::App;

/// What is changed anywhere is applied everywhere after this at the latest.
const INTERVAL: Duration = Duration::from_millis(250);

/// However much fails, the database is looked at no sooner than this after the last time.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);

/// A node that stopped is followed by another after this.
const LEASE: Duration = Duration::from_secs(3);

/// How long a server that starts waits to hear of rollouts before it serves without.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Who did what nobody asked for.
const NOBODY: &str = "modelet";

/// Before the first model is loaded: no version is to get requests that a rollout keeps from it.
pub async fn look_first(app: &App) {
    let looked = tokio::time::timeout(FIRST_LOOK, look(app)).await;
    let trouble = match looked {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the database does not answer".to_owned()),
    };
    app.rollouts.set_trouble(trouble);
}

/// For ever.
pub async fn keep_up(app: Arc<App>) {
    loop {
        let done = work(&app).await;
        app.rollouts
            .set_trouble(done.err().map(|error| error.to_string()));
        tokio::time::sleep(LEAST_INTERVAL).await;
        // Whether it was woken or the time is up, it is time to look.
        let alarm = app.rollouts.alarm.notified();
        let _ = tokio::time::timeout(INTERVAL - LEAST_INTERVAL, alarm).await;
    }
}

async fn work(app: &App) -> Result<(), StateError> {
    look(app).await?;
    let state = app.rollouts.state().await?;
    begin(app, state).await?;
    // What came back must not keep rollouts from going on.
    let flushed = app.rollouts.predictions.flush(app, state).await;
    for live in app.rollouts.all().into_values() {
        if !live.saved.rollout.is_active() {
            continue;
        }
        write_down(state, &live).await?;
        let saved = &live.saved;
        let until = now() + LEASE.as_millis() as u64;
        let leads = state.lead(&saved.model, now(), until).await?;
        live.leads.store(leads, Relaxed);
        if leads {
            advance(app, state, saved).await?;
        }
    }
    flushed
}

/// Declares the version that answers now to be the stable one of a model that has a strategy, so that
/// versions that are added later wait until they are rolled out.
async fn begin(app: &App, state: &State) -> Result<(), StateError> {
    // Before all have had their chance to load, any could seem to be the highest.
    let Some(models) = app.settled() else {
        return Ok(());
    };
    for (model, entry) in models.iter() {
        let strategy = entry.declared.strategy.clone();
        let Some(strategy) = strategy.filter(|_| entry.rollout.is_none()) else {
            continue;
        };
        let ready = entry.ready().map(|ready| ready.version);
        let Some(stable) = versions::default(&entry.declared.versions, ready) else {
            continue;
        };
        let rollout = Rollout::first(fresh_id(), strategy, stable, now());
        let said = rollout.message.clone();
        save(app, state, model, 0, rollout, said, Evidence::default()).await?;
    }
    Ok(())
}

/// Applies what the database says.
async fn look(app: &App) -> Result<(), StateError> {
    let all = app.rollouts.state().await?.rollouts().await?;
    for saved in all {
        app.rollouts.apply(app, saved);
    }
    Ok(())
}

async fn write_down(state: &State, live: &Live) -> Result<(), StateError> {
    let Some(evidence) = live.seen.take_news() else {
        return Ok(());
    };
    let written = state.put_evidence(&live.saved.rollout.id, &evidence).await;
    if written.is_err() {
        live.seen.keep_news();
    }
    written
}

/// Lets time and evidence do their work.
async fn advance(app: &App, state: &State, saved: &Saved) -> Result<(), StateError> {
    let evidence = state.evidence(&saved.rollout.id).await?;
    let mut rollout = saved.rollout.clone();
    let said = with_seen(app, saved, &evidence, |seen| rollout.tick(seen));
    if rollout == saved.rollout {
        return Ok(());
    }
    if said.is_empty() {
        state
            .progress(&saved.model, saved.revision, &rollout)
            .await?;
        return Ok(());
    }
    let model = &saved.model;
    let said = said.join("; ");
    tracing::info!(%model, what = said, "the rollout went on");
    save(app, state, model, saved.revision, rollout, said, evidence).await
}

/// In the database and, at once, on this node.
async fn save(
    app: &App,
    state: &State,
    model: &ModelName,
    revision: i64,
    rollout: Rollout,
    what: String,
    evidence: Evidence,
) -> Result<(), StateError> {
    let entry = Entry {
        revision,
        at: now(),
        who: NOBODY.to_owned(),
        what,
        evidence,
    };
    match state.save(model, revision, &rollout, entry).await {
        Ok(revision) => {
            let model = model.clone();
            app.rollouts.apply(
                app,
                Saved {
                    model,
                    revision,
                    rollout,
                },
            );
            Ok(())
        }
        // Somebody was faster; the next look shows what they did.
        Err(StateError::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lends policy what it may look at.
pub fn with_seen<T>(
    app: &App,
    saved: &Saved,
    evidence: &Evidence,
    look: impl FnOnce(&Seen<'_>) -> T,
) -> T {
    let is_ready = |version: Version| {
        let found = app.registry.find(saved.model.as_str());
        let ready = found.and_then(|found| found.ready(version));
        ready.is_ok_and(|ready| readiness::check(app, &ready))
    };
    let found = app.registry.find(saved.model.as_str());
    look(&Seen {
        now: now(),
        evidence,
        is_ready: &is_ready,
        sticky: found.is_ok_and(|found| found.model().spec.traffic.sticky.is_some()),
    })
}

impl Rollouts {
    /// Makes requests follow a rollout, if it is newer than what they follow.
    pub fn apply(&self, app: &App, saved: Saved) {
        let model = saved.model.clone();
        let live = {
            let mut known = self.known();
            let before = known.get(&model);
            if before
                .is_some_and(|live| live.saved.revision > saved.revision || live.saved == saved)
            {
                return;
            }
            let same = before.filter(|live| live.saved.rollout.id == saved.rollout.id);
            let seen = same.map_or_else(Arc::<live::Seen>::default, |live| live.seen.clone());
            let leads = same.is_some_and(|live| live.leads.load(Relaxed));
            let live = Arc::new(Live {
                saved,
                seen,
                leads: AtomicBool::new(leads),
                alarm: self.alarm.clone(),
            });
            known.insert(model.clone(), live.clone());
            live
        };
        app.registry.change(|models| {
            if let Some(model) = models.get_mut(&model) {
                model.follow(Some(live));
            }
        });
    }
}
