//! The engine as a template: compiled once, given a model, and frozen with it.

use anyhow::{Context as _, Result, anyhow};
use modelet_compiler::{Compiled, Compiler};
use modelet_protocol::{Signature, TensorSpec};
use modelet_runtime::{contract, panic_message};
use wasmtime::component::{ComponentExportIndex, ComponentType, Instance, Lift, WasmList};
use wasmtime::{Store, WasmBacktrace};

/// The engine without a model, put inside the tool when the tool is built.
pub const ENGINE: &[u8] = include_bytes!(env!("MODELET_ENGINE"));

/// What refers to what in it, as [`modelet_prune::Links`] are written.
pub const LINKS: &[u8] = include_bytes!(env!("MODELET_LINKS"));

/// The interface that is removed again when the model is in.
pub const LOADING: &str = "modelet:model/loading@0.1.0";

/// What `load` answers.
#[derive(ComponentType, Lift)]
#[component(record)]
struct Answer {
    engine: String,
    #[component(name = "not-prepared")]
    not_prepared: Option<String>,
}

/// The engine, compiled.
pub struct Template {
    compiled: Compiled,
}

/// An engine that holds a model.
pub struct Loaded {
    store: Store<()>,
    instance: Instance,
    pub signature: Signature,
    pub engine: String,
    pub panic_message_address: u32,
    /// Why each request prepares the model anew, if it does.
    pub not_prepared: Option<String>,
}

impl Template {
    /// Takes seconds when the host's cache does not know the engine.
    pub fn compile(host: &Compiler) -> Result<Template> {
        let compiled = host.compile(ENGINE)?;
        Ok(Template { compiled })
    }

    /// Lets a fresh engine read and prepare the model.
    pub fn load(&self, onnx: &[u8], overrides: &[TensorSpec]) -> Result<Loaded> {
        let frame = &self.compiled.frame;
        let mut store = Store::new(frame.engine(), ());
        // A build takes as long as it takes.
        store.set_epoch_deadline(u64::MAX / 2);
        // The snapshot reads all of the guest's memory in one call.
        store.set_hostcall_fuel(usize::MAX);
        let instance = self.compiled.linker()?.instantiate(&mut store, frame)?;
        let overrides: Vec<_> = overrides.iter().map(contract::spec_to_guest).collect();
        let load = function(&mut store, &instance, "load")?;
        let address = function(&mut store, &instance, "panic-message-address")?;
        let (panic_message_address,) = instance
            .get_typed_func::<(), (u32,)>(&mut store, address)?
            .call(&mut store, ())?;
        let answer = instance
            .get_typed_func::<(&[u8], &[contract::TensorSpec]), (Result<Answer, String>,)>(
                &mut store, load,
            )?
            .call(&mut store, (onnx, &overrides));
        let (answer,) = answer.map_err(|error| died(&store, &error, panic_message_address))?;
        let answer = answer.map_err(|reason| anyhow!(reason))?;
        Ok(Loaded {
            signature: contract::describe(&mut store, &instance)?,
            engine: answer.engine,
            panic_message_address,
            not_prepared: answer.not_prepared,
            store,
            instance,
        })
    }
}

impl Loaded {
    /// The memory as it is between two calls.
    pub fn memory(&mut self) -> Result<&[u8]> {
        let memory = function(&mut self.store, &self.instance, "memory")?;
        let (memory,): (WasmList<u8>,) = self
            .instance
            .get_typed_func(&mut self.store, memory)?
            .call(&mut self.store, ())?;
        Ok(memory.as_le_slice(&self.store))
    }
}

/// A function of the loading interface.
fn function(
    store: &mut Store<()>,
    instance: &Instance,
    name: &str,
) -> Result<ComponentExportIndex> {
    let interface = instance
        .get_export_index(&mut *store, None, LOADING)
        .context("the engine does not export its loading interface")?;
    instance
        .get_export_index(&mut *store, Some(&interface), name)
        .with_context(|| format!("the engine does not export `{name}`"))
}

/// The engine stopped instead of refusing: an operator's own assertion, or no memory left.
fn died(store: &Store<()>, error: &wasmtime::Error, panic_message_address: u32) -> anyhow::Error {
    let reason = panic_message(store, error, panic_message_address).unwrap_or_else(|| {
        match error.downcast_ref::<WasmBacktrace>() {
            Some(_) => error.root_cause().to_string(),
            None => format!("{error:#}"),
        }
    });
    anyhow!(
        "the engine stopped while it prepared the model: {reason}; sizes that the file leaves open \
         may be what hinders it: fix them with --input"
    )
}
