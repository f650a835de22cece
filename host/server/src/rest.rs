//! The routes of the REST API, and what all of them share.

mod feedback;
pub mod infer;
mod metrics;
mod models;
mod named;
pub mod repository;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use modelet_protocol::rest::metadata::ServerMetadata;
use serde_json::json;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;

use crate::app::App;
use crate::respond::{error, json};

/// What this server does beyond the protocol.
pub const EXTENSIONS: [&str; 5] = [
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
];

pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/stats", get(models::all_statistics))
        .route("/v2/models/{model}", get(models::metadata))
        .route("/v2/models/{model}/ready", get(models::ready))
        .route("/v2/models/{model}/config", get(models::config))
        .route("/v2/models/{model}/stats", get(models::statistics))
        .route("/v2/models/{model}/infer", post(infer::infer))
        .route("/v2/models/{model}/feedback", post(feedback::feedback))
        .route(
            "/v2/models/{model}/versions/{version}",
            get(models::metadata),
        )
        .route(
            "/v2/models/{model}/versions/{version}/ready",
            get(models::ready),
        )
        .route(
            "/v2/models/{model}/versions/{version}/config",
            get(models::config),
        )
        .route(
            "/v2/models/{model}/versions/{version}/stats",
            get(models::statistics),
        )
        .route(
            "/v2/models/{model}/versions/{version}/infer",
            post(infer::infer),
        )
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/models/{model}/load", post(repository::load))
        .route(
            "/v2/repository/models/{model}/unload",
            post(repository::unload),
        )
        .route("/metrics", get(metrics::metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
        .layer(
            ServiceBuilder::new()
                .layer(CatchPanicLayer::custom(panicked))
                .layer(CompressionLayer::new())
                // An encoding that is not known stays on the request, where the body's reader refuses it.
                .layer(RequestDecompressionLayer::new().pass_through_unaccepted(true)),
        )
}

async fn server() -> Response {
    json(
        StatusCode::OK,
        &ServerMetadata {
            name: "modelet".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        },
    )
}

async fn live() -> Response {
    json(StatusCode::OK, &json!({"live": true}))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = app.is_ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    // Without it models are served and nothing is rolled out.
    let state = match app.rollouts.trouble() {
        None => "reachable",
        Some(_) => "unreachable",
    };
    json(status, &json!({"ready": ready, "state": state}))
}

async fn unknown(headers: HeaderMap, request: Request) -> Response {
    let grpc = headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if grpc {
        let status = tonic::Status::unimplemented("there is no such service here");
        return status.into_http::<axum::body::Body>().into_response();
    }
    error(
        StatusCode::NOT_FOUND,
        format!("there is nothing at {}", request.uri().path()),
    )
}

async fn wrong_method(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{path} does not take {method}"),
    )
}

/// The last resort: one request's mistake of ours must not end the connection without a word.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the server failed on this request",
    )
}
