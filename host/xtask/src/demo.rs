//! From nothing to the answers of a real model: builds, compiles, serves, asks.

mod files;
mod http;
mod magika;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process::{cargo, command, release_dir, root, run};
use crate::{guest, models};
use magika::Verdict;
use server::Server;

/// With `stay`, serves until it is interrupted.
pub fn demo(stay: bool) -> Result<()> {
    let mut stages = Stages::default();
    stages.time("compile the engine to WebAssembly", || {
        guest::guest().map(drop)
    })?;
    stages.time("compile `modelet`", || {
        run(cargo().args(["build", "--release", "--workspace", "--bins"]))
    })?;
    let onnx = stages.time("get the model magika", models::magika)?;
    let modelet = release_dir()?.join("modelet");
    let artifact = root().join("target/demo/magika.wasm");
    stages.time("modelet build", || compile(&modelet, &onnx, &artifact))?;
    let server = stages.time("modelet serve, until it is ready", || {
        Server::start(&modelet, &artifact)
    })?;
    let files = files::one_of_each_kind(root())?;
    let verdicts = stages.time("all inferences over HTTP", || {
        files
            .iter()
            .map(|file| magika::ask(server.address(), file))
            .collect::<Result<Vec<_>>>()
    })?;
    print_verdicts(&files, &verdicts);
    stages.print();
    if stay {
        stay_up(server)?;
    }
    Ok(())
}

fn compile(modelet: &Path, onnx: &Path, artifact: &Path) -> Result<()> {
    let folder = artifact.parent().expect("the artifact is in target/demo");
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    run(command(modelet)
        .arg("build")
        .arg(onnx)
        .arg("--output")
        .arg(artifact)
        .args(["--name", "magika", "--input", "bytes=INT32[1,2048]"]))
}

fn print_verdicts(files: &[PathBuf], verdicts: &[Verdict]) {
    println!("\n{:44} {:16} {:>6}", "file", "magika says", "score");
    for (file, verdict) in files.iter().zip(verdicts) {
        let file = file.strip_prefix(root()).unwrap_or(file);
        println!(
            "{:44} {:16} {:>5.1} %",
            file.display().to_string(),
            verdict.kind,
            verdict.score * 100.0
        );
    }
}

fn stay_up(server: Server) -> Result<()> {
    let request = root().join("target/demo/request.json");
    let readme = fs::read(root().join("README.md")).context("README.md cannot be read")?;
    fs::write(&request, magika::request(&readme))
        .with_context(|| format!("{} cannot be written", request.display()))?;
    println!(
        "\nserving until Ctrl-C; what does the model say of README.md?\n\n  \
         curl --json @{} http://{}/v2/models/magika/infer\n",
        request.display(),
        server.address()
    );
    server.wait()
}

/// How long each stage took.
#[derive(Default)]
struct Stages {
    times: Vec<(&'static str, Duration)>,
}

impl Stages {
    fn time<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("== {name}");
        let start = Instant::now();
        let result = work().context(name);
        self.times.push((name, start.elapsed()));
        result
    }

    fn print(&self) {
        println!("\n{:44} {:>10}", "stage", "time");
        for (name, time) in &self.times {
            println!("{name:44} {:>8.2} s", time.as_secs_f64());
        }
    }
}
