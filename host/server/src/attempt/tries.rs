//! Asks one target of the plan, and asks it again where that may help.

use std::sync::Arc;
use std::time::{Duration, Instant};

use modelet_policy::fallback::{Target, Trigger};
use modelet_policy::spec::ModelSpec;
use modelet_protocol::rest::outputs_from_json;

use super::{Candidate, attempt};
use crate::app::App;
use crate::registry::{Found, Ready};
use crate::request::{Answer, By, Failure, Request};
use crate::route;
use crate::statistics::Hop;

/// The tries of one request.
pub struct Tries<'a> {
    pub app: &'a App,
    found: &'a Found,
}

/// Who is asked.
pub enum Whom<'a> {
    First(Arc<Ready>),
    Next(&'a Target),
}

impl<'a> Tries<'a> {
    pub fn new(app: &'a App, found: &'a Found) -> Tries<'a> {
        let tries = Tries { app, found };
        if tries.has_budget() {
            found.model().budget().earn(app.now());
        }
        tries
    }

    pub fn spec(&self) -> &'a Arc<ModelSpec> {
        &self.found.model().spec
    }

    /// Until the request's deadline.
    pub fn left(&self, request: &Request) -> Duration {
        request.deadline.saturating_duration_since(Instant::now())
    }

    /// Asks a version of the model itself, or somebody of the plan.
    pub async fn ask(
        &self,
        whom: Whom<'_>,
        request: &mut Request,
        is_last: bool,
    ) -> Result<Answer, Failure> {
        // Who may be asked again must not take the request's tensors.
        let is_last = is_last && self.spec().fallback.retry.limit == 0;
        let mut number = 0;
        loop {
            let answer = self.once(&whom, request, is_last).await;
            number += 1;
            match self.delay(&answer, number, request) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return answer,
            }
        }
    }

    async fn once(
        &self,
        whom: &Whom<'_>,
        request: &mut Request,
        is_last: bool,
    ) -> Result<Answer, Failure> {
        match whom {
            Whom::First(ready) => {
                let candidate = Candidate {
                    ready: ready.clone(),
                    spec: self.spec().clone(),
                };
                attempt(self.app, candidate, request, is_last).await
            }
            Whom::Next(target) => {
                let answer = self.target(target, request, is_last).await;
                if let Err(failure) = &answer {
                    self.tell(target, failure);
                }
                answer
            }
        }
    }

    fn tell(&self, target: &Target, failure: &Failure) {
        let reason = failure.trigger().unwrap_or(Trigger::Failed).word();
        let model = &self.found.name;
        let to = target.name(model);
        tracing::warn!(%model, to, error = %failure, "a fallback failed too");
        self.count(Hop::Failed { reason, to });
    }

    async fn target(
        &self,
        target: &Target,
        request: &mut Request,
        is_last: bool,
    ) -> Result<Answer, Failure> {
        match target {
            Target::Static(json) => {
                let outputs = outputs_from_json(json, &request.outputs);
                Ok(Answer::new(outputs.map_err(Failure::Internal)?, By::Static))
            }
            Target::Remote(remote) => {
                let remotes = &self.app.remotes;
                let asking = remotes.ask(self.app, remote, &self.found.name, request, is_last);
                asking.await
            }
            Target::Version(_) | Target::Model { .. } => {
                let candidate = route::candidate(self.app, self.found, target)?;
                attempt(self.app, candidate, request, is_last).await
            }
        }
    }

    /// After what time the same target is asked again, if it is.
    fn delay(
        &self,
        answer: &Result<Answer, Failure>,
        number: u32,
        request: &Request,
    ) -> Option<Duration> {
        let failure = answer.as_ref().err()?;
        failure
            .trigger()
            .filter(|trigger| Trigger::may_pass(*trigger))?;
        let retry = &self.spec().fallback.retry;
        let delay = retry.delay(number, &request.id, self.left(request))?;
        self.may_spend(Hop::Retry).then_some(delay)
    }

    /// Takes one more call, for a retry or a hedge, out of the model's budget.
    pub fn may_spend(&self, hop: Hop) -> bool {
        let share = self.spec().fallback.retry.budget;
        let may = self.found.model().budget().spend(self.app.now(), share);
        if may {
            self.count(hop);
        }
        may
    }

    fn count(&self, hop: Hop) {
        self.app.fallbacks.count(&self.found.name, hop);
    }

    fn has_budget(&self) -> bool {
        let fallback = &self.spec().fallback;
        fallback.retry.limit > 0 || fallback.hedge.is_some()
    }
}
