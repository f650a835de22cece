//! The life of a request, from top to bottom: decode → route → call → guard → encode, or the next of the
//! plan in place of the call that failed. It blocks its thread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use modelet_policy::deployment::{Caller, Request, Step};
use modelet_policy::fallback::Trigger;
use modelet_policy::guard::with_numbers;
use modelet_policy::names::{ModelName, Version};
use modelet_policy::routing::Sticky;
use modelet_protocol::rest::{
    Encoded, InferRequest, InferResponse, decode_request, encode_response, keep, outputs_from_json,
};
use modelet_protocol::{Signature, Tensor};
use modelet_runtime::Modelet;

use crate::failure::{Failure, trigger};
use crate::log::say;
use crate::models::{Model, Models};

/// Parameters of a response that somebody else gave than the version asked first.
const SERVED_BY: &str = "modelet_served_by";
const FALLBACK_REASON: &str = "modelet_fallback_reason";

/// Names a version, or a label, where nothing else does.
pub const VERSION_HEADER: &str = "modelet-version";

/// Names a request, across all who have to do with it.
pub const REQUEST_ID: &str = "x-request-id";

/// A request as it came.
pub struct Asked<'a> {
    pub model: &'a str,
    pub version: Option<&'a str>,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    pub address: Option<String>,
    pub body: &'a [u8],
    /// How many bytes of the body are JSON, where tensors follow them.
    pub json_length: Option<usize>,
    pub deadline: Instant,
}

/// An answer as it goes.
pub struct Answer {
    pub encoded: Encoded,
    /// Such as `iris/2`, or `static`.
    pub served_by: String,
    /// Why it was not the version that was asked first.
    pub fallback: Option<Trigger>,
}

/// Outputs, and the version that gave them; none for what stands in `model.toml`.
struct Outputs {
    tensors: Vec<Tensor>,
    by: Option<(ModelName, Version)>,
}

pub fn infer(models: &Models, asked: Asked<'_>) -> Result<Answer, Failure> {
    let (name, model) = models.get(asked.model)?;
    let in_header = || asked.headers.get(VERSION_HEADER).map(String::as_str);
    let version = asked
        .version
        .or_else(in_header)
        .filter(|version| !version.is_empty());
    let signature = reader(name, model, version)?.cloned().unwrap_or_default();
    let mut decoded = decode_request(asked.body, asked.json_length, &signature)?;

    let shortened = decoded
        .timeout()
        .and_then(|time| Instant::now().checked_add(time));
    let deadline = shortened.map_or(asked.deadline, |shortened| shortened.min(asked.deadline));
    let caller = caller(model, version, &asked, &decoded);
    let begun =
        models
            .deployment()
            .begin(name.as_str(), &caller, models.time(deadline), models.now());
    let mut request = begun?;
    let outputs = ask(models, &mut request, (name, model), &decoded)?;

    let served_by = match &outputs.by {
        Some((name, version)) => format!("{name}/{version}"),
        None => "static".to_owned(),
    };
    let fallback = request.reason();
    let response = response(name, &mut decoded, outputs, fallback, &served_by);
    Ok(Answer {
        encoded: encode_response(&response, &decoded)?,
        served_by,
        fallback,
    })
}

