//! The model repository extension.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use modelet_protocol::rest::unreadable;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::infer::read;
use super::named::Named;
use crate::app::App;
use crate::registry::ResolveError;
use crate::request::Failure;
use crate::respond;

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object with `ready`")]
struct IndexRequest {
    ready: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object with `parameters`")]
struct LoadRequest {
    parameters: Map<String, Value>,
}

pub async fn index(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    match parse::<IndexRequest>(&app, &headers, body).await {
        Ok(request) => respond::json(StatusCode::OK, &app.registry.index(request.ready)),
        Err(failure) => failure.into_response(),
    }
}

pub async fn load(
    State(app): State<Arc<App>>,
    named: Named,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let request = match parse::<LoadRequest>(&app, &headers, body).await {
        Ok(request) => request,
        Err(failure) => return failure.into_response(),
    };
    if let Some(parameter) = request.parameters.keys().next() {
        return unsupported(parameter).into_response();
    }
    changed(change(app, move |app| app.load(&named.model)).await)
}

pub async fn unload(
    State(app): State<Arc<App>>,
    named: Named,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Err(failure) = parse::<LoadRequest>(&app, &headers, body).await {
        return failure.into_response();
    }
    changed(change(app, move |app| app.unload(&named.model)).await)
}

/// Models come from the repository and from nowhere else.
pub fn unsupported(parameter: &str) -> Failure {
    Failure::Unsupported(format!(
        "parameter `{parameter}` is not supported: put the model and its model.toml into the repository"
    ))
}

/// Runs a change, which may compile a model, on a thread that may block.
pub async fn change(
    app: Arc<App>,
    change: impl FnOnce(&App) -> Result<(), ResolveError> + Send + 'static,
) -> Result<(), Failure> {
    match tokio::task::spawn_blocking(move || change(&app)).await {
        Ok(changed) => Ok(changed?),
        Err(error) => Err(Failure::Internal(format!("the change was lost: {error}"))),
    }
}

fn changed(result: Result<(), Failure>) -> Response {
    match result {
        Ok(()) => respond::json(StatusCode::OK, &json!({})),
        Err(failure) => failure.into_response(),
    }
}

/// A body that may be missing.
async fn parse<T: Default + DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Failure> {
    let deadline = Instant::now() + app.config.request_timeout;
    let body = read(headers, body, app.config.body_bytes, deadline).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body).map_err(|error| Failure::Malformed(unreadable(&error)))
}
