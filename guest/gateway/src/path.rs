//! What a path names.

use percent_encoding::percent_decode_str;

/// A model, and a version where the path has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub model: String,
    pub version: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    Server,
    Live,
    Ready,
    Metadata(Named),
    ModelReady(Named),
    Infer(Named),
}

impl Path {
    /// `None`: there is nothing at this path.
    pub fn parse(path: &str) -> Option<Path> {
        let rest = path.strip_prefix("/v2")?;
        let rest = rest.strip_prefix('/').or(rest.is_empty().then_some(""))?;
        let parts: Vec<&str> = rest.split('/').collect();
        match parts[..] {
            [""] => Some(Path::Server),
            ["health", "live"] => Some(Path::Live),
            ["health", "ready"] => Some(Path::Ready),
            ["models", model] => named(model, None).map(Path::Metadata),
            ["models", model, "ready"] => named(model, None).map(Path::ModelReady),
            ["models", model, "infer"] => named(model, None).map(Path::Infer),
            ["models", model, "versions", version] => {
                named(model, Some(version)).map(Path::Metadata)
            }
            ["models", model, "versions", version, "ready"] => {
                named(model, Some(version)).map(Path::ModelReady)
            }
            ["models", model, "versions", version, "infer"] => {
                named(model, Some(version)).map(Path::Infer)
            }
            _ => None,
        }
    }

    /// The model that it is about.
    pub fn model(&self) -> Option<&str> {
        match self {
            Path::Server | Path::Live | Path::Ready => None,
            Path::Metadata(named) | Path::ModelReady(named) | Path::Infer(named) => {
                Some(&named.model)
            }
        }
    }

    pub fn method(&self) -> http::Method {
        match self {
            Path::Infer(_) => http::Method::POST,
            _ => http::Method::GET,
        }
    }
}

fn named(model: &str, version: Option<&str>) -> Option<Named> {
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().ok()?;
        (!text.is_empty()).then(|| text.into_owned())
    };
    Some(Named {
        model: decoded(model)?,
        version: match version {
            Some(version) => Some(decoded(version)?),
            None => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_models_and_versions() {
        let iris = |version: Option<&str>| Named {
            model: "iris".to_owned(),
            version: version.map(str::to_owned),
        };
        for (path, expected) in [
            ("/v2", Some(Path::Server)),
            ("/v2/", Some(Path::Server)),
            ("/v2/health/ready", Some(Path::Ready)),
            ("/v2/models/iris", Some(Path::Metadata(iris(None)))),
            (
                "/v2/models/iris/versions/new%20one/infer",
                Some(Path::Infer(iris(Some("new one")))),
            ),
            ("/v2/models/iris/versions//infer", None),
            ("/v2/models/%ff/infer", None),
            ("/v2/models/iris/infer/", None),
            ("/v2models/iris", None),
            ("/v1/models/iris", None),
            ("/", None),
        ] {
            assert_eq!(Path::parse(path), expected, "{path}");
        }
    }
}
