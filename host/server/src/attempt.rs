//! One attempt at an answer: validate → breaker → admit → call → guard → record.

pub mod admission;
pub mod batching;
pub mod breaker;
pub mod cache;
mod divided;
pub mod ensemble;
pub mod hedge;
pub mod pace;
pub mod remote;
pub mod tries;

use std::sync::Arc;
use std::time::{Duration, Instant};

use modelet_policy::fallback::Trigger;
use modelet_policy::guard::{Guards, with_numbers};
use modelet_policy::spec::ModelSpec;
use modelet_protocol::rest::keep;
use modelet_protocol::{Dimension, Signature, Tensor};
use modelet_runtime::{InferError, Modelet};

use crate::app::App;
use crate::registry::{Ready, Work};
use crate::request::{Answer, By, Failure, Request};
use ensemble::Ensemble;

/// A version that may answer, and what its model's `model.toml` asks of answers.
pub struct Candidate {
    pub ready: Arc<Ready>,
    pub spec: Arc<ModelSpec>,
}

/// Asks one version. The last attempt takes the request's tensors, one before leaves them there.
pub async fn attempt(
    app: &App,
    candidate: Candidate,
    request: &mut Request,
    is_last: bool,
) -> Result<Answer, Failure> {
    let Candidate { ready, spec } = candidate;
    let watched = ready
        .breaker
        .begin(app.now())
        .ok_or_else(|| Failure::BreakerOpen {
            model: ready.model.to_string(),
        })?;
    let start = Instant::now();
    let inputs = match is_last {
        true => std::mem::take(&mut request.inputs),
        false => request.inputs.clone(),
    };
    // What is asked of outputs is asked of all of them, whoever wants to see which.
    let all = !spec.guards.is_empty() || spec.feedback.is_some();
    let outputs: &[String] = if all { &[] } else { &request.outputs };
    let called = call(app, &ready, inputs, outputs, request).await;
    let answer = called.and_then(|mut called| {
        guard(&spec.guards, &called.outputs)?;
        if spec.feedback.is_none() {
            keep(&mut called.outputs, &request.outputs);
        }
        Ok(called)
    });
    match &answer {
        Ok(_) => {
            let time = start.elapsed();
            ready.statistics.success.add(time);
            if spec.fallback.hedge.is_some() {
                ready.times().add(time);
            }
            watched.end(app.now(), false);
        }
        Err(failure) => {
            ready.statistics.fail.add(start.elapsed());
            let trigger = failure.trigger();
            match trigger.is_some_and(Trigger::counts_against_version) {
                true => watched.end(app.now(), true),
                // It says nothing of the version: as if it had not been asked.
                false => drop(watched),
            }
        }
    }
    let Called { outputs, members } = answer?;
    let answer = Answer::new(outputs, By::Version(ready));
    Ok(Answer { members, ..answer })
}

/// What a version answered and, if it is an ensemble, who is in it.
struct Called {
    outputs: Vec<Tensor>,
    members: Vec<Arc<Ready>>,
}

impl Called {
    fn alone(outputs: Vec<Tensor>) -> Called {
        Called {
            outputs,
            members: Vec::new(),
        }
    }
}

async fn call(
    app: &App,
    ready: &Arc<Ready>,
    inputs: Vec<Tensor>,
    outputs: &[String],
    request: &Request,
) -> Result<Called, Failure> {
    let signature = ready.signature();
    signature.check_inputs(&inputs)?;
    signature.check_outputs(request.outputs.iter().map(String::as_str))?;
    let rows = rows(signature, &inputs);

    let start = Instant::now();
    let cached = ready.cache.as_ref();
    let cached = cached.map(|cache| (cache, cache::key(&inputs, outputs)));
    if let Some((cache, key)) = &cached
        && let Some(outputs) = cache.get(key, app.now())
    {
        ready.statistics.cache_hit.add(start.elapsed());
        return Ok(Called::alone(outputs));
    }
    let deadline = ready.timeout.map_or(request.deadline, |timeout| {
        request.deadline.min(start + timeout)
    });
    let asked = Asked {
        inputs,
        outputs,
        rows,
        deadline,
    };
    let called = match (&ready.work, &ready.batches) {
        (Work::Ensemble(ensemble), _) => together(app, ready, ensemble, asked, &request.id).await?,
        (Work::Modelet(modelet), Some(batches)) if batches.takes(rows) => {
            let callee = (&app.admission, ready, modelet);
            Called::alone(batches.ask(callee, asked).await?)
        }
        (Work::Modelet(modelet), Some(batches)) => {
            let callee = (ready, modelet);
            Called::alone(divided::ask(app, callee, batches.batching(), asked).await?)
        }
        (Work::Modelet(modelet), _) => Called::alone(alone(app, ready, modelet, asked).await?),
    };
    if let Some((cache, key)) = cached {
        cache.keep(key, called.outputs.clone(), app.now());
        ready.statistics.cache_miss.add(start.elapsed());
    }
    Ok(called)
}

