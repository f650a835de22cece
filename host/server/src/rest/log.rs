//! One log line per request, and the id that ties it to the caller's.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;

const REQUEST_ID: &str = "x-request-id";

/// Takes the caller's request id or makes one, and gives it back with the answer.
pub async fn log(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = request
        .headers()
        .get(REQUEST_ID)
        .cloned()
        .unwrap_or_else(fresh);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    tracing::info!(
        %method,
        path = uri.path(),
        status = response.status().as_u16(),
        duration_us = start.elapsed().as_micros() as u64,
        request_id = %String::from_utf8_lossy(id.as_bytes()),
        "request"
    );
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn fresh() -> HeaderValue {
    HeaderValue::try_from(uuid::Uuid::new_v4().to_string())
        .expect("a UUID is written in hexadecimal digits and dashes")
}
