//! One instance of a modelet and what it may use.

use std::time::{Duration, Instant};

use modelet_protocol::Tensor;
use wasmtime::{AsContext, ResourceLimiter, Store, Trap, UpdateDeadline, WasmCoreDump};

use crate::bindings::exports::modelet::model::inference::Error as GuestError;
use crate::bindings::{Modelet as Exports, ModeletPre};
use crate::contract::{from_guest, signature, to_guest};
use crate::engine::{TABLE_ELEMENTS, TICK};
use crate::{InferError, LoadError};

/// Starting an instance runs no model; a call sets its own deadline.
const TO_START: Duration = Duration::from_secs(10);

/// A live instance with its memory.
pub struct Instance {
    store: Store<Bounds>,
    exports: Exports,
}

/// Holds an instance to its memory limit and remembers that it hit it, and to its deadline.
pub struct Bounds {
    limit_bytes: usize,
    denied: bool,
    deadline: Instant,
}

impl Bounds {
    /// What follows when the ticks are used up: a clock that was late counts the ticks of before
    /// in a call, so that they may be over before the time is.
    fn after_the_ticks(&self) -> UpdateDeadline {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => UpdateDeadline::Interrupt,
            false => UpdateDeadline::Continue(ticks(left)),
        }
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= self.limit_bytes;
        self.denied |= !allowed;
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

impl Instance {
    pub fn new(pre: &ModeletPre<Bounds>, memory_bytes: u64) -> wasmtime::Result<Instance> {
        let limit_bytes = usize::try_from(memory_bytes)?;
        let bounds = Bounds {
            limit_bytes,
            denied: false,
            deadline: Instant::now() + TO_START,
        };
        let mut store = Store::new(pre.engine(), bounds);
        store.limiter(|bounds| bounds);
        store.set_epoch_deadline(ticks(TO_START));
        store.epoch_deadline_callback(|store| Ok(store.data().after_the_ticks()));
        // What may be read out of the guest is bounded by the guest's memory.
        store.set_hostcall_fuel(limit_bytes);
        let exports = pre.instantiate(&mut store)?;
        Ok(Instance { store, exports })
    }

    /// The signature the guest itself gives.
    pub fn describe(&mut self) -> wasmtime::Result<modelet_protocol::Signature> {
        self.exports
            .modelet_model_inference()
            .call_describe(&mut self.store)
            .map(signature)
    }

    /// After an error other than `InvalidInput` and `ModelFailed` the instance is dead.
    pub fn infer(
        &mut self,
        inputs: &[Tensor],
        outputs: &[String],
        deadline: Instant,
        panic_message_address: u32,
    ) -> Result<Vec<Tensor>, InferError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(InferError::DeadlineExceeded);
        }
        self.store.data_mut().deadline = deadline;
        self.store.set_epoch_deadline(ticks(left));
        let inputs: Vec<_> = inputs.iter().map(to_guest).collect();
        let outputs: Vec<_> = outputs.iter().map(String::as_str).collect();
        match self
            .exports
            .modelet_model_inference()
            .call_infer(&mut self.store, &inputs, &outputs)
        {
            Ok(Ok(outputs)) => Ok(outputs.into_iter().map(from_guest).collect()),
            Ok(Err(GuestError::InvalidInput(reason))) => Err(InferError::InvalidInput(reason)),
            Ok(Err(GuestError::ModelFailed(reason))) => Err(InferError::ModelFailed(reason)),
            Err(error) => Err(self.cause(&error, panic_message_address)),
        }
    }

    fn cause(&mut self, error: &wasmtime::Error, panic_message_address: u32) -> InferError {
        if self.store.data().denied {
            return InferError::MemoryLimit {
                limit_bytes: self.store.data().limit_bytes as u64,
            };
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => InferError::DeadlineExceeded,
            trap => InferError::Trap(
                panic_message(&self.store, error, panic_message_address)
                    .or_else(|| trap.map(Trap::to_string))
                    .unwrap_or_else(|| format!("{error:#}")),
            ),
        }
    }
}

/// What the guest's panic hook left in its memory, where `error` is that it stopped. The address and what lies there
/// come from the artifact, so both are only ever used as an index and as text.
pub fn panic_message(
    store: impl AsContext,
    error: &wasmtime::Error,
    address: u32,
) -> Option<String> {
    let dump = error.downcast_ref::<WasmCoreDump>()?;
    dump.memories().iter().find_map(|memory| {
        let rest = memory.data(&store).get(address as usize..)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let text = rest.get(..u32::from_le_bytes(*length) as usize)?;
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    })
}

/// Epoch ticks that cover `time`, one more because the running tick has begun already.
fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos()) + 1;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Why an instance could not be made.
pub fn start_error(error: &wasmtime::Error) -> InferError {
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return InferError::Exhausted(error.to_string());
    }
    InferError::Trap(format!("the instance did not start: {error:#}"))
}

/// Why a modelet does not fit this host.
pub fn load_error(error: &wasmtime::Error) -> LoadError {
    LoadError::Limits(format!("{error:#}"))
}
