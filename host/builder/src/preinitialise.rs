//! The engine as a template: compiled once, given a model, and frozen with it.

use anyhow::{Context as _, Result, anyhow};
use modelet_artifact::sha256_hex;
use modelet_protocol::{Signature, TensorSpec};
use modelet_runtime::{CodeCache, contract};
use wasmtime::component::{Component, ComponentType, Instance, Lift, Linker};
use wasmtime::{Engine, Store, WasmBacktrace};
use wasmtime_wizer::{ComponentContext, Wizer};

use crate::snapshot::Reader;

/// The engine without a model, put inside the tool when the tool is built.
const ENGINE: &[u8] = include_bytes!(env!("MODELET_ENGINE"));

/// The interface that is removed again when the model is in.
pub const LOADING: &str = "modelet:model/loading@0.1.0";

/// What `load` answers.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Answer {
    engine: String,
    #[component(name = "panic-message-address")]
    panic_message_address: u32,
}

/// The engine made ready for a snapshot, and compiled.
pub struct Template {
    wizer: Wizer,
    context: ComponentContext<'static>,
    component: Component,
    engine: Engine,
}

/// An engine that holds a model.
pub struct Loaded {
    store: Store<()>,
    instance: Instance,
    pub signature: Signature,
    pub engine: String,
    pub panic_message_address: u32,
}

impl Template {
    /// Takes seconds when `cache` is empty.
    pub fn compile(cache: &CodeCache) -> Result<Template> {
        let mut settings = wasmtime::Config::new();
        settings
            .wasm_relaxed_simd(true)
            .max_wasm_stack(1 << 20)
            // The snapshot's reader is async: its stack holds the guest's and some of the host's.
            .async_stack_size(10 << 20);
        // The same code as the runtime's, so that the two share what is cached.
        settings.epoch_interruption(true);
        cache.share_functions(&mut settings)?;
        let engine = Engine::new(&settings)?;
        let wizer = Wizer::new();
        let (context, instrumented) = wizer.instrument_component(ENGINE)?;
        let component = cache.component(&engine, &instrumented, &sha256_hex(&instrumented))?;
        Ok(Template {
            wizer,
            context,
            component,
            engine,
        })
    }

    /// Lets a fresh engine read and prepare the model.
    pub fn load(&self, onnx: &[u8], overrides: &[TensorSpec]) -> Result<Loaded> {
        let mut store = Store::new(&self.engine, ());
        // Nobody advances this engine's epoch: a build takes as long as it takes.
        store.set_epoch_deadline(1);
        // The snapshot reads all of the guest's memory in one call.
        store.set_hostcall_fuel(usize::MAX);
        let linker = Linker::new(&self.engine);
        let instance = linker.instantiate(&mut store, &self.component)?;
        let overrides: Vec<_> = overrides.iter().map(contract::spec_to_guest).collect();
        let answer = call_load(&mut store, &instance, onnx, &overrides)?;
        Ok(Loaded {
            signature: contract::describe(&mut store, &instance)?,
            engine: answer.engine,
            panic_message_address: answer.panic_message_address,
            store,
            instance,
        })
    }

    /// The component with the memory of `loaded` inside.
    pub fn snapshot(&self, loaded: &mut Loaded) -> Result<Vec<u8>> {
        let mut reader = Reader {
            store: &mut loaded.store,
            instance: loaded.instance,
        };
        // Every call under it returns at once; there is nothing to wait for.
        pollster::block_on(self.wizer.snapshot_component(&self.context, &mut reader))
            .map_err(|error| anyhow::Error::from(error).context("the snapshot could not be taken"))
    }
}

fn call_load(
    store: &mut Store<()>,
    instance: &Instance,
    onnx: &[u8],
    overrides: &[contract::TensorSpec],
) -> Result<Answer> {
    let interface = instance
        .get_export_index(&mut *store, None, LOADING)
        .context("the engine does not export its loading interface")?;
    let load = instance
        .get_export_index(&mut *store, Some(&interface), "load")
        .context("the engine does not export `load`")?;
    instance
        .get_typed_func::<(&[u8], &[contract::TensorSpec]), (Result<Answer, String>,)>(
            &mut *store,
            load,
        )?
        .call(store, (onnx, overrides))
        .map_err(died)?
        .0
        .map_err(|reason| anyhow!(reason))
}

/// The engine stopped instead of refusing: an operator's own assertion, or no memory left.
fn died(error: wasmtime::Error) -> anyhow::Error {
    let reason = match error.downcast_ref::<WasmBacktrace>() {
        Some(_) => error.root_cause().to_string(),
        None => format!("{error:#}"),
    };
    anyhow!("the engine stopped while it prepared the model: {reason}")
}
