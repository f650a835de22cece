//! What it costs to make an artifact, and how large it is.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::process::run;
use crate::table::{Table, megabytes, time};
use crate::{Bench, Model};

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    for name in ["large", "resnet50"] {
        let mut make = Command::new(&bench.python);
        make.arg(format!("tests/bench/{name}.py"));
        run(make.arg(&bench.model(name)?.onnx))?;
    }
    for name in ["mobilenet", "resnet50"] {
        let quantized = bench.model(&format!("{name}-int8"))?;
        let mut make = Command::new(&bench.python);
        make.arg("tests/bench/quantized.py");
        run(make.args([&bench.model(name)?.onnx, &quantized.onnx]))?;
    }
    let first = bench.model("iris")?;
    table.row("first `build` ever, iris", timed(bench, first)?, "");
    for (name, promise) in [
        ("digits", "≤ 2 s"),
        ("magika", "≤ 2 s"),
        ("mobilenet", "≤ 1 s"),
        ("mobilenet-open", "≤ 1 s"),
        ("resnet50", ""),
        ("mobilenet-int8", ""),
        ("resnet50-int8", ""),
        ("large", ""),
    ] {
        let model = bench.model(name)?;
        let what = format!("a further `build`, another model: {name}");
        table.row(what, timed(bench, model)?, promise);
    }
    for model in &bench.models {
        let bytes = |path| std::fs::metadata(path).map(|metadata| metadata.len());
        let (artifact, onnx) = (bytes(bench.artifact(model))?, bytes(model.onnx.clone())?);
        let what = format!("artifact − ONNX file: {}", model.name);
        let more = megabytes(artifact.saturating_sub(onnx));
        let measured = format!("{more} ({} − {})", megabytes(artifact), megabytes(onnx));
        table.row(what, measured, "≤ 3 MB");
    }
    Ok(())
}

fn timed(bench: &Bench, model: &Model) -> Result<String> {
    let start = Instant::now();
    bench.build(model)?;
    Ok(time(start.elapsed()))
}
