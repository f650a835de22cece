//! The calls that run no model, and what is said before a body is read.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, StatusCode};
use modelet_protocol::rest::metadata::{ModelMetadata, ModelReady, ServerMetadata};
use serde_json::json;

use crate::application::Served;
use crate::path::{Named, Path};
use crate::reply::{Failure, Reply, error, json};

/// What a gateway does beyond the protocol.
const EXTENSIONS: [&str; 2] = ["binary_tensor_data", "parameters"];

/// As Triton calls such models.
const PLATFORM: &str = "onnx_onnxv1";

/// What follows from a request's head.
pub enum Begun {
    Reply(Reply),
    /// The body is to be read: a model is asked.
    Infer(Named),
}

pub fn begin(served: &Served, method: &Method, path: &str, headers: &HeaderMap) -> Begun {
    let Some(parsed) = Path::parse(path) else {
        let text = format!("there is nothing at {path}");
        return Begun::Reply(error(StatusCode::NOT_FOUND, text));
    };
    let wanted = parsed.method();
    if *method != wanted && !(*method == Method::HEAD && wanted == Method::GET) {
        let text = format!("{path} does not take {method}");
        return Begun::Reply(error(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    Begun::Reply(match parsed {
        Path::Server => server(),
        Path::Live => json(StatusCode::OK, &json!({"live": true})),
        Path::Ready => json(StatusCode::OK, &json!({"ready": true})),
        Path::Metadata(named) => metadata(served, &named).unwrap_or_else(|it| it.reply()),
        Path::ModelReady(named) => ready(served, named),
        Path::Infer(named) => match check(served, &named, headers) {
            Ok(()) => return Begun::Infer(named),
            Err(failure) => failure.reply(),
        },
    })
}

/// A name that nobody serves costs no memory.
fn check(served: &Served, named: &Named, headers: &HeaderMap) -> Result<(), Failure> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|it| *it != "identity") {
        return Err(Failure::Encoding(format!("{encoding:?}")));
    }
    served
        .deployment
        .resolve(&named.model, named.version.as_deref())?;
    Ok(())
}

fn server() -> Reply {
    let metadata = ServerMetadata {
        name: "modelet".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: EXTENSIONS.map(str::to_owned).to_vec(),
    };
    json(StatusCode::OK, &metadata)
}

fn metadata(served: &Served, named: &Named) -> Result<Reply, Failure> {
    let deployment = &served.deployment;
    let version = deployment.resolve(&named.model, named.version.as_deref())?;
    let not_ready = || Failure::NotReady(named.model.clone());
    let name = named.model.parse().map_err(|_| not_ready())?;
    let modelet = version.and_then(|version| served.modelet(&name, version));
    let signature = &modelet.ok_or_else(not_ready)?.signature;
    let versions = deployment.versions(&name).map(|it| it.to_string());
    let metadata = ModelMetadata::new(&named.model, versions.collect(), PLATFORM, signature);
    Ok(json(StatusCode::OK, &metadata))
}

fn ready(served: &Served, named: Named) -> Reply {
    let deployment = &served.deployment;
    match deployment.resolve(&named.model, named.version.as_deref()) {
        Ok(version) => {
            let (status, ready) = match version {
                Some(_) => (StatusCode::OK, true),
                None => (StatusCode::SERVICE_UNAVAILABLE, false),
            };
            let name = named.model;
            json(status, &ModelReady { name, ready })
        }
        Err(unknown) => Failure::from(unknown).reply(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::application::tests::served;

    fn check(method: Method, path: &str, status: u16) -> Value {
        let served = served(&json!({"labels": {"old": 1}}));
        let Begun::Reply(reply) = begin(&served, &method, path, &HeaderMap::new()) else {
            panic!("{path} wants a body");
        };
        assert_eq!(reply.status(), status, "{path}");
        serde_json::from_slice(reply.body()).unwrap()
    }

    #[test]
    fn what_runs_no_model_is_answered_at_once() {
        let get = |path, status| check(Method::GET, path, status);
        assert_eq!(get("/v2", 200)["name"], "modelet");
        assert_eq!(get("/v2/health/live", 200)["live"], true);
        let metadata = get("/v2/models/m/versions/old", 200);
        assert_eq!(metadata["versions"], json!(["1", "2"]));
        assert_eq!(metadata["inputs"][0]["shape"], json!([1]));
        assert_eq!(get("/v2/models/m/ready", 200)["ready"], true);
        assert_eq!(get("/v2/models/n", 404)["error"], "there is no model `n`");
        let version = get("/v2/models/m/versions/3/ready", 404);
        assert_eq!(version["error"], "model `m` has no version `3`");
        let wrong = get("/v2/models/m/infer", 405);
        assert_eq!(wrong["error"], "/v2/models/m/infer does not take GET");
        let nothing = check(Method::POST, "/v2/models/n/infer", 404);
        assert_eq!(nothing["error"], "there is no model `n`");
    }

    #[test]
    fn a_body_is_read_for_a_model_that_is_there() {
        let served = served(&json!({}));
        let begun = |headers: &HeaderMap| {
            let path = "/v2/models/m/infer";
            begin(&served, &Method::POST, path, headers)
        };
        assert!(matches!(begun(&HeaderMap::new()), Begun::Infer(_)));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, "br".parse().unwrap());
        let Begun::Reply(reply) = begun(&headers) else {
            panic!("what is compressed is not read");
        };
        assert_eq!(reply.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
