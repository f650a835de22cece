//! From what a request says of itself to the version that is asked first.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::COOKIE;
use modelet_policy::fallback::Target;
use modelet_policy::routing::{self, Sticky, Why};

use crate::app::App;
use crate::attempt::Candidate;
use crate::attempt::remote::FORWARDED;
use crate::connection::REQUEST_ID;
use crate::registry::{Found, Ready, ResolveError};
use crate::request::Failure;
use crate::rollouts::live::Live;

/// Names a version, or a label, where the path does not.
const VERSION_HEADER: &str = "modelet-version";

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// What a request says of itself, beside its tensors.
pub struct Asked<'a> {
    /// What its path or its message names.
    pub version: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub parameter: &'a dyn Fn(&str) -> Option<String>,
    pub peer: Option<Peer>,
}

/// A request's model, and who is asked first.
pub struct Route {
    pub found: Found,
    pub first: Result<Arc<Ready>, Failure>,
    /// Whether the caller chose the version, and so wants no other.
    pub pinned: bool,
    /// Whether another server sent it here because it could not answer itself.
    pub forwarded: bool,
    /// The rollout that this request is evidence for.
    pub evidence: Option<Arc<Live>>,
    /// Who answers it too, unseen.
    pub mirror: Option<(Candidate, Arc<Live>)>,
}

impl Route {
    pub fn new(app: &App, found: Found, asked: &Asked<'_>) -> Route {
        let header = |name: &str| asked.headers.get(name)?.to_str().ok();
        let named = asked.version.filter(|version| !version.is_empty());
        let in_header = || header(VERSION_HEADER).filter(|version| !version.is_empty());
        match named.or_else(in_header) {
            Some(version) => Route::pinned(found, version),
            None => Route::chosen(app, found, asked, header),
        }
    }

    fn pinned(found: Found, version: &str) -> Route {
        let first = found.named(version);
        let rollout = found.model().rollout.clone();
        let evidence = rollout.filter(|live| {
            let is_canary = |ready: &Arc<Ready>| ready.version == live.saved.rollout.canary;
            live.counts_unweighted() && first.as_ref().is_ok_and(is_canary)
        });
        Route {
            first: first.map_err(Failure::from),
            found,
            pinned: true,
            forwarded: false,
            evidence,
            mirror: None,
        }
    }

    fn chosen<'a>(
        app: &App,
        found: Found,
        asked: &Asked<'_>,
        header: impl Fn(&str) -> Option<&'a str>,
    ) -> Route {
        let now = app.now();
        let model = found.model();
        let willing = |ready: &&Arc<Ready>| ready.breaker.is_willing(now);
        let willing = model.ready().filter(willing).map(|ready| ready.version);
        let willing: Vec<_> = willing.collect();
        let key = key(&found, asked);
        let routed = routing::route(&model.spec, willing.iter().copied(), &header, key);
        let first = match routed {
            Some((version, _)) => found.ready(version).map_err(Failure::from),
            None => {
                let ready = model.ready().map(|ready| ready.version);
                let ready: Vec<_> = ready.collect();
                let kept_away = routing::route(&model.spec, ready.iter().copied(), &header, key);
                Err(nobody(&found, kept_away.is_some()))
            }
        };
        // Where a version was passed over, the shares are not those of the weights.
        let mut weighted = model.spec.traffic.weights.iter();
        let is_fair = weighted.all(|(version, parts)| *parts == 0 || willing.contains(version));
        let by_weight = matches!(routed, Some((_, Why::Weight)));
        Route {
            first,
            pinned: false,
            forwarded: asked.headers.contains_key(FORWARDED),
            evidence: model.rollout.clone().filter(|_| by_weight && is_fair),
            mirror: mirror(&found, key),
            found,
        }
    }
}

/// The version that this request is mirrored to.
fn mirror(found: &Found, key: u64) -> Option<(Candidate, Arc<Live>)> {
    let model = found.model();
    let mirror = model
        .spec
        .traffic
        .mirror
        .filter(|mirror| mirror.takes(key))?;
    let candidate = Candidate {
        ready: found.ready(mirror.version).ok()?,
        spec: model.spec.clone(),
    };
    Some((candidate, model.rollout.clone()?))
}

/// Who stands for `target` of the model's plan at this moment.
pub fn candidate(app: &App, found: &Found, target: &Target) -> Result<Candidate, Failure> {
    let of = |found: &Found, ready: Result<Arc<Ready>, ResolveError>| -> Result<_, Failure> {
        Ok(Candidate {
            ready: ready?,
            spec: found.model().spec.clone(),
        })
    };
    match target {
        Target::Version(which) => match which.version(&found.model().spec.labels) {
            Some(version) => of(found, found.ready(version)),
            None => {
                let reason = "no rollout has said which version its label stands for";
                Err(found.not_ready(Some(reason)).into())
            }
        },
        Target::Model { name, version } => {
            let other = app.registry.find(name.as_str())?;
            let ready = match version {
                Some(version) => other.ready(*version),
                None => other.default(),
            };
            of(&other, ready)
        }
        Target::Remote(_) | Target::Static(_) => Err(Failure::Internal(
            "that is no version of this server".to_owned(),
        )),
    }
}

/// Why no version may be asked: one is kept away by its breaker, or none is ready.
fn nobody(found: &Found, kept_away: bool) -> Failure {
    if kept_away {
        return Failure::BreakerOpen {
            model: found.name.to_string(),
        };
    }
    let spec = &found.model().spec;
    let missing = match (spec.versions.default, spec.traffic.weights.is_empty()) {
        (Some(version), true) => format!("version {version}, which is to answer, is not loaded"),
        _ => "no version that has a weight is loaded".to_owned(),
    };
    let reason = found.model().reason();
    found.not_ready(Some(reason.unwrap_or(&missing))).into()
}

/// The number that decides between weights.
fn key(found: &Found, asked: &Asked<'_>) -> u64 {
    let traffic = &found.model().spec.traffic;
    if traffic.weights.is_empty() && traffic.mirror.is_none() {
        return 0;
    }
    let header = |name: &str| Some(asked.headers.get(name)?.as_bytes().to_vec());
    let sticky = traffic.sticky.as_ref().and_then(|sticky| match sticky {
        Sticky::Header(name) => header(name),
        Sticky::Cookie(name) => cookie(asked.headers, name),
        Sticky::Parameter(name) => (asked.parameter)(name).map(String::into_bytes),
        Sticky::Client => asked.peer.map(|peer| peer.0.to_string().into_bytes()),
    });
    let key = sticky.or_else(|| header(REQUEST_ID)).unwrap_or_default();
    routing::hash(&traffic.salt, &key)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let mut cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let found = cookies.find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))?;
    Some(found.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; user=anna".parse().unwrap());
        headers.append(COOKIE, "username=b; z=".parse().unwrap());
        let found = |name| cookie(&headers, name);
        assert_eq!(found("user").as_deref(), Some(&b"anna"[..]));
        assert_eq!(found("z").as_deref(), Some(&b""[..]));
        assert_eq!(found("use"), None);
    }
}
