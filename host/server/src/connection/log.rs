//! One log line per request, and the id that ties it to the caller's.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::response::Response;
use http::HeaderValue;
use tower::Service as _;

use crate::registry::Ready;

/// Names a request, across all who have to do with it.
pub const REQUEST_ID: &str = "x-request-id";

/// The target of the lines, by which they are told from all others.
pub const TARGET: &str = module_path!();

/// Takes the caller's request id or makes one, and gives it back with the answer. An answer whose
/// extensions have the version that gave it is logged with that.
pub async fn answer(mut router: Router, mut request: Request) -> Result<Response, Infallible> {
    let start = Instant::now();
    let id = request
        .headers()
        .get(REQUEST_ID)
        .cloned()
        .unwrap_or_else(fresh);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    // A router is always ready.
    let Ok(mut response) = router.call(request).await;
    let ready = response.extensions().get::<Arc<Ready>>();
    let grpc_status = response.headers().get("grpc-status");
    tracing::info!(
        %method,
        path = uri.path(),
        model = ready.map(|ready| ready.model.as_str()),
        version = ready.map(|ready| ready.version.number()),
        status = response.status().as_u16(),
        grpc_status = grpc_status.and_then(|status| status.to_str().ok()),
        bytes = response.body().size_hint().exact(),
        duration_us = start.elapsed().as_micros() as u64,
        request_id = %String::from_utf8_lossy(id.as_bytes()),
        "request"
    );
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response)
}

fn fresh() -> HeaderValue {
    HeaderValue::try_from(uuid::Uuid::new_v4().to_string())
        .expect("a UUID is written in hexadecimal digits and dashes")
}
