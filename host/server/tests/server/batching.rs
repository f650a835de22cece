//! Requests that one call answers.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;

use modelet_protocol::{Datatype, Dimension};
use modelet_server::Config;
use serde_json::{Value, json};

use crate::modelet::{Behaviour, artifact};
use crate::served::{Response, Served, config, wait_for};
use crate::stories::{INFER, row, served};

/// Longer than any test: what is answered was not waited for.
const FOR_EVER: &str = "10m";

fn batching(size: u64, delay: &str) -> String {
    format!("[batching]\nmax_batch_size = {size}\nmax_queue_delay = \"{delay}\"\n")
}

fn statistics(served: &Served) -> Value {
    let json = served.get("/v2/models/m/versions/2/stats").json();
    json["model_stats"][0].clone()
}

fn wait_for_waiting(served: &Served, count: usize) {
    let line = format!("nv_inference_pending_request_count{{model=\"m\",version=\"2\"}} {count}");
    wait_for(&line, || {
        let metrics = String::from_utf8(served.get("/metrics").body).unwrap();
        metrics.contains(&line)
    });
}

/// Asks in this order; each one waits before the next comes.
fn ask_in_order(served: &Served, bodies: &[String]) -> Vec<Response> {
    thread::scope(|scope| {
        let mut asked = Vec::new();
        for (number, body) in bodies.iter().enumerate() {
            asked.push(scope.spawn(move || served.post(INFER, body)));
            if number + 1 < bodies.len() {
                wait_for_waiting(served, number + 1);
            }
        }
        asked
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    })
}

/// The connection of a request that waits.
fn ask_and_wait(served: &Served) -> TcpStream {
    let body = row("1");
    let mut connection = served.connect();
    let length = body.len();
    let head = format!("POST {INFER} HTTP/1.1\r\nHost: m\r\nContent-Length: {length}\r\n\r\n");
    connection.write_all((head + &body).as_bytes()).unwrap();
    wait_for_waiting(served, 1);
    connection
}

fn check_echo(response: &Response, expected: Value) {
    assert_eq!(response.status, 200, "{}", response.text());
    let output = response.json()["outputs"][0].clone();
    assert_eq!(output["data"], expected);
    let length = expected.as_array().unwrap().len();
    assert_eq!(output["shape"], json!([length]));
}

