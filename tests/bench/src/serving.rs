//! What a server adds to a call, beside what people would have written without one.

mod batching;
mod many;
mod peers;
mod start;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::Bench;
use crate::connection::{Connection, post};
use crate::load::{Load, closed_loop, open_loop};
use crate::process::{Server, modelet};
use crate::table::{Table, megabytes, time};

const CONNECTIONS: usize = 16;
const DURATION: Duration = Duration::from_secs(10);

/// One flower, in JSON.
pub const ROW: &str =
    r#"{"inputs":[{"name":"X","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}"#;

pub fn infer(body: &str) -> Vec<u8> {
    let headers = "Content-Type: application/json\r\n";
    post("/v2/models/iris/infer", headers, body.as_bytes())
}

/// `modelet serve` with a model and the code cache of this run.
pub fn serve(bench: &Bench, name: &str) -> Result<Server> {
    serve_from(bench, name, &bench.cache())
}

fn serve_from(bench: &Bench, name: &str, cache: &Path) -> Result<Server> {
    let artifact = bench.artifact(bench.model(name)?);
    let mut serve = modelet()?;
    serve.arg("serve").arg(artifact).arg("--cache").arg(cache);
    Server::start(&mut serve)
}

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    start::measure(bench, table)?;
    let server = serve(bench, "iris")?;
    peers::check(&server.address)?;
    let request = infer(ROW);
    // What is measured is a server that runs, not one that starts.
    closed_loop(&server.address, &request, 1, Duration::from_secs(1))?;
    overhead(&server, &request, table)?;
    let ours = closed_loop(&server.address, &request, CONNECTIONS, DURATION)?;
    let what = format!("iris, REST, {CONNECTIONS} connections");
    table.row(what, told(&ours), "");
    let half = ours.per_second() / 2.0;
    let steady = open_loop(&server.address, &request, CONNECTIONS, DURATION, half)?;
    table.row(
        "the same at half of these requests/s, evenly sent: p99 from when a request is due",
        told(&steady),
        "≤ 2 ms",
    );
    table.row(
        "resident memory of `serve`, iris, after that",
        megabytes(server.resident_bytes()?),
        "≤ 60 MB",
    );
    drop(server);
    peers::measure(bench, &ours, table)?;
    batching::measure(bench, table)?;
    many::measure(bench, table)
}

/// The whole request as a client sees it, less what the server says the inference took.
fn overhead(server: &Server, request: &[u8], table: &mut Table) -> Result<()> {
    let before = inference_time(server)?;
    let load = closed_loop(&server.address, request, 1, DURATION)?;
    let after = inference_time(server)?;
    let inference = (after.1 - before.1) / u32::try_from(after.0 - before.0)?;
    let whole = load.quantile(0.5);
    let measured = format!(
        "{} ({} − {})",
        time(whole.saturating_sub(inference)),
        time(whole),
        time(inference)
    );
    table.row(
        "server overhead of a REST request, one connection, p50",
        measured,
        "≤ 150 µs",
    );
    Ok(())
}

/// How many inferences there were, and how long all of them took.
fn inference_time(server: &Server) -> Result<(u64, Duration)> {
    let request = b"GET /v2/models/iris/stats HTTP/1.1\r\nHost: bench\r\n\r\n";
    let response = Connection::open(&server.address)?.exchange(request)?;
    let json: Value = serde_json::from_slice(&response.body)?;
    let infer = &json["model_stats"][0]["inference_stats"]["compute_infer"];
    let number = |field: &str| {
        infer[field]
            .as_u64()
            .with_context(|| format!("no {field}: {json}"))
    };
    Ok((number("count")?, Duration::from_nanos(number("ns")?)))
}

fn told(load: &Load) -> String {
    format!(
        "{:.0} requests/s, p50 {}, p99 {}",
        load.per_second(),
        time(load.quantile(0.5)),
        time(load.quantile(0.99))
    )
}