/// What is asked of a version, and fits its signature.
struct Asked<'a> {
    inputs: Vec<Tensor>,
    outputs: &'a [String],
    rows: u64,
    deadline: Instant,
}

async fn alone(
    app: &App,
    ready: &Arc<Ready>,
    modelet: &Modelet,
    asked: Asked<'_>,
) -> Result<Vec<Tensor>, Failure> {
    let start = Instant::now();
    // The model's own limit first: a busy model's callers wait there and leave the server's
    // places to other models.
    let place = ready.admission.admit(asked.deadline).await?;
    let turn = app.admission.admit(asked.deadline).await?;
    ready.statistics.queue.add(start.elapsed());
    let (inputs, deadline) = (asked.inputs, asked.deadline);
    let ran = run(
        ready,
        modelet,
        inputs,
        asked.outputs,
        deadline,
        (place, turn),
    );
    let (outputs, time) = ran.await?;
    record(ready, &outputs, asked.rows, time);
    Ok(outputs?)
}

async fn together(
    app: &App,
    ready: &Arc<Ready>,
    ensemble: &Ensemble,
    asked: Asked<'_>,
    id: &str,
) -> Result<Called, Failure> {
    let start = Instant::now();
    let _place = ready.admission.admit(asked.deadline).await?;
    ready.statistics.queue.add(start.elapsed());
    let start = Instant::now();
    let request = Request {
        id: id.to_owned(),
        inputs: asked.inputs,
        outputs: asked.outputs.to_vec(),
        deadline: asked.deadline,
    };
    // Its members wait for the server's places, each for its own.
    let called = ensemble.ask(app, request).await?;
    ready.statistics.executed(asked.rows, start.elapsed());
    Ok(called)
}

type Ran = (Result<Vec<Tensor>, InferError>, Duration);

/// `held` is given back when the model is done.
async fn run(
    ready: &Arc<Ready>,
    modelet: &Modelet,
    inputs: Vec<Tensor>,
    wanted: &[String],
    deadline: Instant,
    held: impl Send + 'static,
) -> Result<Ran, Failure> {
    match run_here(ready, modelet, &inputs, wanted, deadline) {
        Some(ran) => Ok(ran),
        None => run_elsewhere(ready, modelet, inputs, wanted, deadline, held).await,
    }
}

/// Runs a quick version on this thread. `None`: it is not quick, or was not this time.
fn run_here(
    ready: &Ready,
    modelet: &Modelet,
    inputs: &[Tensor],
    wanted: &[String],
    deadline: Instant,
) -> Option<Ran> {
    let size: usize = inputs.iter().map(|input| input.data.len()).sum();
    if !ready.pace.is_quick() || size > pace::QUICK_INPUT_BYTES {
        return None;
    }
    let start = Instant::now();
    let patience = start + pace::PATIENCE;
    let ran = modelet.infer(inputs, wanted, deadline.min(patience));
    let time = start.elapsed();
    ready.pace.record(time);
    match ran {
        Err(InferError::DeadlineExceeded) if patience < deadline => None,
        ran => Some((ran, time)),
    }
}

/// Runs it on a thread that may block.
async fn run_elsewhere(
    ready: &Arc<Ready>,
    modelet: &Modelet,
    inputs: Vec<Tensor>,
    wanted: &[String],
    deadline: Instant,
    held: impl Send + 'static,
) -> Result<Ran, Failure> {
    let (called, modelet, wanted) = (ready.clone(), modelet.clone(), wanted.to_vec());
    let call = move || {
        // Until the model is done, also when nobody waits for the answer any more.
        let _held = held;
        let start = Instant::now();
        let outputs = modelet.infer(&inputs, &wanted, deadline);
        let time = start.elapsed();
        called.pace.record(time);
        (outputs, time)
    };
    tokio::task::spawn_blocking(call)
        .await
        .map_err(|error| Failure::Internal(format!("the call was lost: {error}")))
}

fn record(ready: &Ready, outputs: &Result<Vec<Tensor>, InferError>, rows: u64, time: Duration) {
    match outputs {
        Ok(_) => ready.statistics.executed(rows, time),
        Err(error) => tracing::warn!(
            model = %ready.model,
            version = %ready.version,
            error = %error,
            "an inference failed"
        ),
    }
}

fn guard(guards: &Guards, outputs: &[Tensor]) -> Result<(), Failure> {
    if guards.is_empty() {
        return Ok(());
    }
    let numbers = outputs.iter().map(Tensor::named_numbers);
    with_numbers(numbers, |numbers| guards.check(numbers)).map_err(Failure::Guarded)
}

/// The size of the batch: the first dimension of the first input, where the model leaves it open.
fn rows(signature: &Signature, inputs: &[Tensor]) -> u64 {
    let Some(spec) = signature.inputs.first() else {
        return 1;
    };
    match (
        spec.shape.first(),
        inputs.iter().find(|input| input.name == spec.name),
    ) {
        (Some(Dimension::Symbolic(_)), Some(input)) => input.shape.first().copied().unwrap_or(1),
        _ => 1,
    }
}
