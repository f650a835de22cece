//! The life of a request once its body is there: parse → route → ask → answer, or the plan's next.
//!
//! What is to be done in between is told step by step, and done by whoever can.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use modelet_policy::breaker::outcomes::{Call, End};
use modelet_policy::deployment::{self, Step as Policy};
use modelet_policy::fallback::{Target, Trigger};
use modelet_policy::guard::{Guards, with_numbers};
use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::evidence::Observation;
use modelet_protocol::rest::{
    self, HEADER_LENGTH, InferRequest, decode_request, keep, outputs_from_json,
};
use modelet_protocol::{Signature, Tensor};

use crate::answer::{Answer, By};
use crate::application::Served;
use crate::caller::caller;
use crate::memory::{Memory, Note, note_key};
use crate::path::Named;
use crate::reply::{Failure, Reply};

/// From the body to the answer. What a host allows may be less.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What one instance of the gateway has.
pub struct Instance {
    pub served: Served,
    pub memory: Memory,
}

/// A request on its way.
pub struct Inference {
    model: String,
    decoded: InferRequest,
    request: deployment::Request,
    /// Different for each call of the same moment.
    number: u32,
    call: Option<Asked>,
    answer: Option<Answer>,
    /// The failure that is told if nobody answers.
    first: Option<Failure>,
    /// The rollout that the first attempt is evidence for.
    watch: Option<Watch>,
    /// Keys, and what is to be set to them next.
    sets: Vec<(String, Vec<u8>)>,
    changed: BTreeSet<ModelName>,
}

/// A call that is to be made, or is being made.
struct Asked {
    model: ModelName,
    version: Version,
    call: Call,
    /// When the modelet itself was asked.
    since: Duration,
}

/// What a request is evidence for.
struct Watch {
    rollout: String,
    version: Version,
    is_canary: bool,
    /// The canary's, in parts of the whole.
    share: u32,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Write down what is known of this model, before it is asked.
    Save(ModelName),
    /// Set this key to this value, which is nothing where it is to be as if it was never set.
    Set {
        key: String,
        value: Vec<u8>,
    },
    /// Ask the modelet in this slot; [`Inference::called`] takes what it says.
    Call {
        slot: u8,
        inputs: Vec<Tensor>,
        outputs: Vec<String>,
    },
    Done(Reply),
}

/// The models whose memory decides about a request for `model`.
pub fn remembered(served: &Served, model: &str) -> Vec<ModelName> {
    let Ok(name) = model.parse::<ModelName>() else {
        return Vec::new();
    };
    let chain = served.deployment.spec(&name);
    let chain = chain.map_or(&[][..], |spec| &spec.fallback.chain);
    let others = chain.iter().filter_map(|target| match target {
        Target::Model { name, .. } => Some(name.clone()),
        Target::Version(_) | Target::Remote(_) | Target::Static(_) => None,
    });
    let has_memory = |name: &ModelName| {
        let spec = served.deployment.spec(name);
        spec.is_some_and(|spec| spec.breaker.is_some() || spec.strategy.is_some())
    };
    let mut all = BTreeSet::new();
    all.extend(others.chain([name.clone()]).filter(has_memory));
    all.into_iter().collect()
}

impl Inference {
    /// Reads the body and routes the request. `number` is drawn at random.
    pub fn begin(
        instance: &mut Instance,
        named: Named,
        headers: &HeaderMap,
        body: &[u8],
        now: Duration,
        number: u32,
    ) -> Result<Inference, Failure> {
        let Instance { served, memory } = instance;
        let reader = reader(served, &named)?;
        let decoded = decode_request(body, json_length(headers)?, reader)?;
        for model in remembered(served, &named.model) {
            let versions: Vec<Version> = served.deployment.versions(&model).collect();
            for version in versions {
                if let Some(judge) = served.judge(&model, version) {
                    let breaker = memory
                        .outcomes(served, &model, version)
                        .breaker(&judge, now);
                    served.deployment.restore(&model, version, breaker);
                }
            }
        }
        let caller = caller(named.version, headers, &decoded);
        let allowed = decoded.timeout().unwrap_or(REQUEST_TIMEOUT);
        let deadline = now + allowed.min(REQUEST_TIMEOUT);
        let request = served
            .deployment
            .begin(&named.model, &caller, deadline, now)?;
        let watch = Watch::new(memory, &named.model, &request);
        Ok(Inference {
            first: request.kept_away().map(|why| away(&named.model, why)),
            model: named.model,
            decoded,
            request,
            number,
            call: None,
            answer: None,
            watch,
            sets: Vec::new(),
            changed: BTreeSet::new(),
        })
    }

