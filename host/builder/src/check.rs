//! The last stage: what was built must answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use modelet_protocol::{Dimension, Signature, Tensor, TensorSpec};
use modelet_runtime::{Config, Engine, Limits};

use crate::build::Options;

/// A symbolic dimension is this large in the run on zeros.
const SYMBOL_SIZE: u64 = 1;

/// Loads `component` as a server would and runs the examples, or zeros where there are none.
pub fn check(host: &Engine, component: &[u8], options: &Options) -> Result<()> {
    let limits = Limits {
        memory_bytes: Config::default().max_memory_bytes,
        reuse: false,
    };
    let modelet = host.load(component, limits)?;
    let deadline = Instant::now() + Duration::from_secs(600);
    if options.examples.is_empty() {
        let inputs = zeros(&modelet.facts().metadata.signature);
        modelet.infer(inputs, &[], deadline).context(
            "the built model does not answer a request of zeros; if zeros mean nothing to it, \
                 give `build` requests that it answers with --golden",
        )?;
    }
    for example in &options.examples {
        let wanted: Vec<String> = example
            .outputs
            .iter()
            .map(|tensor| tensor.name.clone())
            .collect();
        let got = modelet
            .infer(example.inputs.clone(), &wanted, deadline)
            .with_context(|| format!("example `{}`", example.name))?;
        for (wanted, got) in example.outputs.iter().zip(&got) {
            if let Err(difference) = wanted.agrees_with(got) {
                bail!("example `{}`: {difference}", example.name);
            }
        }
    }
    Ok(())
}

/// One tensor of zeros, or of empty strings, for each input.
pub fn zeros(signature: &Signature) -> Vec<Tensor> {
    signature.inputs.iter().map(zero).collect()
}

fn zero(spec: &TensorSpec) -> Tensor {
    let shape: Vec<u64> = spec
        .shape
        .iter()
        .map(|dimension| match dimension {
            Dimension::Fixed(size) => *size,
            Dimension::Symbolic(_) => SYMBOL_SIZE,
        })
        .collect();
    // An empty string is four zero bytes: its length.
    let size = spec.datatype.size_bytes().unwrap_or(4) as u64;
    let count: u64 = shape.iter().product();
    Tensor {
        name: spec.name.clone(),
        datatype: spec.datatype,
        shape,
        data: vec![0; (count * size) as usize],
    }
}
