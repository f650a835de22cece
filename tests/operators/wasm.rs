//! The modelet that is built of a case, which holds the code that its calls reach.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use modelet_builder::{Builder, Options};
use modelet_compiler::{Compiler, Config};
use modelet_engine::{Datatype, Tensor};
use modelet_protocol::GoldenCase;
use modelet_runtime::Limits;

/// Long enough on a busy machine; a case that needs more than a second hangs.
const DEADLINE: Duration = Duration::from_secs(60);

pub struct Host {
    compiler: Compiler,
    builder: Builder,
}

impl Host {
    pub fn new() -> Host {
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("operators-cache");
        let config = Config {
            cache: Some(cache.clone()),
            max_instances: 8,
            ..Config::default()
        };
        Host {
            compiler: Compiler::new(&config).unwrap(),
            builder: Builder::new(Some(cache)).unwrap(),
        }
    }

    pub fn run(&self, onnx: &[u8], inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
        let inputs: Vec<_> = inputs.iter().map(to_guest).collect();
        // Zeros mean nothing to many of them.
        let example = GoldenCase {
            name: "the case".to_owned(),
            inputs: inputs.clone(),
            outputs: vec![],
        };
        let options = Options {
            examples: vec![example],
            ..Options::default()
        };
        let built = self
            .builder
            .build(onnx, &options, &mut |_| ())
            .map_err(|error| format!("{error:#}"))?;
        let limits = Limits {
            memory_bytes: 1 << 30,
            reuse: false,
        };
        let modelet = self.compiler.load(&built.component, limits).unwrap();
        let outputs = modelet
            .infer(&inputs, &[], Instant::now() + DEADLINE)
            .map_err(|error| error.to_string())?;
        Ok(outputs.into_iter().map(from_guest).collect())
    }
}

/// The engine and its hosts each have a list of their own.
const DATATYPES: [(Datatype, modelet_protocol::Datatype); 13] = [
    (Datatype::Bool, modelet_protocol::Datatype::Bool),
    (Datatype::Uint8, modelet_protocol::Datatype::Uint8),
    (Datatype::Uint16, modelet_protocol::Datatype::Uint16),
    (Datatype::Uint32, modelet_protocol::Datatype::Uint32),
    (Datatype::Uint64, modelet_protocol::Datatype::Uint64),
    (Datatype::Int8, modelet_protocol::Datatype::Int8),
    (Datatype::Int16, modelet_protocol::Datatype::Int16),
    (Datatype::Int32, modelet_protocol::Datatype::Int32),
    (Datatype::Int64, modelet_protocol::Datatype::Int64),
    (Datatype::Fp16, modelet_protocol::Datatype::Fp16),
    (Datatype::Fp32, modelet_protocol::Datatype::Fp32),
    (Datatype::Fp64, modelet_protocol::Datatype::Fp64),
    (Datatype::Bytes, modelet_protocol::Datatype::Bytes),
];

fn to_guest(tensor: &Tensor) -> modelet_protocol::Tensor {
    let datatype = DATATYPES
        .iter()
        .find(|(native, _)| *native == tensor.datatype);
    modelet_protocol::Tensor {
        name: tensor.name.clone(),
        datatype: datatype.expect("all datatypes are listed").1,
        shape: tensor.shape.clone(),
        data: tensor.data.clone(),
    }
}

fn from_guest(tensor: modelet_protocol::Tensor) -> Tensor {
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
