//! What a call costs inside one process, without a server around it.

mod runtimes;
mod zoo;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use modelet_compiler::{Compiler, Config};
use modelet_protocol::{Dimension, Tensor};
use modelet_runtime::{Limits, Modelet};
use wasmtime::Store;

use crate::table::{Table, quantile, time};
use crate::{Bench, Model};

/// For each thing that is measured, and at least three times.
const BUDGET: Duration = Duration::from_secs(3);

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let compiler = Compiler::new(&Config {
        cache: Some(bench.cache()),
        max_instances: 4,
        ..Config::default()
    })?;
    for model in &bench.models {
        let median = instantiate(&compiler, &fs::read(bench.artifact(model))?)?;
        table.row(
            format!("instantiate: {}", model.name),
            time(median),
            "≤ 10 µs median",
        );
    }
    for (name, first_promise, warm_promise) in [
        ("mobilenet", "≤ 1.3", "≤ 1.15"),
        ("mobilenet-open", "", ""),
        ("resnet50", "", "≤ 1.8"),
        ("magika", "", "≤ 1.6"),
        ("iris", "", "warm ≤ 3 µs"),
    ] {
        let model = bench.model(name)?;
        let (first, warm, native) = calls(&compiler, bench, model)?;
        table.row(
            format!("first inference in a fresh instance ÷ warm: {name}"),
            ratio(first, warm),
            first_promise,
        );
        table.row(
            format!("warm inference ÷ native tract: {name}"),
            ratio(warm, native),
            warm_promise,
        );
    }
    runtimes::measure(&compiler, bench, table)?;
    zoo::measure(bench, table)
}

/// The median of instances that are started and ended, one after the other.
fn instantiate(compiler: &Compiler, component: &[u8]) -> Result<Duration> {
    let compiled = compiler.compile(component)?;
    let linker = compiled.linker::<()>()?;
    let pre = linker.instantiate_pre(&compiled.frame)?;
    let instance = || {
        let mut store = Store::new(pre.engine(), ());
        store.set_epoch_deadline(1_000_000);
        pre.instantiate(&mut store)?;
        Ok(())
    };
    median(instance)
}

/// The medians of a call in a fresh instance, in one that is reused, and in the native engine.
fn calls(
    compiler: &Compiler,
    bench: &Bench,
    model: &Model,
) -> Result<(Duration, Duration, Duration)> {
    let (fresh, reused) = (
        load(compiler, bench, model, false)?,
        load(compiler, bench, model, true)?,
    );
    let inputs = zeros(&fresh)?;
    let native = modelet_engine::load(&fs::read(&model.onnx)?, &overrides(&fresh))
        .map_err(|reason| anyhow!(reason))?;
    let native_inputs: Vec<_> = inputs.iter().map(native_tensor).collect::<Result<_>>()?;
    let native_call = || {
        native
            .infer(native_inputs.clone(), &[])
            .map_err(|error| anyhow!("{error:?}"))?;
        Ok(())
    };
    Ok((
        median(|| call(&fresh, &inputs))?,
        median(|| call(&reused, &inputs))?,
        median(native_call)?,
    ))
}

/// With instances that are reused, or a fresh one for each call.
fn load(compiler: &Compiler, bench: &Bench, model: &Model, reuse: bool) -> Result<Modelet> {
    let component = fs::read(bench.artifact(model))?;
    let memory_bytes = 1 << 30;
    let limits = Limits {
        memory_bytes,
        reuse,
    };
    Ok(compiler.load(&component, limits)?)
}

fn zeros(modelet: &Modelet) -> Result<Vec<Tensor>> {
    let zeros = modelet.facts().metadata.signature.zeros().next();
    zeros.context("the inputs are too large")
}

fn call(modelet: &Modelet, inputs: &[Tensor]) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(600);
    modelet.infer(inputs, &[], deadline)?;
    Ok(())
}

fn ratio(one: Duration, other: Duration) -> String {
    let ratio = one.as_secs_f64() / other.as_secs_f64();
    format!("{ratio:.2} ({} / {})", time(one), time(other))
}

/// What the modelet was built with, so that the native engine optimises the same graph.
fn overrides(modelet: &Modelet) -> Vec<modelet_engine::TensorSpec> {
    let signature = &modelet.facts().metadata.signature;
    let spec = |spec: &modelet_protocol::TensorSpec| {
        Some(modelet_engine::TensorSpec {
            name: spec.name.clone(),
            datatype: native_datatype(spec.datatype).ok()?,
            shape: spec
                .shape
                .iter()
                .map(|dimension| match dimension {
                    Dimension::Fixed(size) => modelet_engine::Dimension::Fixed(*size),
                    Dimension::Symbolic(name) => {
                        modelet_engine::Dimension::Symbolic(name.to_string())
                    }
                })
                .collect(),
        })
    };
    signature.inputs.iter().filter_map(spec).collect()
}

fn native_tensor(tensor: &Tensor) -> Result<modelet_engine::Tensor> {
    Ok(modelet_engine::Tensor {
        name: tensor.name.clone(),
        datatype: native_datatype(tensor.datatype)?,
        shape: tensor.shape.clone(),
        data: tensor.data.clone(),
    })
}

fn native_datatype(datatype: modelet_protocol::Datatype) -> Result<modelet_engine::Datatype> {
    use modelet_protocol::Datatype::{Fp32, Int32};

    match datatype {
        Fp32 => Ok(modelet_engine::Datatype::Fp32),
        Int32 => Ok(modelet_engine::Datatype::Int32),
        other => Err(anyhow!("no model measured here takes {other}")),
    }
}

/// The median time of `work`, once it has run once.
fn median(work: impl Fn() -> Result<()>) -> Result<Duration> {
    work().context("the first of many")?;
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || start.elapsed() < BUDGET {
        let begin = Instant::now();
        work()?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok(quantile(&times, 0.5))
}
