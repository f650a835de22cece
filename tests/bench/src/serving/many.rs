//! What a server of very many models costs.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::ROW;
use crate::Bench;
use crate::connection::{Connection, post};
use crate::process::{Server, modelet};
use crate::table::{Table, megabytes, quantile, time};

const MODELS: usize = 1000;

/// What the scaler of iris takes from the first value; the modelet has it once.
const MEAN: f32 = 5.8575;

/// A thousand models that share nothing but their engine.
pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let repository = repository(bench)?;
    let start = || -> Result<_> {
        let mut serve = modelet()?;
        serve.arg("serve").arg(&repository);
        let start = Instant::now();
        let server = Server::start(serve.arg("--cache").arg(bench.cache()))?;
        Ok((server, start.elapsed() / MODELS as u32))
    };
    let (server, each) = start()?;
    table.row("loading each of 1,000 models, unseen", time(each), "");
    drop(server);
    let (server, each) = start()?;
    table.row("loading each of 1,000 models, cached", time(each), "");
    let loaded = server.resident_bytes()?;
    let mut connection = Connection::open(&server.address)?;
    let mut times = Vec::new();
    for number in 0..MODELS {
        let path = format!("/v2/models/iris-{number}/infer");
        let request = post(&path, "Content-Type: application/json\r\n", ROW.as_bytes());
        let sent = Instant::now();
        let response = connection.exchange(&request)?;
        times.push(sent.elapsed());
        ensure!(response.status == 200, "iris-{number}: {}", response.status);
    }
    times.sort_unstable();
    let median = time(quantile(&times, 0.5));
    table.row(
        "the first answer of each of 1,000 models, median and p99",
        format!("{median}, {}", time(quantile(&times, 0.99))),
        "≤ 1 ms",
    );
    let after = megabytes(server.resident_bytes()?);
    table.row(
        "resident memory of 1,000 models → after an answer of each",
        format!("{} → {after}", megabytes(loaded)),
        "",
    );
    drop(server);
    Ok(std::fs::remove_dir_all(&repository)?)
}

fn repository(bench: &Bench) -> Result<PathBuf> {
    let repository = bench.folder.join("many");
    if repository.exists() {
        std::fs::remove_dir_all(&repository)?;
    }
    let artifact = std::fs::read(bench.artifact(bench.model("iris")?))?;
    for number in 0..MODELS {
        let version = repository.join(format!("iris-{number}/1"));
        std::fs::create_dir_all(&version)?;
        std::fs::write(version.join("model.wasm"), other(&artifact, number)?)?;
    }
    Ok(repository)
}

/// A model of the same kind with another mean, whose memory is therefore its own.
fn other(artifact: &[u8], number: usize) -> Result<Vec<u8>> {
    let mut parts = artifact.windows(4);
    let place = parts.position(|part| part == MEAN.to_le_bytes());
    let place = place.context("the modelet of iris has another mean")?;
    let mut other = artifact.to_owned();
    let mean = MEAN + number as f32 / MODELS as f32;
    other[place..place + 4].copy_from_slice(&mean.to_le_bytes());
    Ok(other)
}
