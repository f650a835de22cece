//! A model's `model.toml`, read and replaced whole.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use modelet_policy::names::ModelName;
use modelet_policy::routing::hash;
use modelet_policy::spec::ModelSpec;

use super::access::Who;
use super::{Refusal, seen, tagged};
use crate::app::{App, suits};
use crate::respond::error;

/// The text of a model's `model.toml`.
#[utoipa::path(get, path = "/admin/v1/models/{model}/spec", security(("token" = [])),
    params(("model" = String, Path)),
    responses((status = 200, body = String, content_type = "application/toml")))]
pub async fn read(State(app): State<Arc<App>>, Path(model): Path<String>) -> Response {
    let read = tokio::task::spawn_blocking(move || app.read_spec(&named(&app, &model)?));
    match read.await {
        Ok(Ok(text)) => show(text),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the spec was not read"),
    }
}

/// Replaces it. One that is wrong is refused whole, and what ran before goes on.
#[utoipa::path(put, path = "/admin/v1/models/{model}/spec", security(("token" = [])),
    params(("model" = String, Path),
        ("If-Match" = String, Header, description = "the ETag that was last read")),
    request_body(content = String, content_type = "application/toml"),
    responses(
        (status = 200, body = String, content_type = "application/toml"),
        (status = 400, description = "`errors` lists everything that is wrong"),
        (status = 412, description = "Somebody else has changed it"),
    ))]
pub async fn write(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    Extension(Who(who)): Extension<Who>,
    headers: HeaderMap,
    text: String,
) -> Response {
    let seen = match seen(&headers) {
        Ok(seen) => seen.unwrap_or_default(),
        Err(refusal) => return refusal.into_response(),
    };
    match replace(&app, &model, who, seen, text).await {
        Ok(text) => show(text),
        Err(refusal) => refusal.into_response(),
    }
}

async fn replace(
    app: &Arc<App>,
    model: &str,
    who: String,
    seen: String,
    text: String,
) -> Result<String, Refusal> {
    let name = named(app, model)?;
    app.check_spec(&name, &text)?;
    // From the look to the write nobody else of this server comes between.
    let _writing = app.writing_specs.lock().await;
    let before = app.read_spec(&name)?;
    if tag(&before) != seen {
        let text = "model.toml was changed by somebody else; look again";
        return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, text));
    }
    let what = format!("replaced model.toml {seen} by {}", tag(&text));
    app.rollouts.note(&name, &who, &what).await?;
    tracing::info!(model = %name, who, what, "the spec was changed");
    let app = app.clone();
    let written = tokio::task::spawn_blocking(move || {
        app.write_spec(&name, &text)?;
        app.refresh();
        Ok(text)
    });
    let lost = |_| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the spec was not written",
        )
    };
    written.await.map_err(lost)?
}

impl App {
    /// Everything that is wrong with a spec.
    fn check_spec(&self, model: &ModelName, text: &str) -> Result<(), Refusal> {
        let refused = |errors| Refusal {
            status: StatusCode::BAD_REQUEST,
            errors,
        };
        let spec = ModelSpec::parse(text).map_err(|errors| refused(errors.0))?;
        let repository = self.repository_of(model).ok_or_else(no_repository)?;
        let suits = suits(spec, repository.has_versions(model));
        suits.map(drop).map_err(|error| refused(vec![error]))
    }

    fn read_spec(&self, model: &ModelName) -> Result<String, Refusal> {
        let repository = self.repository_of(model).ok_or_else(no_repository)?;
        let read = repository.read_spec(model);
        read.map_err(|failure| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()))
    }

    fn write_spec(&self, model: &ModelName, text: &str) -> Result<(), Refusal> {
        let repository = self.repository_of(model).ok_or_else(no_repository)?;
        let written = repository.write_spec(model, text);
        written
            .map_err(|failure| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()))
    }
}

fn named(app: &App, model: &str) -> Result<ModelName, Refusal> {
    let found = app.registry.find(model);
    let found =
        found.map_err(|failure| Refusal::new(StatusCode::NOT_FOUND, failure.to_string()))?;
    Ok(found.name)
}

fn no_repository() -> Refusal {
    let text = "this model is served from a file and has no model.toml";
    Refusal::new(StatusCode::CONFLICT, text)
}

fn show(text: String) -> Response {
    let tag = tag(&text);
    tagged(
        &tag,
        ([(CONTENT_TYPE, "application/toml")], text).into_response(),
    )
}

fn tag(text: &str) -> String {
    format!("{:016x}", hash("model.toml", text.as_bytes()))
}
