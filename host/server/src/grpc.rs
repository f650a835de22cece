//! The gRPC API: the same calls over the same request path.

mod convert;
mod service;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::app::App;
use crate::request::Failure;
use proto::grpc_inference_service_server::GrpcInferenceServiceServer;

/// Generated from `proto/open_inference.proto`.
mod proto {
    #![allow(
        clippy::all,
        clippy::unwrap_used,
        clippy::allow_attributes_without_reason,
        unused_qualifications,
        reason = "generated code"
    )]

    tonic::include_proto!("inference");
}

/// What the health service knows: the whole server, and its one service.
const SERVICES: [&str; 2] = ["", "inference.GRPCInferenceService"];

/// The inference and health services; the reporter tells the latter how the server is.
pub fn router(app: Arc<App>) -> (Router, Health) {
    let limit = app.config.body_bytes;
    let mut inference = GrpcInferenceServiceServer::new(service::Service { app: app.clone() })
        .max_decoding_message_size(limit)
        .max_encoding_message_size(usize::MAX);
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
        inference = inference
            .accept_compressed(encoding)
            .send_compressed(encoding);
    }
    let (reporter, health) = health_reporter();
    let router = Routes::new(inference)
        .add_service(health)
        .into_axum_router()
        .layer(from_fn_with_state(app, in_time))
        // What neither API knows is answered in one place.
        .reset_fallback();
    (router, Health(reporter))
}

/// A call has a deadline of its own once its message is there; this one is for messages that do
/// not come. Streams answer at once and are not bounded.
async fn in_time(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let limit = app.config.request_timeout + Duration::from_secs(1);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => tonic::Status::from(Failure::SlowBody)
            .into_http::<axum::body::Body>()
            .into_response(),
    }
}

/// The standard health service's view of this server.
pub struct Health(HealthReporter);

impl Health {
    pub async fn report(&self, ready: bool) {
        let status = if ready {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }

    /// Says for the last time how the server is, and ends the streams of those who watch.
    pub async fn close(&self) {
        self.report(false).await;
        for service in SERVICES {
            self.0.clone().clear_service_status(service).await;
        }
    }
}
