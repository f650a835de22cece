//! Compiles a modelet for another machine, into a file that a host without a compiler maps and runs.

use modelet_artifact::inspect;
use modelet_runtime::{LoadError, Target, precompiled};

/// Checks a modelet and compiles it. Takes seconds.
pub fn precompile(modelet: &[u8], target: Target) -> Result<Vec<u8>, LoadError> {
    let facts = inspect(modelet)?;
    let code = target
        .to_compile()
        .and_then(|settings| wasmtime::Engine::new(&settings))
        .and_then(|engine| engine.precompile_component(modelet))
        .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    Ok(precompiled::seal(code, target, &facts))
}
