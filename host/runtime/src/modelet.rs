//! A loaded modelet: the part of a call that is the same for every instance.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use modelet_artifact::Facts;
use modelet_protocol::Tensor;
use wasmtime::component::{Component, Linker};

use crate::bindings::ModeletPre;
use crate::instance::{Bounds, Instance, load_error, start_error};
use crate::{InferError, LoadError};

/// What one call may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: u64,
    /// Keep an instance for the next request instead of discarding it after each.
    pub reuse: bool,
}

/// A modelet ready to be called. Cheap to clone; calls may run at the same time.
#[derive(Clone)]
pub struct Modelet {
    shared: Arc<Shared>,
}

struct Shared {
    pre: ModeletPre<Bounds>,
    /// What it was made of, for whoever makes others of the same.
    _parts: Box<dyn Any + Send + Sync>,
    facts: Facts,
    limits: Limits,
    /// Instances between two requests; stays empty unless the modelet reuses them.
    idle: Mutex<Vec<Instance>>,
    max_idle: usize,
}

impl Modelet {
    /// Starts one instance, so that limits which do not fit and a signature that lies show now
    /// and not at the first request. `parts` are held on to as long as it is used.
    pub fn new(
        linker: &Linker<Bounds>,
        component: &Component,
        facts: Facts,
        limits: Limits,
        parts: impl Any + Send + Sync,
    ) -> Result<Modelet, LoadError> {
        let pre = linker
            .instantiate_pre(component)
            .and_then(ModeletPre::new)
            .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        let described = Instance::new(&pre, limits.memory_bytes)
            .and_then(|mut instance| instance.describe())
            .map_err(|error| load_error(&error))?;
        if described != facts.metadata.signature {
            return Err(LoadError::Signature);
        }
        let max_idle = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Modelet {
            shared: Arc::new(Shared {
                pre,
                _parts: Box::new(parts),
                facts,
                limits,
                idle: Mutex::default(),
                max_idle,
            }),
        })
    }

    /// What the artifact says about itself.
    pub fn facts(&self) -> &Facts {
        &self.shared.facts
    }

    /// Runs the model once, blocking the thread. `outputs` names the wanted ones; empty means all.
    /// Names, datatypes, shapes and data are checked against the signature first.
    pub fn infer(
        &self,
        inputs: &[Tensor],
        outputs: &[String],
        deadline: Instant,
    ) -> Result<Vec<Tensor>, InferError> {
        let metadata = &self.shared.facts.metadata;
        let signature = &metadata.signature;
        signature
            .check_inputs(inputs)
            .and_then(|()| signature.check_outputs(outputs.iter().map(String::as_str)))
            .map_err(|error| InferError::InvalidInput(error.to_string()))?;
        let mut instance = self.take()?;
        let answer = instance.infer(inputs, outputs, deadline, metadata.panic_message_address);
        if answer.is_ok() {
            self.put_back(instance);
        }
        answer
    }

    fn take(&self) -> Result<Instance, InferError> {
        if self.shared.limits.reuse {
            // By itself, so that nobody waits for the lock while an instance is made.
            let idle = self.idle().pop();
            if let Some(instance) = idle {
                return Ok(instance);
            }
        }
        Instance::new(&self.shared.pre, self.shared.limits.memory_bytes)
            .map_err(|error| start_error(&error))
    }

    fn put_back(&self, instance: Instance) {
        if !self.shared.limits.reuse {
            return;
        }
        let mut idle = self.idle();
        if idle.len() < self.shared.max_idle {
            idle.push(instance);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        // Only pushes and pops happen under the lock, so a poisoned list is still a sound one.
        self.shared
            .idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
