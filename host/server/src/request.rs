//! The life of a request, from top to bottom: route → attempt → answer, or the plan's next attempt.
//!
//! REST and gRPC parse before and encode after; between them there is only this.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use modelet_policy::fallback::Trigger;
use modelet_policy::names::{ModelName, Version};
use modelet_protocol::rest::keep;
use modelet_protocol::{InvalidInput, Tensor};
use modelet_runtime::InferError;
use modelet_store::StateError;

use crate::app::App;
use crate::attempt::admission::Refused;
use crate::attempt::hedge::{self, Raced};
use crate::attempt::tries::{Tries, Whom};
use crate::registry::{Ready, ResolveError};
use crate::rollouts::mirror::Mirrored;
use crate::route::Route;
use crate::statistics::Hop;

/// What a caller wants computed.
#[derive(Clone, Debug)]
pub struct Request {
    /// What feedback calls it by.
    pub id: String,
    pub inputs: Vec<Tensor>,
    /// The wanted outputs; empty means all.
    pub outputs: Vec<String>,
    pub deadline: Instant,
}

/// What was computed, and by whom.
pub struct Answer {
    pub outputs: Vec<Tensor>,
    pub by: By,
    /// Of an ensemble, those whose answers are in this one.
    pub members: Vec<Arc<Ready>>,
    /// Why it was not the version that was asked first.
    pub fallback: Option<Trigger>,
}

/// Who answered.
pub enum By {
    Version(Arc<Ready>),
    /// Another server.
    Remote {
        host: String,
        model: ModelName,
        version: Option<Version>,
    },
    /// What stands in `model.toml`.
    Static,
}

/// Why there is no answer. `respond.rs` gives each its status.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    /// The bytes of the request are not what they should be.
    #[error("{0}")]
    Malformed(String),
    #[error("the body is encoded as {0:?}; gzip, deflate and none are read")]
    Encoding(HeaderValue),
    #[error("{0}")]
    Unsupported(String),
    #[error("the request has more than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the request did not arrive whole before its deadline")]
    SlowBody,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("model `{model}` has failed too often; requests are kept away from it for a while")]
    BreakerOpen { model: String },
    #[error(transparent)]
    Infer(#[from] InferError),
    #[error("the model's answer was kept back: {0}")]
    Guarded(String),
    #[error("the answers of an ensemble's members do not fit together: {0}")]
    Combine(String),
    #[error("{url} did not answer: {reason}")]
    Remote { url: String, reason: String },
    #[error("{url} refused the request: {reason}")]
    RemoteRefused { url: String, reason: String },
    #[error("the database cannot be used: {0}")]
    State(StateError),
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// What it is to the policy; `None` for what is the caller's doing.
    pub fn trigger(&self) -> Option<Trigger> {
        match self {
            Failure::Resolve(ResolveError::NotReady { .. } | ResolveError::NotLoaded { .. }) => {
                Some(Trigger::Load)
            }
            Failure::Refused(Refused::QueueFull) | Failure::Infer(InferError::Exhausted(_)) => {
                Some(Trigger::Overload)
            }
            Failure::Refused(Refused::Deadline) | Failure::Infer(InferError::DeadlineExceeded) => {
                Some(Trigger::Deadline)
            }
            Failure::Infer(InferError::Trap(_)) | Failure::Internal(_) => Some(Trigger::Trap),
            Failure::Infer(InferError::ModelFailed(_))
            | Failure::Combine(_)
            | Failure::RemoteRefused { .. } => Some(Trigger::Failed),
            Failure::Infer(InferError::MemoryLimit { .. }) => Some(Trigger::Memory),
            Failure::BreakerOpen { .. } => Some(Trigger::Breaker),
            Failure::Guarded(_) => Some(Trigger::Guard),
            Failure::Remote { .. } => Some(Trigger::Remote),
            Failure::Resolve(_)
            | Failure::Invalid(_)
            | Failure::Infer(InferError::InvalidInput(_))
            | Failure::Malformed(_)
            | Failure::Encoding(_)
            | Failure::Unsupported(_)
            | Failure::TooLarge { .. }
            | Failure::State(_)
            | Failure::SlowBody => None,
        }
    }
}

