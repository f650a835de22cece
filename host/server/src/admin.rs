//! `/admin/v1`: how people and programs steer rollouts.
//!
//! On a listener of its own. Every change names the revision that it was decided from, so that nobody
//! undoes unseen what somebody else did, and stands in the audit log with who made it.

mod access;
mod rollout;
mod spec;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::ETAG;
use modelet_admin::change;
use serde_json::json;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::respond::{self, error};
use crate::rollouts::ChangeError;

/// The largest body of a request, in bytes.
const BODY_BYTES: usize = 1 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "modelet admin API",
    description = "Roll out versions of models. A change carries the ETag that was last read in \
                   `If-Match`."
))]
struct Description;

pub fn router(app: Arc<App>) -> Router {
    let (router, document) = described();
    let document = Arc::new(document);
    let openapi = get(move || async move { respond::json(StatusCode::OK, &*document) });
    router
        .route("/admin/v1/openapi.json", openapi)
        .fallback(async || error(StatusCode::NOT_FOUND, "there is nothing here"))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state(app.clone(), access::check))
        .with_state(app)
}

fn described() -> (Router<Arc<App>>, Document) {
    let (router, mut document) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(health))
        .routes(routes!(rollout::models))
        .routes(routes!(rollout::status, rollout::start))
        .routes(routes!(rollout::change))
        .routes(routes!(rollout::history))
        .routes(routes!(spec::read, spec::write))
        .split_for_parts();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", bearer);
    (router, document)
}

/// Whether the database can be reached.
#[utoipa::path(get, path = "/admin/v1/health", responses(
    (status = 200, description = "The database can be reached", body = view::Health),
    (status = 503, description = "It cannot, and rollouts stay as they are", body = view::Health),
))]
async fn health(State(app): State<Arc<App>>) -> Response {
    let trouble = app.rollouts.trouble();
    let status = match trouble {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    respond::json(status, &view::Health { trouble })
}

/// A body with the tag of what it shows.
fn tagged(tag: &str, mut response: Response) -> Response {
    if let Ok(tag) = format!("\"{tag}\"").parse() {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Why a request is turned down: everything that is wrong with it, at once.
struct Refusal {
    status: StatusCode,
    errors: Vec<String>,
}

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Refusal {
        Refusal {
            status,
            errors: vec![error.into()],
        }
    }
}

impl From<modelet_store::StateError> for Refusal {
    fn from(error: modelet_store::StateError) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal { status, errors } = self;
        respond::json(
            status,
            &json!({"error": errors.join("; "), "errors": errors}),
        )
    }
}

/// What the caller has seen; `None` where there was nothing.
fn seen(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let seen = change::seen(headers);
    let seen = seen.map_err(|why| Refusal::new(StatusCode::PRECONDITION_REQUIRED, why));
    Ok(seen?.map(str::to_owned))
}

impl IntoResponse for ChangeError {
    fn into_response(self) -> Response {
        use modelet_store::StateError;
        let status = match &self {
            ChangeError::Resolve(crate::registry::ResolveError::NotReady { .. })
            | ChangeError::Resolve(crate::registry::ResolveError::NotLoaded { .. })
            | ChangeError::Refused(_)
            | ChangeError::Start(_) => StatusCode::CONFLICT,
            ChangeError::Resolve(_) | ChangeError::NoRollout(_) => StatusCode::NOT_FOUND,
            ChangeError::Stale { .. } | ChangeError::State(StateError::Conflict(_)) => {
                StatusCode::PRECONDITION_FAILED
            }
            ChangeError::State(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        error(status, self.to_string())
    }
}