/// The signature that a raw body is read by. Where no version is ready there must be others who may
/// answer.
fn reader<'a>(
    name: &ModelName,
    model: &'a Model,
    version: Option<&str>,
) -> Result<Option<&'a Signature>, Failure> {
    let resolved = match version {
        Some(_) => model.resolve(name, version),
        None => {
            let any = || model.ready().next();
            model
                .resolve(name, None)
                .or_else(|failure| any().ok_or(failure))
        }
    };
    match resolved {
        Ok((_, modelet)) => Ok(Some(&modelet.facts().metadata.signature)),
        Err(_) if version.is_none() && !model.spec.fallback.chain.is_empty() => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn caller(
    model: &Model,
    version: Option<&str>,
    asked: &Asked<'_>,
    request: &InferRequest,
) -> Caller {
    let sticky = model.spec.traffic.sticky.as_ref();
    let parameter = |name: &String| Some((name.clone(), request.key(name)?));
    Caller {
        version: version.map(str::to_owned),
        key: None,
        id: asked.headers.get(REQUEST_ID).cloned().unwrap_or_default(),
        headers: asked.headers.clone(),
        cookies: cookies(asked.headers.get("cookie").map_or("", String::as_str)),
        parameters: match sticky {
            Some(Sticky::Parameter(name)) => parameter(name).into_iter().collect(),
            _ => BTreeMap::new(),
        },
        address: asked.address.clone(),
    }
}

fn cookies(header: &str) -> BTreeMap<String, String> {
    let pairs = header
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Follows the plan until somebody answers. If nobody does, the first failure is the one that is told.
fn ask(
    models: &Models,
    request: &mut Request,
    (name, model): (&ModelName, &Model),
    decoded: &InferRequest,
) -> Result<Outputs, Failure> {
    let mut first = None;
    loop {
        let step = models.deployment().step(request, models.now());
        if first.is_none() {
            first = kept_away(name, model, request.reason());
        }
        let failure = match step {
            Step::Ask {
                model,
                version,
                timeout,
            } => match call(models, request, (&model, version), timeout, decoded) {
                Ok(tensors) => {
                    let by = Some((model, version));
                    return Ok(Outputs { tensors, by });
                }
                Err(failure) => failure,
            },
            Step::Static(json) => {
                let tensors = outputs_from_json(&json, &decoded.output_names());
                let tensors = tensors.map_err(Failure::Internal)?;
                return Ok(Outputs { tensors, by: None });
            }
            Step::End => {
                let nobody = || Failure::Internal("nobody was asked".to_owned());
                return Err(first.unwrap_or_else(nobody));
            }
        };
        first.get_or_insert(failure);
    }
}

/// Why the version that comes first was not asked at all.
fn kept_away(name: &ModelName, model: &Model, reason: Option<Trigger>) -> Option<Failure> {
    match reason? {
        Trigger::Breaker => Some(Failure::BreakerOpen {
            model: name.to_string(),
        }),
        Trigger::Load => Some(model.not_ready(name, None)),
        _ => None,
    }
}

/// One attempt at an answer, and what the deployment learns from it.
fn call(
    models: &Models,
    request: &mut Request,
    (name, version): (&ModelName, Version),
    timeout: Duration,
    decoded: &InferRequest,
) -> Result<Vec<Tensor>, Failure> {
    let Some(modelet) = models.modelet(name, version) else {
        let mut deployment = models.deployment();
        deployment.failed(request, Some(Trigger::Load), models.now());
        return Err(Failure::Internal(format!("{name}/{version} is not loaded")));
    };
    // What is asked of outputs is asked of all of them, whoever wants to see which.
    let is_guarded = models.deployment().guards(request).is_some();
    let called = run(modelet, decoded, is_guarded, timeout);
    let mut deployment = models.deployment();
    let judged = called.and_then(|tensors| {
        let looked_at = if is_guarded { &tensors[..] } else { &[] };
        let numbers = looked_at.iter().map(Tensor::named_numbers);
        match with_numbers(numbers, |numbers| deployment.guard(request, numbers)) {
            Ok(()) => Ok(tensors),
            Err(reason) => Err((Failure::Guarded(reason), Some(Trigger::Guard))),
        }
    });
    match judged {
        Ok(mut tensors) => {
            deployment.answered(request, models.now());
            keep(&mut tensors, &decoded.output_names());
            Ok(tensors)
        }
        Err((failure, trigger)) => {
            deployment.failed(request, trigger, models.now());
            drop(deployment);
            if trigger.is_some() {
                say(format_args!(
                    "an inference failed: {name}/{version}: {failure}"
                ));
            }
            Err(failure)
        }
    }
}

/// Runs a model: all of its outputs, or those that are wanted.
fn run(
    modelet: &Modelet,
    decoded: &InferRequest,
    all: bool,
    timeout: Duration,
) -> Result<Vec<Tensor>, (Failure, Option<Trigger>)> {
    let mut outputs = decoded.output_names();
    let signature = &modelet.facts().metadata.signature;
    let known = signature.check_outputs(outputs.iter().map(String::as_str));
    known.map_err(|unknown| (Failure::Malformed(unknown.to_string()), None))?;
    if all {
        outputs.clear();
    }
    let deadline = Instant::now() + timeout;
    let called = modelet.infer(&decoded.inputs, &outputs, deadline);
    called.map_err(|error| {
        let trigger = trigger(&error);
        (Failure::Infer(error), trigger)
    })
}

fn response(
    asked: &ModelName,
    request: &mut InferRequest,
    outputs: Outputs,
    fallback: Option<Trigger>,
    served_by: &str,
) -> InferResponse {
    let parameters = fallback.map(|reason| {
        [
            (FALLBACK_REASON.to_owned(), reason.word().into()),
            (SERVED_BY.to_owned(), served_by.into()),
        ]
    });
    let (model, version) = match outputs.by {
        Some((model, version)) => (model.to_string(), Some(version.to_string())),
        None => (asked.to_string(), None),
    };
    InferResponse {
        model_name: model,
        model_version: version,
        id: request.id.clone(),
        parameters: parameters.into_iter().flatten().collect(),
        outputs: outputs.tensors,
    }
}
