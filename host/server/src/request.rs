//! The life of a request, from top to bottom: resolve → validate → admit → call → record.
//!
//! REST and gRPC parse before and encode after; between them there is only this.

use std::sync::Arc;
use std::time::{Duration, Instant};

use modelet_protocol::{Dimension, InvalidInput, Signature, Tensor};
use modelet_runtime::InferError;

use crate::admission::Refused;
use crate::app::App;
use crate::registry::{Ready, ResolveError};

/// What a caller wants computed.
#[derive(Debug)]
pub struct Request {
    pub inputs: Vec<Tensor>,
    /// The wanted outputs; empty means all.
    pub outputs: Vec<String>,
    pub deadline: Instant,
}

/// What was computed.
#[derive(Debug)]
pub struct Answer {
    pub outputs: Vec<Tensor>,
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
    #[error(transparent)]
    Infer(#[from] InferError),
    #[error("{0}")]
    Internal(String),
}

/// Runs one request on a version that was resolved for it.
pub async fn infer(app: &App, ready: &Arc<Ready>, request: Request) -> Result<Answer, Failure> {
    let start = Instant::now();
    let answer = attempt(app, ready, request).await;
    match &answer {
        Ok(_) => ready.statistics.success.add(start.elapsed()),
        Err(_) => ready.statistics.fail.add(start.elapsed()),
    }
    answer
}

async fn attempt(app: &App, ready: &Arc<Ready>, request: Request) -> Result<Answer, Failure> {
    let Request {
        inputs,
        outputs,
        deadline,
    } = request;
    let signature = ready.signature();
    signature.check_inputs(&inputs)?;
    signature.check_outputs(outputs.iter().map(String::as_str))?;
    let rows = rows(signature, &inputs);

    let start = Instant::now();
    let deadline = ready
        .timeout
        .map_or(deadline, |timeout| deadline.min(start + timeout));
    // The model's own limit first: a busy model's callers wait there and leave the server's
    // places to other models.
    let place = ready.admission.admit(deadline).await?;
    let turn = app.admission.admit(deadline).await?;
    ready.statistics.queue.add(start.elapsed());

    let called = ready.clone();
    let (outputs, time) = tokio::task::spawn_blocking(move || {
        // Held until the model is done, also when nobody waits for the answer any more.
        let _held = (place, turn);
        let start = Instant::now();
        let outputs = called.modelet.infer(inputs, &outputs, deadline);
        (outputs, start.elapsed())
    })
    .await
    .map_err(|error| Failure::Internal(format!("the call was lost: {error}")))?;
    record(ready, &outputs, rows, time);
    Ok(Answer { outputs: outputs? })
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
