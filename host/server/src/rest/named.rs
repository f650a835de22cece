//! What a path names.

use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use http::request::Parts;
use serde::Deserialize;

use crate::respond::error;

/// A model, and a version where the path has one.
#[derive(Deserialize)]
pub struct Named {
    pub model: String,
    pub version: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named, Response> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(named),
            // By itself this would be plain text, which clients of the protocol cannot read.
            Err(rejection) => Err(error(rejection.status(), rejection.body_text())),
        }
    }
}