    pub fn step(&mut self, instance: &mut Instance, now: Duration) -> Step {
        if let Some((key, value)) = self.sets.pop() {
            return Step::Set { key, value };
        }
        if let Some(asked) = &mut self.call {
            asked.since = now;
        }
        if let Some(asked) = &self.call {
            return self.call(instance, asked);
        }
        while self.answer.is_none() {
            match instance.served.deployment.step(&mut self.request, now) {
                Policy::Ask { model, version, .. } => {
                    if let Some(step) = self.ask(instance, model, version, now) {
                        return step;
                    }
                }
                Policy::Static(json) => {
                    match outputs_from_json(&json, &self.decoded.output_names()) {
                        Ok(outputs) => {
                            self.answer = Some(Answer {
                                outputs,
                                by: By::Static,
                            });
                        }
                        Err(reason) => return Step::Done(Failure::Internal(reason).reply()),
                    }
                }
                Policy::End => {
                    let why = || self.request.reason().unwrap_or(Trigger::Load);
                    let failure = self.first.take();
                    let failure = failure.unwrap_or_else(|| away(&self.model, why()));
                    return Step::Done(failure.reply());
                }
            }
        }
        let answer = self.answer.take().unwrap_or_default();
        let reason = self.request.reason();
        let reply = answer.reply(&self.model, reason, &self.decoded);
        Step::Done(reply.unwrap_or_else(|failure| failure.reply()))
    }

    /// Takes what the modelet said that was asked last.
    pub fn called(
        &mut self,
        instance: &mut Instance,
        said: Result<Vec<Tensor>, Failure>,
        now: Duration,
    ) {
        let Some(asked) = self.call.take() else {
            return;
        };
        let guards = instance.served.deployment.guards(&self.request);
        let wanted = self.decoded.output_names();
        let judged = said.and_then(|mut outputs| {
            check(&outputs, guards)?;
            keep(&mut outputs, &wanted);
            Ok(outputs)
        });
        let end = match &judged {
            Ok(_) => End::Well,
            Err(failure)
                if failure
                    .trigger()
                    .is_some_and(Trigger::counts_against_version) =>
            {
                End::Badly
            }
            Err(_) => End::Forgotten,
        };
        let Instance { served, memory } = &mut *instance;
        if let Some(judge) = served.judge(&asked.model, asked.version) {
            let outcomes = memory.outcomes(served, &asked.model, asked.version);
            if outcomes.end(asked.call, end, &judge, now) {
                self.changed.insert(asked.model.clone());
            }
        }
        let time = now.saturating_sub(asked.since);
        let refused = self.watched(memory, &asked, judged.as_ref().err(), time, now);
        match judged {
            Ok(outputs) => {
                instance.served.deployment.answered(&mut self.request, now);
                let by = By::Version(asked.model, asked.version);
                self.answer = Some(Answer { outputs, by });
            }
            Err(failure) => self.failed(instance, failure, refused, now),
        }
    }

    /// The first attempt of a request that is evidence has ended. Whether others are asked, although it
    /// is the request that is refused: callers did not ask to have a version tried on them that takes
    /// other requests.
    fn watched(
        &mut self,
        memory: &mut Memory,
        asked: &Asked,
        failure: Option<&Failure>,
        time: Duration,
        now: Duration,
    ) -> Option<Trigger> {
        let watch = self.watch.take()?;
        if watch.is_canary {
            let key = note_key(&asked.model, asked.call.number);
            self.sets.push((key, Vec::new()));
        }
        let failed = failure.map(Failure::judged);
        // A failure that says nothing of the version.
        if failed == Some(None) {
            return None;
        }
        let seen = Observation {
            version: asked.version,
            is_canary: watch.is_canary,
            share: watch.share,
            failed: failed.flatten(),
            time,
        };
        if memory.record(&asked.model, &watch.rollout, seen, now) {
            self.changed.insert(asked.model.clone());
        }
        seen.failed.filter(|_| watch.is_canary)
    }

    /// The models of which something has become known that others should know.
    pub fn changed(&self) -> impl Iterator<Item = &ModelName> {
        self.changed.iter()
    }

