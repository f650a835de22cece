//! A million requests, good and bad in turn: every one is answered, rightly, and memory stays.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail, ensure};
use modelet_protocol::{GoldenCase, golden};
use serde_json::{Value, json};

use crate::Bench;
use crate::connection::{Connection, Response, post};
use crate::process::Server;
use crate::serving::{ROW, infer, serve};
use crate::table::{Table, megabytes};

const REQUESTS: u64 = 1_000_000;
const CONNECTIONS: usize = 8;

/// A request and what must come back.
struct Exchange {
    request: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// Status 200 and these bytes.
    Answer(Vec<u8>),
    /// This status, and an error in JSON.
    Refusal(u16),
    /// Nothing: the client hangs up in the middle.
    Nothing,
}

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let server = serve(bench, "iris")?;
    let exchanges = exchanges(&server.address)?;
    let start = Instant::now();
    let wrong = AtomicU64::new(0);
    run(&server, &exchanges, REQUESTS / 10, &wrong)?;
    let before = server.resident_bytes()?;
    run(&server, &exchanges, REQUESTS - REQUESTS / 10, &wrong)?;
    let after = server.resident_bytes()?;
    table.row(
        format!("{REQUESTS} requests of mixed good and bad input: lost or wrong"),
        format!(
            "{} in {:.0} s",
            wrong.into_inner(),
            start.elapsed().as_secs_f64()
        ),
        "0",
    );
    table.row(
        "resident memory after a tenth of them → after all",
        format!("{} → {}", megabytes(before), megabytes(after)),
        "flat",
    );
    Ok(())
}

fn run(server: &Server, exchanges: &[Exchange], requests: u64, wrong: &AtomicU64) -> Result<()> {
    let sent = AtomicU64::new(0);
    let client = || -> Result<()> {
        let mut connection = Connection::open(&server.address)?;
        loop {
            let number = sent.fetch_add(1, Relaxed);
            if number >= requests {
                return Ok(());
            }
            let exchange = &exchanges[number as usize % exchanges.len()];
            if let Err(error) = check(&mut connection, exchange) {
                // The first few say what it is; the count says how often.
                if wrong.fetch_add(1, Relaxed) < 10 {
                    eprintln!("wrong: {error:#}");
                }
                connection = Connection::open(&server.address)?;
            }
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(client)).collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| anyhow!("a client panicked"))?)
    })
}

fn check(connection: &mut Connection, exchange: &Exchange) -> Result<()> {
    match &exchange.expected {
        Expected::Nothing => connection.break_off(&exchange.request),
        Expected::Answer(answer) => {
            let response = connection.exchange(&exchange.request)?;
            ensure!(response.status == 200, "{}", shown(&response));
            ensure!(
                response.body == *answer,
                "another answer: {}",
                shown(&response)
            );
            Ok(())
        }
        Expected::Refusal(status) => {
            let response = connection.exchange(&exchange.request)?;
            ensure!(
                response.status == *status,
                "not {status}: {}",
                shown(&response)
            );
            let said: Value = serde_json::from_slice(&response.body)?;
            ensure!(said["error"].is_string(), "no error: {said}");
            Ok(())
        }
    }
}

fn shown(response: &Response) -> String {
    format!(
        "{} {}",
        response.status,
        String::from_utf8_lossy(&response.body)
    )
}

/// The golden requests, in JSON and in binary, among others that nobody should send.
fn exchanges(address: &str) -> Result<Vec<Exchange>> {
    let cases =
        golden::parse(&fs::read("models/iris/golden.json")?).map_err(|error| anyhow!(error))?;
    let refused = |request, status| Exchange {
        request,
        expected: Expected::Refusal(status),
    };
    let row = |from: &str, to: &str| infer(&ROW.replace(from, to));
    let mut exchanges = vec![
        refused(row("[1,4]", "[1,5]"), 400),
        refused(row("[1,4]", "[4294967296,4294967296]"), 400),
        refused(row("FP32", "INT64"), 400),
        refused(row("\"X\"", "\"Y\""), 400),
        refused(row("0.2]", "\"a\"]"), 400),
        refused(infer("{"), 400),
        refused(infer(&"[".repeat(100_000)), 400),
        refused(post("/v2/models/rose/infer", "", ROW.as_bytes()), 404),
        refused(binary(&[0; 15]), 400),
        Exchange {
            request: infer(ROW)[..90].to_vec(),
            expected: Expected::Nothing,
        },
    ];
    let mut connection = Connection::open(address)?;
    for case in &cases {
        let [input] = &case.inputs[..] else {
            bail!("iris has one input");
        };
        let values = input.data.chunks_exact(4).map(|bytes| {
            let bytes = bytes.try_into().expect("chunks of four have four bytes");
            f32::from_le_bytes(bytes).to_string()
        });
        let data = values.collect::<Vec<_>>().join(",");
        let body = format!(
            r#"{{"inputs":[{{"name":"X","datatype":"FP32","shape":{:?},"data":[{data}]}}]}}"#,
            input.shape
        );
        let request = infer(&body);
        let response = connection.exchange(&request)?;
        agrees(case, &response)?;
        exchanges.push(Exchange {
            request,
            expected: Expected::Answer(response.body),
        });
    }
    Ok(exchanges)
}

/// Whether an answer is the golden one: from then on it must come back byte for byte.
fn agrees(case: &GoldenCase, response: &Response) -> Result<()> {
    ensure!(response.status == 200, "{}", shown(response));
    let answer: Value = serde_json::from_slice(&response.body)?;
    let as_case = json!({"cases": [{"name": "", "inputs": [], "outputs": answer["outputs"]}]});
    let answer = golden::parse(as_case.to_string().as_bytes()).map_err(|error| anyhow!(error))?;
    for (expected, got) in case.outputs.iter().zip(&answer[0].outputs) {
        expected
            .agrees_with(got)
            .map_err(|difference| anyhow!("{}: {difference}", case.name))?;
    }
    Ok(())
}

fn binary(data: &[u8]) -> Vec<u8> {
    let json = format!(
        r#"{{"inputs":[{{"name":"X","datatype":"FP32","shape":[1,4],"parameters":{{"binary_data_size":{}}}}}]}}"#,
        data.len()
    );
    let headers = format!("Inference-Header-Content-Length: {}\r\n", json.len());
    let body = [json.as_bytes(), data].concat();
    post("/v2/models/iris/infer", &headers, &body)
}
