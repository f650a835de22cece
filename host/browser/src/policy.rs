//! [`Deployment`] as JavaScript sees it. Times are milliseconds.

use std::collections::BTreeMap;
use std::time::Duration;

use js_sys::{Array, Object};
use modelet_policy::deployment::{Caller, Deployment, Request, Step};
use modelet_policy::fallback::Trigger;
use modelet_policy::guard::with_numbers;
use modelet_policy::spec::ModelSpec;
use modelet_protocol::Tensor;
use wasm_bindgen::prelude::*;

use crate::values::{field, record, tensors, texts};

/// Decides for one page.
#[wasm_bindgen]
#[derive(Default)]
pub struct Policy {
    deployment: Deployment,
    seed: u32,
}

/// A request on its way.
#[wasm_bindgen]
pub struct Pending {
    request: Request,
}

#[wasm_bindgen]
impl Policy {
    /// `seed` is different for every page.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: u32) -> Policy {
        Policy {
            seed,
            ..Policy::default()
        }
    }

    /// `policy` is what a `model.toml` holds, in JSON. The error lists everything that is wrong with it.
    pub fn add(
        &mut self,
        name: &str,
        policy: &str,
        versions: &JsValue,
        then: &JsValue,
    ) -> Result<(), JsError> {
        let lists = texts(versions).and_then(|versions| Ok((versions, texts(then)?)));
        let (versions, then) = lists.map_err(error)?;
        let seed = u64::from(self.seed);
        self.deployment
            .add(name, read(policy).map_err(error)?, &versions, &then, seed)
            .map_err(error)
    }

    /// Routes a request of `caller`: `{version, key, id, headers, cookies, parameters}`.
    pub fn begin(
        &self,
        model: &str,
        caller: &JsValue,
        deadline: f64,
        now: f64,
    ) -> Result<Pending, JsError> {
        let caller = Caller {
            version: field(caller, "version").as_string(),
            key: field(caller, "key").as_string(),
            id: field(caller, "id").as_string().unwrap_or_default(),
            headers: map(&field(caller, "headers"), true),
            cookies: map(&field(caller, "cookies"), false),
            parameters: map(&field(caller, "parameters"), false),
            // A page does not know its own.
            address: None,
        };
        let begun = self
            .deployment
            .begin(model, &caller, time(deadline), time(now));
        Ok(Pending {
            request: begun.map_err(|unknown| error(unknown.to_string()))?,
        })
    }

    /// What follows: `{model, version, timeout}`, `{outputs}` for the text of a static answer,
    /// or undefined.
    pub fn step(&mut self, pending: &mut Pending, now: f64) -> JsValue {
        match self.deployment.step(&mut pending.request, time(now)) {
            Step::Ask {
                model,
                version,
                timeout,
            } => record(&[
                ("model", JsValue::from_str(model.as_str())),
                ("version", JsValue::from_str(&version.to_string())),
                ("timeout", JsValue::from_f64(timeout.as_secs_f64() * 1e3)),
            ]),
            Step::Static(outputs) => record(&[("outputs", JsValue::from_str(&outputs))]),
            Step::End => JsValue::UNDEFINED,
        }
    }

    /// Whether what is asked now has its answers looked at.
    pub fn guards(&self, pending: &Pending) -> bool {
        self.deployment.guards(&pending.request).is_some()
    }

    /// Takes an answer, without its outputs where nobody looks at them; the text that it returns is why the answer may not be given.
    pub fn answered(
        &mut self,
        pending: &mut Pending,
        outputs: &JsValue,
        now: f64,
    ) -> Option<String> {
        let outputs = tensors(outputs);
        let judged = outputs.and_then(|outputs| self.judge(&pending.request, &outputs));
        let now = time(now);
        match judged {
            Ok(()) => self.deployment.answered(&mut pending.request, now),
            Err(_) => self
                .deployment
                .failed(&mut pending.request, Some(Trigger::Guard), now),
        }
        judged.err()
    }

    /// Takes a failure. Without one of the policy's words it is the caller's own doing.
    pub fn failed(&mut self, pending: &mut Pending, trigger: Option<String>, now: f64) {
        let trigger = trigger.and_then(|word| {
            let mut all = Trigger::ALL.into_iter();
            all.find(|trigger| trigger.word() == word)
        });
        self.deployment
            .failed(&mut pending.request, trigger, time(now));
    }
}

impl Policy {
    fn judge(&self, request: &Request, outputs: &[Tensor]) -> Result<(), String> {
        if self.deployment.guards(request).is_none() {
            return Ok(());
        }
        let numbers = outputs.iter().map(Tensor::named_numbers);
        with_numbers(numbers, |numbers| self.deployment.guard(request, numbers))
    }
}

#[wasm_bindgen]
impl Pending {
    /// Why the first attempt failed, in one of the policy's words.
    pub fn reason(&self) -> Option<String> {
        let reason = self.request.reason();
        reason.map(|trigger| trigger.word().to_owned())
    }
}

fn read(policy: &str) -> Result<ModelSpec, String> {
    let mut json = serde_json::Deserializer::from_str(policy);
    let spec = ModelSpec::read(&mut json).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    Ok(spec)
}

fn time(milliseconds: f64) -> Duration {
    Duration::try_from_secs_f64(milliseconds / 1e3).unwrap_or_default()
}

fn map(object: &JsValue, lower: bool) -> BTreeMap<String, String> {
    let Some(object) = object.dyn_ref::<Object>() else {
        return BTreeMap::new();
    };
    let pair = |pair: JsValue| {
        let pair: Array = pair.into();
        let name = pair.get(0).as_string()?;
        let name = match lower {
            true => name.to_ascii_lowercase(),
            false => name,
        };
        Some((name, pair.get(1).as_string()?))
    };
    let entries = Object::entries(object);
    entries.iter().filter_map(pair).collect()
}

fn error(reason: String) -> JsError {
    JsError::new(&reason)
}
