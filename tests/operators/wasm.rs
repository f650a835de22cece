//! The engine as a component, a fresh instance for each case.

use std::path::Path;
use std::thread;
use std::time::Duration;

use modelet_engine::{Datatype, Tensor};
use wasmtime::component::{Component as Compiled, Linker};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};

mod bindings {
    wasmtime::component::bindgen!({ path: "guest/wit", world: "engine" });
}

use bindings::exports::modelet::model::inference;

const TICK: Duration = Duration::from_millis(100);
/// Long enough on a busy machine; a case that needs more than a second hangs.
const DEADLINE_TICKS: u64 = 600;
const MEMORY_BYTES: usize = 1 << 30;

pub struct Component {
    engine: Engine,
    ready: bindings::EnginePre<StoreLimits>,
}

impl Component {
    pub fn compile(path: &Path) -> Component {
        let mut config = wasmtime::Config::new();
        config
            .wasm_relaxed_simd(true)
            .epoch_interruption(true)
            .max_wasm_stack(2 << 20);
        let engine = Engine::new(&config).unwrap();
        let compiled = Compiled::from_file(&engine, path).unwrap();
        let ready = Linker::new(&engine).instantiate_pre(&compiled).unwrap();
        let clock = engine.weak();
        thread::spawn(move || {
            while let Some(engine) = clock.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(TICK);
            }
        });
        Component {
            engine,
            ready: bindings::EnginePre::new(ready).unwrap(),
        }
    }

    pub fn run(&self, onnx: &[u8], inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES).build();
        let mut store = Store::new(&self.engine, limits);
        store.limiter(|limits| limits);
        store.set_epoch_deadline(DEADLINE_TICKS);
        let died = |error: wasmtime::Error| format!("trap: {}", error.root_cause());
        let engine = self.ready.instantiate(&mut store).map_err(died)?;
        engine
            .modelet_model_loading()
            .call_load(&mut store, onnx, &[])
            .map_err(died)??;
        let inputs: Vec<_> = inputs.iter().map(to_guest).collect();
        let outputs = engine
            .modelet_model_inference()
            .call_infer(&mut store, &inputs, &[])
            .map_err(died)?;
        match outputs {
            Ok(outputs) => Ok(outputs.into_iter().map(from_guest).collect()),
            Err(inference::Error::InvalidInput(reason) | inference::Error::ModelFailed(reason)) => {
                Err(reason)
            }
        }
    }
}

/// The two lists of datatypes are generated from one file.
const DATATYPES: [(Datatype, inference::Datatype); 13] = [
    (Datatype::Bool, inference::Datatype::Bool),
    (Datatype::Uint8, inference::Datatype::Uint8),
    (Datatype::Uint16, inference::Datatype::Uint16),
    (Datatype::Uint32, inference::Datatype::Uint32),
    (Datatype::Uint64, inference::Datatype::Uint64),
    (Datatype::Int8, inference::Datatype::Int8),
    (Datatype::Int16, inference::Datatype::Int16),
    (Datatype::Int32, inference::Datatype::Int32),
    (Datatype::Int64, inference::Datatype::Int64),
    (Datatype::Fp16, inference::Datatype::Fp16),
    (Datatype::Fp32, inference::Datatype::Fp32),
    (Datatype::Fp64, inference::Datatype::Fp64),
    (Datatype::Bytes, inference::Datatype::Bytes),
];

fn to_guest(tensor: &Tensor) -> inference::Tensor {
    let datatype = DATATYPES
        .iter()
        .find(|(native, _)| *native == tensor.datatype);
    inference::Tensor {
        name: tensor.name.clone(),
        datatype: datatype.expect("all datatypes are listed").1,
        shape: tensor.shape.clone(),
        data: tensor.data.clone(),
    }
}

fn from_guest(tensor: inference::Tensor) -> Tensor {
    let datatype = DATATYPES
        .iter()
        .find(|(_, guest)| *guest == tensor.datatype);
    Tensor {
        name: tensor.name,
        datatype: datatype.expect("all datatypes are listed").0,
        shape: tensor.shape,
        data: tensor.data,
    }
}
