//! One call beside other runtimes of ONNX, each in a process of its own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use modelet_compiler::Compiler;

use super::{call, load, median, ratio, zeros};
use crate::Bench;
use crate::table::{Table, quantile};

const ROUNDS: usize = 3;

/// Of the peer, in each round.
const SECONDS: &str = "3";

/// Where `cargo xtask` installs it, if there is npm.
const WEB: &str = "target/browser/node_modules/onnxruntime-web";

pub fn measure(compiler: &Compiler, bench: &Bench, table: &mut Table) -> Result<()> {
    for (name, of_runtime, of_web) in [
        ("mobilenet", "≤ 2.2", "≤ 0.65"),
        ("mobilenet-int8", "", ""),
        ("resnet50-int8", "", ""),
    ] {
        let mut python = Command::new(&bench.python);
        python.arg("tests/bench/ort.py");
        let what = format!("warm inference ÷ ONNX Runtime, one thread: {name}");
        let measured = beside(compiler, bench, name, &mut python)?;
        table.row(what, measured, of_runtime);
        let mut node = Command::new("node");
        node.arg("tests/bench/ort.mjs");
        let measured = match Path::new(WEB).exists() {
            true => beside(compiler, bench, name, &mut node)?,
            false => "not measured: there is no Node.js with npm".to_owned(),
        };
        let what = format!("warm inference ÷ onnxruntime-web in Node, one thread: {name}");
        table.row(what, measured, of_web);
    }
    for name in ["mobilenet", "resnet50"] {
        let what = format!("warm inference, int8 ÷ f32: {name}");
        table.row(what, quantized(compiler, bench, name)?, "");
    }
    Ok(())
}

fn quantized(compiler: &Compiler, bench: &Bench, name: &str) -> Result<String> {
    let prepared = |name: &str| -> Result<_> {
        let modelet = load(compiler, bench, bench.model(name)?, true)?;
        let inputs = zeros(&modelet)?;
        Ok((modelet, inputs))
    };
    let (bytes, floats) = (prepared(&format!("{name}-int8"))?, prepared(name)?);
    in_turns(
        || median(|| call(&bytes.0, &bytes.1)),
        || median(|| call(&floats.0, &floats.1)),
    )
}

fn beside(compiler: &Compiler, bench: &Bench, name: &str, peer: &mut Command) -> Result<String> {
    let model = bench.model(name)?;
    peer.arg(&model.onnx).arg(SECONDS);
    let modelet = load(compiler, bench, model, true)?;
    let inputs = zeros(&modelet)?;
    in_turns(|| median(|| call(&modelet, &inputs)), || said(peer))
}

/// So that a busy moment is not the loss of one.
fn in_turns(
    mut one: impl FnMut() -> Result<Duration>,
    mut other: impl FnMut() -> Result<Duration>,
) -> Result<String> {
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ones.push(one()?);
        others.push(other()?);
    }
    ones.sort_unstable();
    others.sort_unstable();
    Ok(ratio(quantile(&ones, 0.5), quantile(&others, 0.5)))
}

/// The seconds that a peer prints when it is done.
fn said(peer: &mut Command) -> Result<Duration> {
    let output = peer
        .output()
        .with_context(|| format!("{peer:?} does not start"))?;
    let (said, failed) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "{peer:?}: {failed}");
    let seconds = said.trim().parse();
    Ok(Duration::from_secs_f64(seconds.with_context(|| {
        format!("{peer:?} says something else: {said}")
    })?))
}
