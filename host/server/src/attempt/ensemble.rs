//! Models that answer together: asks the members, and makes one answer of theirs.

mod combine;
mod signature;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use modelet_policy::ensemble::{self, Combine, Member};
use modelet_policy::guard::{Confidence, with_numbers};
use modelet_protocol::rest::keep;
use modelet_protocol::{Signature, Tensor};

use super::{Called, Candidate, attempt};
use crate::app::App;
use crate::registry::{Models, Work};
use crate::request::{Answer, Failure, Request};

/// An ensemble whose members are known.
#[derive(PartialEq)]
pub struct Ensemble {
    pub spec: ensemble::Ensemble,
    /// What all members take, and what can be made of their answers.
    pub signature: Signature,
}

/// A member and what it answered.
struct Told {
    weight: f64,
    answer: Answer,
}

impl Ensemble {
    /// The error says which member is missing or does not suit the others.
    pub fn new(spec: ensemble::Ensemble, models: &Models) -> Result<Ensemble, String> {
        let signature = signature::of(&spec, models)?;
        Ok(Ensemble { spec, signature })
    }

    pub(super) async fn ask(&self, app: &App, request: Request) -> Result<Called, Failure> {
        let told = match &self.spec.combine {
            Combine::Cascade(confidence) => self.ask_in_turn(app, &request, confidence).await?,
            _ => self.ask_all(app, &request).await?,
        };
        let mut outputs = match &self.spec.combine {
            Combine::Stacking(combiner) => {
                return self.ask_combiner(app, combiner, &told, &request).await;
            }
            Combine::Cascade(_) => self.last(&told),
            Combine::Average | Combine::Vote => combine::outputs(&self.signature, &told)?,
        };
        keep(&mut outputs, &request.outputs);
        Ok(called(outputs, told))
    }

    /// All members at one time.
    async fn ask_all(&self, app: &App, request: &Request) -> Result<Vec<Told>, Failure> {
        let asked = self.spec.members.iter();
        let asked = asked.map(|member| ask(app, member, all_outputs(request)));
        let (mut told, mut first) = (Vec::new(), None);
        for answer in join_all(asked).await {
            match answer {
                Ok(answer) => told.push(answer),
                // What is wrong with a request is wrong for all of them.
                Err(failure) if failure.trigger().is_none() => return Err(failure),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        match first {
            Some(failure) if !self.spec.is_enough(told.len()) => Err(failure),
            _ => Ok(told),
        }
    }

    /// One after the other, until one is certain enough or the last has answered.
    async fn ask_in_turn(
        &self,
        app: &App,
        request: &Request,
        confidence: &Confidence,
    ) -> Result<Vec<Told>, Failure> {
        let (mut told, mut first) = (Vec::new(), None);
        for member in &self.spec.members {
            match ask(app, member, all_outputs(request)).await {
                Ok(answer) => {
                    let outputs = &answer.answer.outputs;
                    let numbers = outputs.iter().map(Tensor::named_numbers);
                    let is_certain = with_numbers(numbers, |it| confidence.is_met(it));
                    told.push(answer);
                    if is_certain {
                        return Ok(told);
                    }
                }
                Err(failure) if failure.trigger().is_none() || !self.spec.may_skip() => {
                    return Err(failure);
                }
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        match first {
            Some(failure) if !self.spec.is_enough(told.len()) => Err(failure),
            _ => Ok(told),
        }
    }

    /// What the last of a cascade answered, as far as the ensemble has it.
    fn last(&self, told: &[Told]) -> Vec<Tensor> {
        let outputs = told.last().map(|told| told.answer.outputs.clone());
        let mut outputs = outputs.unwrap_or_default();
        let has = |name: &str| self.signature.outputs.iter().any(|spec| spec.name == name);
        outputs.retain(|output| has(&output.name));
        outputs
    }

    async fn ask_combiner(
        &self,
        app: &App,
        combiner: &Member,
        told: &[Told],
        request: &Request,
    ) -> Result<Called, Failure> {
        let ready = resolve(app, combiner)?.ready;
        let request = Request {
            inputs: vec![combine::features(&ready, told)?],
            ..request.clone()
        };
        let Told { answer, .. } = ask(app, combiner, request).await?;
        let outputs = answer.outputs.clone();
        let members = told.iter().filter_map(|told| told.answer.ready().cloned());
        let members = members.chain(answer.ready().cloned()).collect();
        Ok(Called { outputs, members })
    }
}

fn called(outputs: Vec<Tensor>, told: Vec<Told>) -> Called {
    let members = told.iter().filter_map(|told| told.answer.ready().cloned());
    Called {
        outputs,
        members: members.collect(),
    }
}

/// What makes an answer certain or is averaged need not be what the caller wants to see.
fn all_outputs(request: &Request) -> Request {
    Request {
        outputs: Vec::new(),
        ..request.clone()
    }
}

/// Boxed: an attempt at an ensemble is made of attempts at its members.
fn ask<'a>(
    app: &'a App,
    member: &'a Member,
    mut request: Request,
) -> BoxFuture<'a, Result<Told, Failure>> {
    async move {
        let candidate = resolve(app, member)?;
        let answer = attempt(app, candidate, &mut request, true).await?;
        let weight = member.weight;
        Ok(Told { weight, answer })
    }
    .boxed()
}

/// The version that stands for a member at this moment. An ensemble does not: it could be its own
/// member.
fn resolve(app: &App, member: &Member) -> Result<Candidate, Failure> {
    let found = app.registry.find(member.model.as_str());
    let found = found.map_err(|_| missing(member, "there is no such model"))?;
    let ready = match member.version {
        Some(version) => found.ready(version)?,
        None => found.default()?,
    };
    if matches!(ready.work, Work::Ensemble(_)) {
        return Err(missing(member, "it is an ensemble itself"));
    }
    let spec = found.model().spec.clone();
    Ok(Candidate { ready, spec })
}

fn missing(member: &Member, reason: &str) -> Failure {
    Failure::Resolve(crate::registry::ResolveError::NotReady {
        model: member.model.to_string(),
        reason: format!(": {reason}"),
    })
}
