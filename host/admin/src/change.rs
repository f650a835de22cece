//! What is asked of a rollout, and by whom.

use http::HeaderMap;
use http::header::{AUTHORIZATION, IF_MATCH, IF_NONE_MATCH};
use modelet_policy::names::Version;
use modelet_policy::rollout::strategy::{self, Strategy};
use modelet_policy::rollout::{Refused, Rollout, Seen};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    Promote { full: bool },
    Pause,
    Resume,
    Abort,
    Retry,
    Undo,
}

/// What to roll out, and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    version: u64,
    /// As in `[strategy]` of `model.toml`; without it, what stands there.
    #[schema(value_type = Object)]
    strategy: Option<serde_json::Value>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Of promote: past all steps.
    full: bool,
}

/// Why there is no verb.
#[derive(Debug, PartialEq, Eq)]
pub enum NoVerb {
    Unknown(String),
    Options(String),
}

impl Verb {
    /// The last part of a path, and the body, which may be empty.
    pub fn read(name: &str, body: &[u8]) -> Result<Verb, NoVerb> {
        let options = match body.is_empty() {
            true => Ok(Options::default()),
            false => serde_json::from_slice::<Options>(body),
        };
        let options = options.map_err(|error| NoVerb::Options(format!("the body: {error}")))?;
        Ok(match name {
            "promote" => Verb::Promote { full: options.full },
            "pause" => Verb::Pause,
            "resume" => Verb::Resume,
            "abort" => Verb::Abort,
            "retry" => Verb::Retry,
            "undo" => Verb::Undo,
            other => {
                return Err(NoVerb::Unknown(format!(
                    "a rollout knows promote, pause, resume, abort, retry and undo, not {other:?}"
                )));
            }
        })
    }

    /// `id` is the name of the rollout that a retry begins.
    pub fn carry_out(
        &self,
        rollout: &mut Rollout,
        id: String,
        seen: &Seen<'_>,
    ) -> Result<Vec<String>, Refused> {
        match self {
            Verb::Promote { full } => rollout.promote(*full, seen),
            Verb::Pause => rollout.pause(),
            Verb::Resume => rollout.resume(seen),
            Verb::Abort => rollout.abort(),
            Verb::Retry => rollout.retry(id, seen),
            Verb::Undo => rollout.undo(seen),
        }
    }
}

impl Start {
    /// The version, and the strategy where one is given; or all that is wrong.
    pub fn read(body: &[u8]) -> Result<(Version, Option<Strategy>), Vec<String>> {
        let start: Start =
            serde_json::from_slice(body).map_err(|error| vec![format!("the body: {error}")])?;
        let mut errors = Vec::new();
        let version = Version::try_from(start.version);
        let version = version.map_err(|error| errors.push(error.to_string()));
        let strategy = match start.strategy.map(serde_json::from_value) {
            None => None,
            Some(Ok(typed)) => strategy::read(typed, &mut errors),
            Some(Err(error)) => {
                errors.push(format!("strategy: {error}"));
                None
            }
        };
        match version {
            Ok(version) if errors.is_empty() => Ok((version, strategy)),
            _ => Err(errors),
        }
    }
}

/// What the caller has seen: the tag in `If-Match`, or `None` for `If-None-Match: *`. The error is for a
/// caller who says neither.
pub fn seen(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(tag) = text(IF_MATCH) {
        return Ok(Some(tag.trim().trim_matches('"')));
    }
    match text(IF_NONE_MATCH) {
        Some("*") => Ok(None),
        _ => Err(
            "a change needs If-Match with the ETag that was last read, or If-None-Match: * where \
             there is nothing yet",
        ),
    }
}

/// The digest of the token that a caller shows. How long it takes to compare digests says nothing of the
/// token.
pub fn token(headers: &HeaderMap) -> Option<[u8; 32]> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
    Some(digest(shown.strip_prefix("Bearer ")?))
}

/// Of a token, as [`token`] has it.
pub fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.trim()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_one_of_six() {
        let read = |name, body: &str| Verb::read(name, body.as_bytes());
        assert_eq!(read("promote", ""), Ok(Verb::Promote { full: false }));
        let full = read("promote", r#"{"full":true}"#);
        assert_eq!(full, Ok(Verb::Promote { full: true }));
        assert_eq!(read("undo", "{}"), Ok(Verb::Undo));
        assert!(matches!(read("stop", ""), Err(NoVerb::Unknown(why)) if why.contains("\"stop\"")));
        assert!(
            matches!(read("undo", r#"{"all":1}"#), Err(NoVerb::Options(why)) if why.contains("`all`"))
        );
    }

    #[test]
    fn all_that_is_wrong_with_a_start_is_told() {
        let errors =
            Start::read(br#"{"version":0,"strategy":{"canary":{"steps":[]}}}"#).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        let (version, strategy) = Start::read(br#"{"version":2}"#).unwrap();
        assert_eq!((version.number(), strategy), (2, None));
    }

    #[test]
    fn who_changes_something_says_what_was_seen() {
        let mut headers = HeaderMap::new();
        assert!(seen(&headers).is_err());
        headers.insert(IF_NONE_MATCH, "*".parse().unwrap());
        assert_eq!(seen(&headers), Ok(None));
        headers.insert(IF_MATCH, "\"7\"".parse().unwrap());
        assert_eq!(seen(&headers), Ok(Some("7")));
    }
}
