//! The admin API: a rollout is looked at and steered as a server's is, by who has the token.

use std::time::Duration;

use http::header::{ETAG, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use modelet_admin::change::{self, NoVerb, Verb};
use modelet_admin::view::{EntryView, RolloutView};
use modelet_policy::names::ModelName;
use modelet_policy::rollout::kept::{Entry, Kept};
use percent_encoding::percent_decode_str;

use crate::inference::Instance;
use crate::reply::{Reply, error, json};
use crate::rollouts::with_seen;

/// Who has the token, in the history.
const WHO: &str = "admin";

/// What is asked of a model's rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub model: ModelName,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Status,
    History,
    Start,
    Verb(String),
}

impl Asked {
    /// `None` for a request that is none of the admin API. `token` is what the host was given; without it
    /// there is no such API. The error is the answer.
    pub fn parse(
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        token: impl FnOnce() -> Option<String>,
    ) -> Option<Result<Asked, Reply>> {
        let rest = path.strip_prefix("/admin/v1/models/")?;
        let token = token().filter(|token| !token.trim().is_empty())?;
        if change::token(headers) != Some(change::digest(&token)) {
            let text = "Authorization: Bearer with the token of this gateway is needed";
            return Some(Err(error(StatusCode::UNAUTHORIZED, text.to_owned())));
        }
        let parts: Vec<&str> = rest.split('/').collect();
        let (model, what) = match (method.as_str(), &parts[..]) {
            ("GET" | "HEAD", [model, "rollout"]) => (model, What::Status),
            ("GET" | "HEAD", [model, "history"]) => (model, What::History),
            ("POST", [model, "rollout"]) => (model, What::Start),
            ("POST", [model, "rollout", verb]) => (model, What::Verb((*verb).to_owned())),
            _ => {
                let text = format!("there is no {method} at {path}");
                return Some(Err(error(StatusCode::NOT_FOUND, text)));
            }
        };
        let name = percent_decode_str(model).decode_utf8_lossy().parse();
        Some(match name {
            Ok(model) => Ok(Asked { model, what }),
            Err(_) => Err(error(
                StatusCode::NOT_FOUND,
                format!("there is no model `{model}`"),
            )),
        })
    }

    /// The answer, and whether something was changed that all are to know. What all have kept was read
    /// just now.
    pub fn answer(
        &self,
        instance: &mut Instance,
        headers: &HeaderMap,
        body: &[u8],
        now: Duration,
    ) -> (Reply, bool) {
        match self.change(instance, headers, body, now) {
            Ok(changed) => (self.show(instance), changed),
            Err((status, why)) => (error(status, why), false),
        }
    }

    fn change(
        &self,
        instance: &mut Instance,
        headers: &HeaderMap,
        body: &[u8],
        now: Duration,
    ) -> Result<bool, Refusal> {
        let Instance { served, memory } = instance;
        let model = &self.model;
        let no_rollout = || {
            let text = format!("model `{model}` has no rollout");
            (StatusCode::NOT_FOUND, text)
        };
        let mut kept = memory.rollout(model).ok_or_else(no_rollout)?.clone();
        let name = match &self.what {
            What::Status | What::History => return Ok(false),
            What::Start => {
                let text = "a gateway begins a rollout when it is deployed with a higher version; \
                            what was aborted is tried again with retry";
                return Err((StatusCode::CONFLICT, text.to_owned()));
            }
            What::Verb(name) => name,
        };
        let verb = Verb::read(name, body).map_err(|no_verb| match no_verb {
            NoVerb::Unknown(why) => (StatusCode::NOT_FOUND, why),
            NoVerb::Options(why) => (StatusCode::BAD_REQUEST, why),
        })?;
        check_seen(headers, &kept)?;
        let id = kept.next_id();
        let changed = with_seen(served, memory, model, now, |seen| {
            kept.change(WHO, seen, memory.number(), |rollout| {
                verb.carry_out(rollout, id, seen)
            })
        });
        changed.map_err(|refused| (StatusCode::CONFLICT, refused.to_string()))?;
        served.follow(model, &kept);
        memory.set_rollout(model, kept);
        Ok(true)
    }

    fn show(&self, instance: &Instance) -> Reply {
        let memory = &instance.memory;
        let Some(kept) = memory.rollout(&self.model) else {
            // Whoever shows has found one.
            return error(StatusCode::INTERNAL_SERVER_ERROR, "it is gone".to_owned());
        };
        if self.what == What::History {
            let entries: Vec<EntryView> = kept.history().map(entry).collect();
            return json(StatusCode::OK, &entries);
        }
        let evidence = memory.evidence(&self.model);
        let revision = revision(kept);
        let view = RolloutView::new(&self.model, revision, kept.rollout(), &evidence);
        let mut reply = json(StatusCode::OK, &view);
        if let Ok(tag) = HeaderValue::try_from(format!("\"{revision}\"")) {
            reply.headers_mut().insert(ETAG, tag);
        }
        reply
    }
}

/// A status that is no success, and why.
type Refusal = (StatusCode, String);

fn check_seen(headers: &HeaderMap, kept: &Kept) -> Result<(), Refusal> {
    let seen = change::seen(headers);
    let seen = seen.map_err(|why| (StatusCode::PRECONDITION_REQUIRED, why.to_owned()))?;
    let is = revision(kept);
    match seen.map(str::parse::<i64>) {
        Some(Ok(seen)) if seen == is => Ok(()),
        _ => {
            let text = format!(
                "the rollout is at revision {is} and not {}: somebody else has changed it; look again",
                seen.unwrap_or("0")
            );
            Err((StatusCode::PRECONDITION_FAILED, text))
        }
    }
}

