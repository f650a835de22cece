//! The last stage: what was built must answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use modelet_compiler::{Compiler, Config};
use modelet_runtime::{Limits, Modelet};

use crate::build::Options;

/// Loads `component` as a server would and runs the examples, or zeros where there are none.
pub fn check(host: &Compiler, component: &[u8], options: &Options) -> Result<()> {
    let limits = Limits {
        memory_bytes: Config::default().max_memory_bytes,
        reuse: false,
    };
    let modelet = host.load(component, limits)?;
    let deadline = Instant::now() + Duration::from_secs(600);
    if options.examples.is_empty() {
        answer_zeros(&modelet, deadline)?;
    }
    for example in &options.examples {
        let wanted: Vec<String> = example
            .outputs
            .iter()
            .map(|tensor| tensor.name.clone())
            .collect();
        let got = modelet
            .infer(&example.inputs, &wanted, deadline)
            .with_context(|| format!("golden case `{}`", example.name))?;
        for (wanted, got) in example.outputs.iter().zip(&got) {
            if let Err(difference) = wanted.agrees_with(got) {
                bail!("golden case `{}`: {difference}", example.name);
            }
        }
    }
    Ok(())
}

/// Runs the model on zeros. The error is that of the first request, which is the smallest.
fn answer_zeros(modelet: &Modelet, deadline: Instant) -> Result<()> {
    let mut error = None;
    for inputs in modelet.facts().metadata.signature.zeros() {
        match modelet.infer(&inputs, &[], deadline) {
            Ok(_) => return Ok(()),
            Err(other) => error.get_or_insert(other),
        };
    }
    let error = error.context(
        "a request of zeros would be larger than a model's memory; give `build` requests that it \
         answers with --golden, or smaller shapes with --input",
    )?;
    Err(error).context(
        "the built model does not answer a request of zeros; if zeros mean nothing to it, \
         give `build` requests that it answers with --golden",
    )
}
