//! Where it pays to answer requests together, and where it does not.

use std::time::Duration;

use anyhow::{Result, anyhow};
use modelet_protocol::Tensor;
use modelet_protocol::rest::encode_request;

use super::CONNECTIONS;
use crate::Bench;
use crate::connection::post;
use crate::load::closed_loop;
use crate::process::{Server, modelet};
use crate::table::{Table, time};

const TURNS: usize = 3;
const TURN: Duration = Duration::from_secs(2);
const BATCHING: &str = "batching.max_batch_size = 16";

/// Each model without and with batching, asked in turn.
pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    for (name, shape) in [
        ("iris", &[1, 4][..]),
        ("digits", &[1, 1, 8, 8]),
        ("mobilenet-open", &[1, 3, 224, 224]),
    ] {
        let request = request(name, shape)?;
        let servers = [
            serve(bench, name, "alone", "")?,
            serve(bench, name, "batched", BATCHING)?,
        ];
        let mut rates = [Vec::new(), Vec::new()];
        let mut slowest = [Duration::ZERO; 2];
        for _ in 0..TURNS {
            for (index, server) in servers.iter().enumerate() {
                let load = closed_loop(&server.address, &request, CONNECTIONS, TURN)?;
                rates[index].push(load.per_second());
                slowest[index] = slowest[index].max(load.quantile(0.99));
            }
        }
        let [alone, batched] = rates.map(median);
        table.row(
            format!("requests/s with batching ÷ without, {CONNECTIONS} connections: {name}"),
            format!(
                "{:.2} ({batched:.0} ÷ {alone:.0}; p99 {} and {})",
                batched / alone,
                time(slowest[1]),
                time(slowest[0])
            ),
            "",
        );
    }
    divided(bench, table)
}

/// A request of many rows, whole and divided.
fn divided(bench: &Bench, table: &mut Table) -> Result<()> {
    let name = "mobilenet-open";
    let request = request(name, &[16, 3, 224, 224])?;
    let servers = [
        serve(bench, name, "alone", "")?,
        serve(bench, name, "divided", "batching.max_batch_size = 4")?,
    ];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (times, server) in times.iter_mut().zip(&servers) {
            let load = closed_loop(&server.address, &request, 1, TURN)?;
            times.push(load.quantile(0.5).as_secs_f64());
        }
    }
    let [whole, divided] = times.map(median);
    table.row(
        "one request of 16 rows, whole ÷ divided among cores: mobilenet-open",
        format!(
            "{:.2} ({:.0} ÷ {:.0} ms)",
            whole / divided,
            1e3 * whole,
            1e3 * divided
        ),
        "",
    );
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Asks for one row that is not all zeros.
fn request(model: &str, shape: &[u64]) -> Result<Vec<u8>> {
    let (name, count) = match model {
        "iris" => ("X", 4),
        _ => ("image", shape.iter().product()),
    };
    let values: Vec<f64> = (0..count).map(|number| (number % 16) as f64).collect();
    let datatype = modelet_protocol::Datatype::Fp32;
    let input = Tensor::of_floats(name.to_owned(), datatype, shape.to_vec(), &values);
    let input = input.ok_or_else(|| anyhow!("FP32 holds floats"))?;
    let body = encode_request("", 60_000_000, &[input], &[])?;
    let headers = match body.json_length {
        Some(length) => format!(
            "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: {length}\r\n"
        ),
        None => "Content-Type: application/json\r\n".to_owned(),
    };
    let path = format!("/v2/models/{model}/infer");
    Ok(post(&path, &headers, &body.body))
}

fn serve(bench: &Bench, name: &str, folder: &str, spec: &str) -> Result<Server> {
    let repository = bench.folder.join(folder);
    if repository.exists() {
        std::fs::remove_dir_all(&repository)?;
    }
    let model = repository.join(name);
    std::fs::create_dir_all(model.join("1"))?;
    std::fs::copy(
        bench.artifact(bench.model(name)?),
        model.join("1/model.wasm"),
    )?;
    std::fs::write(model.join("model.toml"), spec)?;
    let mut serve = modelet()?;
    serve.arg("serve").arg(&repository);
    Server::start(serve.arg("--cache").arg(bench.cache()))
}
