//! Rollouts: status, start, verbs and history.

#![expect(
    unused_qualifications,
    reason = "the macro that describes the API names extractors in full"
)]

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use modelet_admin::change::{self, NoVerb, Options, Start};
use modelet_admin::view::{EntryView, RolloutView};
use modelet_policy::names::ModelName;
use modelet_store::{Entry, Saved};
use serde::Deserialize;
use utoipa::IntoParams;

use super::access::Who;
use super::view::ModelView;
use super::{Refusal, seen, tagged};
use crate::app::App;
use crate::registry::ResolveError;
use crate::respond::{error, json};
use crate::rollouts::{Change, ChangeError, Verb};

#[derive(Deserialize, IntoParams)]
pub struct Page {
    /// How many entries, the newest first.
    limit: Option<u32>,
}

/// All models, their versions and the phases of their rollouts.
#[utoipa::path(get, path = "/admin/v1/models", security(("token" = [])), responses(
    (status = 200, body = Vec<ModelView>),
))]
pub async fn models(State(app): State<Arc<App>>) -> Response {
    let models = app.registry.snapshot();
    let views = models
        .iter()
        .map(|(name, model)| ModelView::new(name.as_str(), model));
    json(StatusCode::OK, &views.collect::<Vec<_>>())
}

/// A model's rollout, and what it was decided from so far.
#[utoipa::path(get, path = "/admin/v1/models/{model}/rollout", security(("token" = [])),
    params(("model" = String, Path)),
    responses(
        (status = 200, body = RolloutView, headers(("ETag" = String, description = "its revision"))),
        (status = 404, description = "There is no such model, or it never had a rollout"),
    ))]
pub async fn status(State(app): State<Arc<App>>, Path(model): Path<String>) -> Response {
    let shown = async {
        let name = named(&app, &model)?;
        let state = app.rollouts.state().await?;
        let saved = state.rollout(&name).await?;
        show(&app, saved.ok_or(ChangeError::NoRollout(name))?).await
    };
    shown.await.unwrap_or_else(ChangeError::into_response)
}

/// Begins to roll out a version.
#[utoipa::path(post, path = "/admin/v1/models/{model}/rollout", security(("token" = [])),
    params(("model" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the ETag that was last read"),
        ("If-None-Match" = Option<String>, Header, description = "`*` where there is none yet")),
    request_body = Start,
    responses(
        (status = 200, body = RolloutView),
        (status = 400, description = "The strategy is wrong; `errors` lists why"),
        (status = 409, description = "It cannot begin now"),
        (status = 412, description = "Somebody else has changed it"),
    ))]
pub async fn start(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match Start::read(&body) {
        Ok((version, strategy)) => {
            let verb = Verb::Start { version, strategy };
            carry_out(&app, model, who, &headers, verb).await
        }
        Err(errors) => refused(errors),
    }
}

/// Does one of promote, pause, resume, abort, retry and undo.
#[utoipa::path(post, path = "/admin/v1/models/{model}/rollout/{verb}", security(("token" = [])),
    params(("model" = String, Path), ("verb" = String, Path),
        ("If-Match" = String, Header, description = "the ETag that was last read")),
    request_body = Option<Options>,
    responses(
        (status = 200, body = RolloutView),
        (status = 409, description = "It makes no sense in this phase"),
        (status = 412, description = "Somebody else has changed it"),
    ))]
pub async fn change(
    State(app): State<Arc<App>>,
    Path((model, verb)): Path<(String, String)>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let verb = match change::Verb::read(&verb, &body) {
        Ok(verb) => Verb::Change(verb),
        Err(NoVerb::Options(why)) => return refused(vec![why]),
        Err(NoVerb::Unknown(why)) => return error(StatusCode::NOT_FOUND, why),
    };
    carry_out(&app, model, who, &headers, verb).await
}

/// What happened to a model's rollouts, the newest first.
#[utoipa::path(get, path = "/admin/v1/models/{model}/history", security(("token" = [])),
    params(("model" = String, Path), Page),
    responses((status = 200, body = Vec<EntryView>)))]
pub async fn history(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    page: Query<Page>,
) -> Response {
    let shown = async {
        let name = named(&app, &model)?;
        let state = app.rollouts.state().await?;
        let entries = state.history(&name, page.limit.unwrap_or(100)).await?;
        let views: Vec<EntryView> = entries.into_iter().map(entry).collect();
        Ok(json(StatusCode::OK, &views))
    };
    shown.await.unwrap_or_else(ChangeError::into_response)
}

async fn carry_out(
    app: &Arc<App>,
    model: String,
    Who(who): Who,
    headers: &HeaderMap,
    verb: Verb,
) -> Response {
    let revision = match seen(headers) {
        Ok(None) => 0,
        Ok(Some(tag)) => match tag.parse() {
            Ok(revision) => revision,
            Err(_) => return error(StatusCode::PRECONDITION_FAILED, "this ETag is none of ours"),
        },
        Err(refusal) => return refusal.into_response(),
    };
    let change = Change {
        model,
        revision,
        who,
        verb,
    };
    let changed = async { show(app, change.carry_out(app).await?).await };
    changed.await.unwrap_or_else(ChangeError::into_response)
}

async fn show(app: &App, saved: Saved) -> Result<Response, ChangeError> {
    let state = app.rollouts.state().await?;
    let evidence = state.evidence(&saved.rollout.id).await?;
    let view = RolloutView::new(&saved.model, saved.revision, &saved.rollout, &evidence);
    let view = json(StatusCode::OK, &view);
    Ok(tagged(&saved.revision.to_string(), view))
}

fn entry(entry: Entry) -> EntryView {
    let counts = entry.evidence.totals();
    EntryView::new(entry.revision, entry.at, entry.who, entry.what, counts)
}

fn named(app: &App, model: &str) -> Result<ModelName, ResolveError> {
    app.registry.find(model).map(|found| found.name)
}

fn refused(errors: Vec<String>) -> Response {
    let status = StatusCode::BAD_REQUEST;
    Refusal { status, errors }.into_response()
}
