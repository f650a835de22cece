//! The life of a request, from top to bottom: route → attempt → answer, or the plan's next attempt.
//!
//! REST and gRPC parse before and encode after; between them there is only this.

use std::sync::Arc;
use std::time::Instant;

use modelet_policy::fallback::{Target, Trigger};
use modelet_protocol::{InvalidInput, Tensor};
use modelet_runtime::InferError;
use modelet_store::StateError;

use crate::admission::Refused;
use crate::app::App;
use crate::attempt::{self, Candidate};
use crate::registry::{Found, Ready, ResolveError};
use crate::rollouts::mirror::Mirrored;
use crate::route::{self, Route};

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
    /// `None`: the answer is a static one.
    pub served_by: Option<Arc<Ready>>,
    /// Why it was not the version that was asked first.
    pub fallback: Option<Trigger>,
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
            Failure::Infer(InferError::ModelFailed(_)) => Some(Trigger::Failed),
            Failure::Infer(InferError::MemoryLimit { .. }) => Some(Trigger::Memory),
            Failure::BreakerOpen { .. } => Some(Trigger::Breaker),
            Failure::Guarded(_) => Some(Trigger::Guard),
            Failure::Resolve(_)
            | Failure::Invalid(_)
            | Failure::Infer(InferError::InvalidInput(_))
            | Failure::Malformed(_)
            | Failure::Unsupported(_)
            | Failure::TooLarge { .. }
            | Failure::State(_)
            | Failure::SlowBody => None,
        }
    }
}

/// Runs one request: the version it was routed to, and then, as long as the policy wants it, the
/// others of the plan. If nobody answers, the first failure is the one that is told.
pub async fn infer(app: &Arc<App>, route: Route, mut request: Request) -> Result<Answer, Failure> {
    let Route {
        found,
        first,
        pinned,
        evidence,
        mirror,
    } = route;
    let mirrored = mirror.map(|(candidate, live)| Mirrored {
        candidate,
        request: request.clone(),
        seen: live.seen.clone(),
    });
    let spec = &found.model().spec;
    let asked = first.as_ref().ok().map(|ready| ready.version);
    let mut plan = spec.fallback.plan(asked);
    let is_last = pinned || !plan.has_more();
    let start = Instant::now();
    let attempted = match first {
        Ok(ready) => {
            let candidate = Candidate {
                ready,
                spec: spec.clone(),
            };
            attempt::attempt(app, candidate, &mut request, is_last).await
        }
        Err(failure) => Err(failure),
    };
    if let (Some(live), Some(version)) = (&evidence, asked) {
        live.record(version, attempted.as_ref().err(), start.elapsed());
    }
    if let Ok(answer) = &attempted {
        let rollout = evidence.as_ref().map(|live| &*live.saved.rollout.id);
        let predictions = &app.rollouts.predictions;
        predictions.add(&found, rollout, &request.id, answer);
    }
    if let (Some(mirrored), Ok(answer)) = (mirrored, &attempted) {
        mirrored.send(app, &answer.outputs);
    }
    let failure = match attempted {
        Err(failure) if !is_last => failure,
        other => return other,
    };
    let Some(reason) = failure.trigger() else {
        return Err(failure);
    };
    let mut trigger = reason;
    while let Some(target) = plan.next(trigger, left(&request)) {
        let is_last = !plan.has_more();
        match next(app, &found, target, &mut request, is_last).await {
            Ok(mut answer) => {
                answer.fallback = Some(reason);
                app.fallbacks.count(&found.name, reason, &answer);
                return Ok(answer);
            }
            // A request that does not suit another model is no reason to give up on it.
            Err(failure) => trigger = failure.trigger().unwrap_or(Trigger::Failed),
        }
    }
    Err(failure)
}

async fn next(
    app: &App,
    found: &Found,
    target: &Target,
    request: &mut Request,
    is_last: bool,
) -> Result<Answer, Failure> {
    match target {
        Target::Static(json) => attempt::static_answer(json, request),
        _ => {
            let candidate = route::candidate(app, found, target)?;
            attempt::attempt(app, candidate, request, is_last).await
        }
    }
}

fn left(request: &Request) -> std::time::Duration {
    request.deadline.saturating_duration_since(Instant::now())
}