#[test]
fn requests_that_wait_are_answered_by_one_call() {
    let served = served(config(), Behaviour::Echo, &batching(8, FOR_EVER));
    let mut bodies: Vec<String> = (1..=6).map(|number| row(&number.to_string())).collect();
    bodies.push(row("7,8").replace("[1]", "[2]"));
    let answers = ask_in_order(&served, &bodies);
    for (number, answer) in (1..=6).zip(&answers) {
        check_echo(answer, json!([f64::from(number)]));
    }
    check_echo(&answers[6], json!([7.0, 8.0]));
    let statistics = statistics(&served);
    assert_eq!(statistics["execution_count"], 1);
    assert_eq!(statistics["inference_count"], 8);
    assert_eq!(statistics["inference_stats"]["success"]["count"], 7);
    assert_eq!(statistics["inference_stats"]["queue"]["count"], 7);
    assert_eq!(statistics["inference_stats"]["compute_infer"]["count"], 7);
    let batches = statistics["batch_stats"].as_array().unwrap();
    assert_eq!(batches.len(), 1, "{statistics}");
    assert_eq!(batches[0]["batch_size"], 8);
    assert_eq!(batches[0]["compute_infer"]["count"], 1);
    let metrics = String::from_utf8(served.get("/metrics").body).unwrap();
    for line in [
        r#"modelet_batch_size_bucket{model="m",version="2",le="4"} 0"#,
        r#"modelet_batch_size_bucket{model="m",version="2",le="8"} 1"#,
        r#"modelet_batch_size_sum{model="m",version="2"} 8"#,
        r#"modelet_batch_size_count{model="m",version="2"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn a_batch_that_never_fills_is_due_after_its_delay() {
    let served = served(config(), Behaviour::Echo, &batching(8, "5ms"));
    check_echo(&served.post(INFER, row("3")), json!([3.0]));
    let served = crate::stories::served(config(), Behaviour::Echo, "batching.max_batch_size = 8");
    check_echo(&served.post(INFER, row("3")), json!([3.0]));
    assert_eq!(statistics(&served)["batch_stats"][0]["batch_size"], 1);
}

#[test]
fn who_waits_for_a_turn_waits_together() {
    let spec = "limits = { concurrency = 1, timeout = \"60s\" }\nbatching.max_batch_size = 4\n";
    let served = served(config(), Behaviour::SlowUnlessZero, spec);
    let answers = thread::scope(|scope| {
        let ask = || served.post(INFER, row("1"));
        let asked: Vec<_> = (0..9).map(|_| scope.spawn(ask)).collect();
        let answers = asked.into_iter().map(|asked| asked.join().unwrap());
        answers.collect::<Vec<_>>()
    });
    answers
        .iter()
        .for_each(|answer| check_echo(answer, json!([1.0])));
    let statistics = statistics(&served);
    assert_eq!(statistics["inference_count"], 9);
    let executions = statistics["execution_count"].as_u64().unwrap();
    assert!((3..9).contains(&executions), "{statistics}");
}

#[test]
fn a_request_that_the_model_fails_on_fails_alone() {
    // It looks at the first number of a call only.
    let served = served(config(), Behaviour::TrapUnlessZero, &batching(3, FOR_EVER));
    let answers = ask_in_order(&served, &["1", "0", "2"].map(row));
    answers[0].check_error(500, "trapped");
    check_echo(&answers[1], json!([0.0]));
    answers[2].check_error(500, "trapped");
    let inference = statistics(&served)["inference_stats"].clone();
    assert_eq!(inference["success"]["count"], 1);
    assert_eq!(inference["fail"]["count"], 2);
}

#[test]
fn a_request_that_is_wrong_is_told_at_once() {
    let served = served(config(), Behaviour::Echo, &batching(2, FOR_EVER));
    thread::scope(|scope| {
        let waits = scope.spawn(|| served.post(INFER, row("1")));
        wait_for_waiting(&served, 1);
        let wrong = row("2").replace("FP32", "INT32");
        served.post(INFER, wrong).check_error(400, "FP32");
        check_echo(&served.post(INFER, row("3")), json!([3.0]));
        check_echo(&waits.join().unwrap(), json!([1.0]));
    });
}

#[test]
fn what_is_larger_than_a_batch_or_empty_runs_at_once() {
    let served = served(config(), Behaviour::Echo, &batching(2, FOR_EVER));
    let three = row("1,2,3").replace("[1]", "[3]");
    check_echo(&served.post(INFER, three), json!([1.0, 2.0, 3.0]));
    let none = row("").replace("[1]", "[0]");
    check_echo(&served.post(INFER, none), json!([]));
    assert_eq!(statistics(&served)["batch_stats"], json!([]));
}

#[test]
fn rows_that_no_batch_holds_are_divided_among_those_who_are_free() {
    let config = Config {
        concurrency: 3,
        ..config()
    };
    let spec = batching(2, FOR_EVER);
    for (limits, executions) in [("", 3), ("limits.concurrency = 1\n", 1)] {
        let served = served(config.clone(), Behaviour::Echo, &format!("{limits}{spec}"));
        let seven = row("1,2,3,4,5,6,7").replace("[1]", "[7]");
        let expected = json!([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        check_echo(&served.post(INFER, seven), expected);
        let statistics = statistics(&served);
        assert_eq!(statistics["execution_count"], executions, "{limits}");
        assert_eq!(statistics["inference_count"], 7);
        assert_eq!(statistics["inference_stats"]["success"]["count"], 1);
    }
}

#[test]
fn a_divided_request_fails_as_a_whole() {
    // It looks at the first number of a call only: here that of the second half.
    let config = Config {
        concurrency: 2,
        ..config()
    };
    let served = served(config, Behaviour::TrapUnlessZero, &batching(2, FOR_EVER));
    let four = row("0,1,2,3").replace("[1]", "[4]");
    served.post(INFER, four).check_error(500, "trapped");
    let four = row("0,1,0,3").replace("[1]", "[4]");
    check_echo(&served.post(INFER, four), json!([0.0, 1.0, 0.0, 3.0]));
    let inference = statistics(&served)["inference_stats"].clone();
    assert_eq!(inference["fail"]["count"], 1);
}

#[test]
fn only_what_agrees_is_joined() {
    let open = |name: &str| Dimension::Symbolic(name.to_owned());
    let echo = artifact(
        "m",
        Datatype::Fp32,
        &[open("n"), open("length")],
        Behaviour::Echo,
    );
    let served = Served::start(config(), &[("m", echo.clone())]);
    served.put("m/2/model.wasm", &echo);
    served.put("m/model.toml", batching(2, FOR_EVER).as_bytes());
    served.app.refresh();
    let body = |values: &str, shape: &str| row(values).replace("[1],", &format!("{shape},"));
    let asked = [
        body("1,2", "[1,2]"),
        body("3,4,5", "[1,3]"),
        body("6", "[1,1]"),
        body("7,8,9", "[1,3]"),
    ];
    let named = asked[2].replacen('{', r#"{"outputs":[{"name":"x"}],"#, 1);
    // The first four find nobody to join; the last of them because it names its outputs.
    let bodies = [0, 1, 2].map(|number| asked[number].clone());
    let bodies = [&bodies[..], std::slice::from_ref(&named)].concat();
    thread::scope(|scope| {
        let served = &served;
        let waiting = scope.spawn(move || ask_in_order(served, &bodies));
        wait_for_waiting(served, 4);
        for body in [&asked[3], &asked[0], &asked[2], &named] {
            assert_eq!(served.post(INFER, body).status, 200);
        }
        for (answer, first) in waiting.join().unwrap().iter().zip([1.0, 3.0, 6.0, 6.0]) {
            let data = answer.json()["outputs"][0]["data"].clone();
            assert_eq!(data[0], first, "{}", answer.text());
        }
    });
    let statistics = statistics(&served);
    assert_eq!(statistics["execution_count"], 4);
    assert_eq!(statistics["inference_count"], 8);
}

#[test]
fn who_hangs_up_takes_nobody_along() {
    let served = served(config(), Behaviour::Echo, &batching(2, FOR_EVER));
    drop(ask_and_wait(&served));
    check_echo(&served.post(INFER, row("2")), json!([2.0]));
}

#[test]
fn a_deadline_passes_also_while_a_batch_is_waited_for() {
    let spec = batching(2, FOR_EVER) + "[limits]\ntimeout = \"50ms\"\n";
    let served = served(config(), Behaviour::Echo, &spec);
    let refused = served.post(INFER, row("1"));
    refused.check_error(refused.status, "waited for its turn");
    assert_ne!(refused.status, 200);
}

#[test]
fn no_more_wait_for_a_batch_than_may_wait() {
    let spec = batching(3, FOR_EVER) + "[limits]\nqueue = 1\n";
    let served = served(config(), Behaviour::Echo, &spec);
    let _first = ask_and_wait(&served);
    served.post(INFER, row("2")).check_error(503, "overloaded");
}

#[test]
fn answers_of_a_batch_are_kept_one_by_one() {
    let spec = batching(2, FOR_EVER) + "[cache]\nsize = \"1MiB\"\n";
    let served = served(config(), Behaviour::Double, &spec);
    // It doubles the first number of a call only.
    let answers = ask_in_order(&served, &["0", "5"].map(row));
    check_echo(&answers[1], json!([5.0]));
    check_echo(&served.post(INFER, row("5")), json!([5.0]));
    let inference = statistics(&served)["inference_stats"].clone();
    assert_eq!(inference["cache_hit"]["count"], 1);
    assert_eq!(inference["cache_miss"]["count"], 2);
}

#[test]
fn a_model_whose_rows_are_fixed_is_refused_with_the_tensors_name() {
    let fixed = artifact("m", Datatype::Fp32, &[Dimension::Fixed(1)], Behaviour::Echo);
    let served = served(config(), Behaviour::Echo, &batching(2, "1ms"));
    served.put("m/3/model.wasm", &fixed);
    served.app.refresh();
    let reason = served.entry("m", "3")["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reason.contains("[batching]") && reason.contains("`x`"),
        "{reason}"
    );
    check_echo(&served.post(INFER, row("1")), json!([1.0]));
    assert_eq!(served.entry("m", "2")["state"], "READY");
}
