//! The same model behind what people serve it with today.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{CONNECTIONS, DURATION, ROW, infer, told};
use crate::Bench;
use crate::connection::Connection;
use crate::load::{Load, closed_loop};
use crate::process::Server;
use crate::table::Table;

pub fn measure(bench: &Bench, ours: &Load, table: &mut Table) -> Result<()> {
    let mut fastapi = Command::new(&bench.python);
    fastapi
        .arg("tests/bench/peer.py")
        .arg(&bench.model("iris")?.onnx);
    let name = "FastAPI + ONNX Runtime, one worker";
    beside(ours, &mut fastapi, name, "≥ 6", table)?;
    let mut mlserver = Command::new(&bench.mlserver);
    mlserver
        .arg("tests/bench/mlserver.py")
        .arg(bench.folder.join("mlserver"));
    let name = "MLServer, scikit-learn runtime, parallel_workers=0";
    beside(ours, &mut mlserver, name, "≥ 20", table)
}

fn beside(
    ours: &Load,
    peer: &mut Command,
    name: &str,
    promise: &str,
    table: &mut Table,
) -> Result<()> {
    let peer = Server::start_on_port(peer, "/v2/models/iris/ready")?;
    check(&peer.address)?;
    let request = infer(ROW);
    closed_loop(&peer.address, &request, 1, Duration::from_secs(1))?;
    let theirs = closed_loop(&peer.address, &request, CONNECTIONS, DURATION)?;
    table.row(format!("the same, {name}"), told(&theirs), "");
    let ratio = ours.per_second() / theirs.per_second();
    table.row(
        format!("requests/s ÷ {name}"),
        format!("{ratio:.1}"),
        promise,
    );
    Ok(())
}

/// A server that names other flowers than the golden cases is not worth measuring.
pub fn check(address: &str) -> Result<()> {
    let golden: Value = serde_json::from_slice(&std::fs::read("models/iris/golden.json")?)?;
    let cases = golden["cases"].as_array().context("no golden cases")?;
    let mut connection = Connection::open(address)?;
    for case in cases {
        let request = infer(&json!({ "inputs": case["inputs"] }).to_string());
        let body = connection.exchange(&request)?.body;
        let said = String::from_utf8_lossy(&body);
        let answer: Value = serde_json::from_str(&said).unwrap_or_default();
        // All of them have the label first.
        let label = &case["outputs"][0]["data"];
        ensure!(
            label.is_array() && answer["outputs"][0]["data"] == *label,
            "{address} should answer {label} to {}, and says {said}",
            case["name"]
        );
    }
    Ok(())
}
