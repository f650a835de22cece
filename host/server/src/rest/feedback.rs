//! `POST …/feedback`: labels and rewards for answers that were given.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::infer::read;
use crate::app::App;
use crate::request::Failure;
use crate::respond::{error, json};
use crate::rollouts::feedback::{Became, Said};

/// For one request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The request's `id` or, if it had none, the answer's `x-request-id`.
    id: String,
    label: Option<Value>,
    reward: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entries {
    One(Entry),
    Many(Vec<Entry>),
}

pub async fn feedback(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match joined(&app, &model, &headers, body).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

async fn joined(
    app: &App,
    model: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let found = app.registry.find(model)?;
    let Some(spec) = found.model().spec.feedback.clone() else {
        let text =
            format!("model `{model}` remembers no answers: its model.toml has no [feedback]");
        return Ok(error(StatusCode::CONFLICT, text));
    };
    let deadline = Instant::now() + app.config.request_timeout;
    let body = read(headers, body, app.config.body_bytes, deadline).await?;
    let entries = entries(&body)?;
    let unreachable = |failure| Failure::State(failure);
    let state = app.rollouts.state().await.map_err(unreachable)?;
    let predictions = &app.rollouts.predictions;
    predictions.flush(app, state).await.map_err(unreachable)?;
    let mut counts = [0_u64; 4];
    for (id, said) in &entries {
        let became = predictions.join(state, &found, &spec, id, said).await;
        counts[became.map_err(unreachable)? as usize] += 1;
    }
    let of = |became| counts[became as usize];
    let body = json!({
        "joined": of(Became::Joined),
        "duplicate": of(Became::Duplicate),
        "late": of(Became::Late),
        "unknown": of(Became::Unknown),
    });
    Ok(json(StatusCode::OK, &body))
}

/// All of them, or what is wrong with the first that is wrong.
fn entries(body: &[u8]) -> Result<Vec<(String, Said)>, Failure> {
    let entries = serde_json::from_slice(body).map_err(|_| {
        Failure::Malformed(
            "feedback is {\"id\": …, \"label\": …} or {\"id\": …, \"reward\": …}, or a list of those"
                .to_owned(),
        )
    })?;
    let entries = match entries {
        Entries::One(entry) => vec![entry],
        Entries::Many(entries) => entries,
    };
    entries.into_iter().map(said).collect()
}

fn said(entry: Entry) -> Result<(String, Said), Failure> {
    let said = match (entry.label, entry.reward) {
        (None, Some(reward)) => Said::Reward(reward),
        (Some(Value::String(label)), None) => Said::Label(label),
        (Some(Value::Number(label)), None) => Said::Label(label.to_string()),
        (Some(Value::Bool(label)), None) => Said::Label(u8::from(label).to_string()),
        _ => {
            return Err(Failure::Malformed(format!(
                "the feedback for `{}` has either a label, a text, a number, true or false, or a \
                 reward, a number",
                entry.id
            )));
        }
    };
    Ok((entry.id, said))
}
