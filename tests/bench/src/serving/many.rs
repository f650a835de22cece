//! What a server of very many models costs.

use std::os::unix::fs::symlink;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::ROW;
use crate::Bench;
use crate::connection::{Connection, post};
use crate::process::{Server, modelet};
use crate::table::{Table, megabytes, quantile, time};

const MODELS: usize = 1000;

/// A thousand models that share nothing but their engine: each is loaded by itself, though there are not as
/// many files.
pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let repository = bench.folder.join("many");
    if repository.exists() {
        std::fs::remove_dir_all(&repository)?;
    }
    let artifact = std::fs::canonicalize(bench.artifact(bench.model("iris")?))?;
    for number in 0..MODELS {
        let version = repository.join(format!("iris-{number}/1"));
        std::fs::create_dir_all(&version)?;
        symlink(&artifact, version.join("model.wasm"))?;
    }
    let mut serve = modelet()?;
    serve.arg("serve").arg(&repository);
    let start = Instant::now();
    let server = Server::start(serve.arg("--cache").arg(bench.cache()))?;
    let each = start.elapsed() / MODELS as u32;
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
    Ok(())
}
