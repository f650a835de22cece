//! The last stage: what was built must answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use modelet_compiler::{Compiler, Config};
use modelet_runtime::Limits;

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
        let zeros = modelet.facts().metadata.signature.zeros();
        let inputs = zeros.context(
            "a request of zeros would be larger than a model's memory; give `build` requests that it \
             answers with --golden, or smaller shapes with --input",
        )?;
        modelet.infer(&inputs, &[], deadline).context(
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