impl Answer {
    pub fn new(outputs: Vec<Tensor>, by: By) -> Answer {
        Answer {
            outputs,
            by,
            members: Vec::new(),
            fallback: None,
        }
    }

    /// The version of this server that answered.
    pub fn ready(&self) -> Option<&Arc<Ready>> {
        match &self.by {
            By::Version(ready) => Some(ready),
            By::Remote { .. } | By::Static => None,
        }
    }
}

/// Runs one request: the version it was routed to, and then, as long as the policy wants it, the
/// others of the plan. If nobody answers, the first failure is the one that is told.
pub async fn infer(app: &Arc<App>, route: Route, request: Request) -> Result<Answer, Failure> {
    let wanted = request.outputs.clone();
    let mut answer = answer(app, route, request).await?;
    // More may have been computed, for guards and feedback to look at.
    keep(&mut answer.outputs, &wanted);
    Ok(answer)
}

async fn answer(app: &Arc<App>, route: Route, mut request: Request) -> Result<Answer, Failure> {
    let Route {
        found,
        first,
        pinned,
        forwarded,
        evidence,
        mirror,
    } = route;
    let mirrored = mirror.map(|(candidate, live)| Mirrored {
        candidate,
        request: request.clone(),
        live,
    });
    let spec = &found.model().spec;
    let asked = first.as_ref().ok().map(|ready| ready.version);
    let mut plan = spec.fallback.plan(&spec.labels, asked, forwarded);
    let is_last = pinned || !plan.has_more();
    let tries = Tries::new(app, &found);

    let start = Instant::now();
    let Raced { own, other } = match first {
        Ok(ready) if is_last => {
            Raced::alone(tries.ask(Whom::First(ready), &mut request, true).await)
        }
        Ok(ready) => hedge::race(&tries, ready, &mut plan, &mut request).await,
        Err(failure) => Raced::alone(Err(failure)),
    };
    let failure = own.as_ref().and_then(|own| own.as_ref().err());
    let mut reason = failure.map_or(Some(Trigger::Slow), Failure::trigger);
    if let (Some(live), Some(version)) = (&evidence, asked) {
        live.record(version, failure, start.elapsed());
        // Callers did not ask to have a version tried on them that takes other requests.
        reason = reason.or_else(|| live.refused(version, failure?));
    }
    if let Some(Ok(answer)) = &own {
        let rollout = evidence.as_ref().map(|live| &*live.saved.rollout.id);
        let predictions = &app.rollouts.predictions;
        predictions.add(&found, rollout, &request.id, answer);
        if let Some(mirrored) = mirrored {
            mirrored.send(app, &answer.outputs);
        }
    }
    let id = request.id.clone();
    let fallback = |mut answer: Answer, reason| {
        answer.fallback = Some(reason);
        let (reason, to) = (reason.word(), answer.served_by());
        let hop = Hop::Answered { reason, to };
        app.fallbacks.count(&found.name, hop);
        // A label may come back to it, but it says nothing of the rollout.
        app.rollouts.predictions.add(&found, None, &id, &answer);
        Ok(answer)
    };
    let mut failure = match (own, other, reason) {
        (_, Some(answer), Some(reason)) => return fallback(answer, reason),
        (Some(Err(failure)), _, Some(_)) if !is_last => failure,
        (Some(own), ..) => return own,
        (None, ..) => return Err(Failure::Internal("nobody was waited for".to_owned())),
    };
    let first_reason = reason.unwrap_or(Trigger::Failed);
    let mut trigger = first_reason;
    while let Some(target) = plan.next(trigger, tries.left(&request)) {
        let is_last = !plan.has_more();
        match tries.ask(Whom::Next(target), &mut request, is_last).await {
            Ok(answer) => return fallback(answer, first_reason),
            // A request that does not suit another model is no reason to give up on it.
            Err(other) => {
                trigger = other.trigger().unwrap_or(Trigger::Failed);
                // That the canary refuses it is nothing to tell if stable does too.
                if failure.trigger().is_none() {
                    failure = other;
                }
            }
        }
    }
    Err(failure)
}