    /// `None` where the request does not suit this version.
    fn ask(
        &mut self,
        instance: &mut Instance,
        model: ModelName,
        version: Version,
        now: Duration,
    ) -> Option<Step> {
        let Instance { served, memory } = &mut *instance;
        let signature = served.modelet(&model, version).map(|it| &it.signature);
        let checked = signature.map(|signature| {
            signature.check_inputs(&self.decoded.inputs)?;
            let outputs = self.decoded.outputs.iter();
            signature.check_outputs(outputs.map(|output| output.name.as_str()))
        });
        // Its breaker may have kept the first attempt away.
        let is_first = |watch: &Watch| watch.version == version && model.as_str() == self.model;
        self.watch = self.watch.take().filter(is_first);
        self.number = self.number.wrapping_add(1);
        let call = Call {
            began: now,
            number: self.number,
        };
        let asked = Asked {
            model: model.clone(),
            version,
            call,
            since: now,
        };
        if let Some(Err(invalid)) = checked {
            let failure = Failure::Invalid(invalid);
            let refused = self.watched(memory, &asked, Some(&failure), Duration::ZERO, now);
            // It was never asked.
            self.sets.clear();
            self.failed(instance, failure, refused, now);
            return None;
        }
        let judge = served.judge(&model, version);
        let is_marked = judge.is_some_and(|judge| {
            let outcomes = memory.outcomes(served, &model, version);
            let is_doubtful = outcomes.is_doubtful(&judge, now);
            if is_doubtful {
                outcomes.begin(call);
            }
            is_doubtful
        });
        if let Some(watch) = self.watch.as_ref().filter(|watch| watch.is_canary) {
            let note = Note {
                rollout: watch.rollout.clone(),
                share: watch.share,
                began: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
                number: call.number,
            };
            let key = note_key(&model, call.number);
            self.sets.push((key, note.written()));
        }
        self.call = Some(asked);
        match is_marked {
            true => Some(Step::Save(model)),
            false => Some(self.step(instance, now)),
        }
    }

    fn call(&self, instance: &Instance, asked: &Asked) -> Step {
        let modelet = instance.served.modelet(&asked.model, asked.version);
        let guards = instance.served.deployment.guards(&self.request);
        Step::Call {
            // A version that is served has a slot; no slot has this number.
            slot: modelet.map_or(u8::MAX, |modelet| modelet.slot),
            inputs: self.decoded.inputs.clone(),
            // What is asked of outputs is asked of all of them, whoever wants to see which.
            outputs: match guards {
                Some(_) => Vec::new(),
                None => self.decoded.output_names(),
            },
        }
    }

    /// `refused` is why others are asked all the same, where the failure itself is the caller's doing.
    fn failed(
        &mut self,
        instance: &mut Instance,
        failure: Failure,
        refused: Option<Trigger>,
        now: Duration,
    ) {
        let deployment = &mut instance.served.deployment;
        let trigger = failure.trigger().or(refused);
        deployment.failed(&mut self.request, trigger, now);
        // That the canary refuses a request is nothing to tell if stable does too.
        if self
            .first
            .as_ref()
            .is_none_or(|first| first.trigger().is_none())
        {
            self.first = Some(failure);
        }
    }
}

impl Watch {
    /// `None` where the request is no evidence: its version was not chosen by the weights, or not by
    /// them alone. One that names the canary is, as long as the weights send it nothing.
    fn new(memory: &Memory, model: &str, request: &deployment::Request) -> Option<Watch> {
        let name = model.parse().ok()?;
        let rollout = memory.rollout(&name)?.rollout();
        let version = request.first()?;
        let is_canary = version == rollout.canary;
        let takes_part = rollout.is_active() && (is_canary || version == rollout.stable);
        let is_tried = request.is_pinned() && is_canary && rollout.weight == 0;
        (takes_part && (request.by_weight() || is_tried)).then(|| Watch {
            rollout: rollout.id.clone(),
            version,
            is_canary,
            share: rollout.weight,
        })
    }
}

/// The signature that a raw body is read by.
fn reader<'a>(served: &'a Served, named: &Named) -> Result<&'a Signature, Failure> {
    const NONE: &Signature = &Signature {
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    let deployment = &served.deployment;
    let version = deployment.resolve(&named.model, named.version.as_deref())?;
    let name = named.model.parse().ok();
    let modelet = version.zip(name);
    let modelet = modelet.and_then(|(version, name)| served.modelet(&name, version));
    Ok(modelet.map_or(NONE, |modelet| &modelet.signature))
}

fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Failure> {
    let header = headers.get(HEADER_LENGTH).map(HeaderValue::as_bytes);
    rest::json_length(header).map_err(Failure::Malformed)
}

/// Why a model was not even asked.
fn away(model: &str, why: Trigger) -> Failure {
    match why {
        Trigger::Breaker => Failure::Breaker(model.to_owned()),
        _ => Failure::NotReady(model.to_owned()),
    }
}

fn check(outputs: &[Tensor], guards: Option<&Guards>) -> Result<(), Failure> {
    for output in outputs {
        let broken = |error| Failure::ModelFailed(format!("output `{}`: {error}", output.name));
        output.check().map_err(broken)?;
    }
    let Some(guards) = guards else {
        return Ok(());
    };
    let numbers = outputs.iter().map(Tensor::named_numbers);
    with_numbers(numbers, |numbers| guards.check(numbers)).map_err(Failure::Guarded)
}

#[cfg(test)]
mod tests;
