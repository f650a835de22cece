//! The gRPC API: the same calls over the same request path.

mod convert;
mod service;

use std::sync::Arc;

use axum::Router;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::app::App;
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

/// The inference and health services; the reporter tells the latter how the server is.
pub fn router(app: Arc<App>) -> (Router, Health) {
    let limit = app.config.body_bytes;
    let mut inference = GrpcInferenceServiceServer::new(service::Service { app })
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
        // What neither API knows is answered in one place.
        .reset_fallback();
    (router, Health(reporter))
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
        for service in ["", "inference.GRPCInferenceService"] {
            self.0.set_service_status(service, status).await;
        }
    }
}
