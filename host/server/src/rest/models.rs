//! What models are: metadata, readiness, configuration, statistics.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use modelet_protocol::rest::metadata::{ModelMetadata, ModelReady};
use modelet_protocol::{Datatype, TensorSpec};
use serde_json::{Value, json};

use super::named::Named;
use crate::app::App;
use crate::registry::{Ready, ResolveError};
use crate::request::Failure;
use crate::respond;

pub async fn metadata(State(app): State<Arc<App>>, named: Named) -> Response {
    match resolve(&app, &named) {
        Ok(ready) => {
            let model = ready.model.as_str();
            let versions = app.registry.versions(model);
            let metadata = ModelMetadata::new(model, versions, ready.platform(), ready.signature());
            respond::json(StatusCode::OK, &metadata)
        }
        Err(failure) => failure.into_response(),
    }
}

pub async fn ready(State(app): State<Arc<App>>, named: Named) -> Response {
    let resolved = resolve(&app, &named);
    let name = named.model;
    match resolved {
        Ok(_) => respond::json(StatusCode::OK, &ModelReady { name, ready: true }),
        Err(Failure::Resolve(ResolveError::NotReady { .. })) => {
            let body = ModelReady { name, ready: false };
            respond::json(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
        Err(failure) => failure.into_response(),
    }
}

pub async fn config(State(app): State<Arc<App>>, named: Named) -> Response {
    match resolve(&app, &named) {
        Ok(ready) => respond::json(StatusCode::OK, &configuration(&ready)),
        Err(failure) => failure.into_response(),
    }
}

pub async fn statistics(State(app): State<Arc<App>>, named: Named) -> Response {
    match resolve(&app, &named) {
        Ok(ready) if named.version.is_some() => stats(&[ready]),
        Ok(ready) => {
            let mut all = app.registry.all_ready();
            all.retain(|other| other.model == ready.model);
            stats(&all)
        }
        Err(failure) => failure.into_response(),
    }
}

pub async fn all_statistics(State(app): State<Arc<App>>) -> Response {
    stats(&app.registry.all_ready())
}

fn stats(ready: &[Arc<Ready>]) -> Response {
    let entries: Vec<Value> = ready
        .iter()
        .map(|ready| {
            ready
                .statistics
                .json(ready.model.as_str(), &ready.version.to_string())
        })
        .collect();
    respond::json(StatusCode::OK, &json!({"model_stats": entries}))
}

fn resolve(app: &App, named: &Named) -> Result<Arc<Ready>, Failure> {
    let version = named.version.as_deref();
    Ok(app.registry.resolve(&named.model, version)?)
}

/// The part of a model's configuration that clients read.
fn configuration(ready: &Ready) -> Value {
    let tensor = |spec: &TensorSpec| {
        let data_type = match spec.datatype {
            Datatype::Bytes => "TYPE_STRING".to_owned(),
            datatype => format!("TYPE_{datatype}"),
        };
        json!({"name": spec.name, "data_type": data_type, "dims": spec.wire_shape()})
    };
    let signature = ready.signature();
    json!({
        "name": ready.model,
        "platform": ready.platform(),
        "backend": "modelet",
        "max_batch_size": 0,
        "input": signature.inputs.iter().map(tensor).collect::<Vec<_>>(),
        "output": signature.outputs.iter().map(tensor).collect::<Vec<_>>(),
    })
}