fn revision(kept: &Kept) -> i64 {
    i64::try_from(kept.revision()).unwrap_or(i64::MAX)
}

fn entry(entry: &Entry) -> EntryView {
    let revision = i64::try_from(entry.revision).unwrap_or(i64::MAX);
    let (who, what) = (entry.who.clone(), entry.what.clone());
    let counts = (entry.stable, entry.canary);
    EntryView::new(revision, entry.at, who, what, counts)
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, IF_MATCH};
    use serde_json::{Value, json};

    use super::*;
    use crate::application::tests::served;
    use crate::memory::Memory;
    use crate::rollouts::follow;

    const NOW: Duration = Duration::from_secs(100);
    const TOKEN: &str = "open sesame";

    fn headers(fields: &[(http::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    /// A gateway that is rolling out version 2 of `m`.
    fn instance() -> Instance {
        let policy = json!({
            "versions": {"default": 1},
            "strategy": {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}]}},
        });
        let mut instance = Instance {
            served: served(&policy),
            memory: Memory::default(),
        };
        follow(&mut instance, &"m".parse().unwrap(), NOW);
        instance
    }

    fn ask(
        instance: &mut Instance,
        method: &Method,
        path: &str,
        tag: Option<&str>,
    ) -> (u16, Value, bool) {
        let mut fields = vec![(AUTHORIZATION, "Bearer open sesame")];
        fields.extend(tag.map(|tag| (IF_MATCH, tag)));
        let headers = headers(&fields);
        let path = format!("/admin/v1/models/{path}");
        let asked = Asked::parse(method, &path, &headers, || Some(TOKEN.to_owned())).unwrap();
        let (reply, changed) = match asked {
            Ok(asked) => asked.answer(instance, &headers, b"", NOW),
            Err(reply) => (reply, false),
        };
        let body = serde_json::from_slice(reply.body()).unwrap();
        (reply.status().as_u16(), body, changed)
    }

    #[test]
    fn who_has_no_token_is_told_nothing() {
        let path = "/admin/v1/models/m/rollout";
        let parse = |headers: &HeaderMap, token: Option<&str>| {
            let token = token.map(str::to_owned);
            Asked::parse(&Method::GET, path, headers, || token)
        };
        let none = headers(&[]);
        assert!(parse(&none, None).is_none());
        assert!(parse(&none, Some(" ")).is_none());
        for shown in ["Bearer ", "Bearer open", "open sesame"] {
            let wrong = headers(&[(AUTHORIZATION, shown)]);
            let reply = parse(&wrong, Some(TOKEN)).unwrap().unwrap_err();
            assert_eq!(reply.status(), 401, "{shown}");
        }
        let right = headers(&[(AUTHORIZATION, "Bearer open sesame")]);
        assert!(parse(&right, Some(TOKEN)).unwrap().is_ok());
    }

    #[test]
    fn a_rollout_is_shown_and_steered() {
        let mut instance = instance();
        let (get, post) = (&Method::GET, &Method::POST);
        let (status, view, changed) = ask(&mut instance, get, "m/rollout", None);
        assert_eq!(
            (status, &view["phase"], changed),
            (200, &json!("Paused"), false)
        );
        assert_eq!(view["weights"], json!({"1": 90.0, "2": 10.0}));
        let tag = view["revision"].to_string();
        let (status, view, changed) = ask(&mut instance, post, "m/rollout/promote", Some(&tag));
        assert_eq!(
            (status, &view["phase"], changed),
            (200, &json!("Healthy"), true)
        );
        assert_eq!(view["stable"], 2);
        let default = instance.served.deployment.resolve("m", None);
        assert_eq!(default.unwrap().unwrap().number(), 2);
        let (status, ..) = ask(&mut instance, post, "m/rollout/undo", Some(&tag));
        assert_eq!(status, 412, "somebody was faster");
        let tag = view["revision"].to_string();
        let (_, view, _) = ask(&mut instance, post, "m/rollout/undo", Some(&tag));
        assert_eq!((&view["stable"], &view["previous"]), (&json!(1), &json!(2)));
        let (_, history, _) = ask(&mut instance, get, "m/history", None);
        assert_eq!(history[0]["what"], "back to version 1");
        assert_eq!(history[0]["who"], "admin");
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let mut instance = instance();
        let mut check = |method: Method, path: &str, tag, expected: u16, text: &str| {
            let (status, body, changed) = ask(&mut instance, &method, path, tag);
            let error = body["error"].as_str().unwrap();
            assert_eq!((status, changed), (expected, false), "{error}");
            assert!(error.contains(text), "{error}");
        };
        check(
            Method::GET,
            "n/rollout",
            None,
            404,
            "model `n` has no rollout",
        );
        check(Method::GET, "other/rollout", None, 404, "has no rollout");
        check(Method::GET, "m", None, 404, "there is no GET at");
        check(Method::GET, "%00/rollout", None, 404, "there is no model");
        check(
            Method::POST,
            "m/rollout",
            None,
            409,
            "tried again with retry",
        );
        check(Method::POST, "m/rollout/stop", None, 404, "not \"stop\"");
        check(Method::POST, "m/rollout/abort", None, 428, "If-Match");
        check(
            Method::POST,
            "m/rollout/abort",
            Some("x"),
            412,
            "look again",
        );
    }
}
