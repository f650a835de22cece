//! Real models that are given what they cannot bear: the request fails, and nothing else does.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::built;
use crate::server::{Response, Server};

const SETTINGS: &str = "[limits]\ntimeout = \"500ms\"\nmemory = \"256MiB\"\n";

/// A server of these models of `tests/clients/protocol_models.py`, if they could be made.
fn serve(names: &[&str]) -> Option<Server> {
    let modelets: Vec<PathBuf> = names
        .iter()
        .map(|name| built::for_tests(name))
        .collect::<Option<_>>()?;
    let paths: Vec<_> = modelets.iter().map(PathBuf::as_path).collect();
    Some(Server::with_settings(&paths, SETTINGS))
}

fn infer(server: &Server, model: &str, inputs: Value) -> Response {
    let body = json!({"inputs": inputs}).to_string();
    server.post(&format!("/v2/models/{model}/infer"), body)
}

fn tensor(name: &str, datatype: &str, shape: &[usize], data: Value) -> Value {
    json!({"name": name, "datatype": datatype, "shape": shape, "data": data})
}

fn ones(name: &str, shape: &[usize]) -> Value {
    let count = shape.iter().product();
    tensor(name, "FP32", shape, json!(vec![1; count]))
}

#[test]
fn a_model_that_takes_too_long_is_stopped_and_the_next_is_answered() {
    let Some(server) = serve(&["labour", "double"]) else {
        return;
    };
    let start = Instant::now();
    thread::scope(|scope| {
        let slow = scope.spawn(|| infer(&server, "labour", json!([ones("x", &[1500, 1])])));
        let double = json!([tensor("x", "FP32", &[], json!([21]))]);
        let quick = infer(&server, "double", double);
        assert_eq!(quick.json()["outputs"][0]["data"], json!([42.0]));
        slow.join().unwrap().check_error(504, "deadline");
    });
    assert!(start.elapsed() < Duration::from_secs(20), "it ran on");
    let answer = infer(&server, "labour", json!([ones("x", &[1, 1])]));
    assert_eq!(answer.json()["outputs"][0]["data"], json!([1.0]));
}

#[test]
fn a_quick_model_that_takes_long_for_once_still_answers() {
    let Some(server) = serve(&["labour"]) else {
        return;
    };
    let ask = |n: usize| infer(&server, "labour", json!([ones("x", &[n, 1])]));
    for _ in 0..20 {
        assert_eq!(ask(1).status, 200);
    }
    // Tens of milliseconds, and then more than there are.
    assert_eq!(ask(250).status, 200);
    for _ in 0..50 {
        assert_eq!(ask(1).status, 200);
    }
    ask(1500).check_error(504, "deadline");
}

#[test]
fn a_model_that_wants_more_memory_than_it_may_have_is_stopped() {
    let Some(server) = serve(&["table"]) else {
        return;
    };
    let table = |n: usize| json!([ones("column", &[n, 1]), ones("row", &[1, n])]);
    infer(&server, "table", table(20_000)).check_error(500, "memory");
    let answer = infer(&server, "table", table(2));
    assert_eq!(answer.json()["outputs"][0]["data"], json!([4.0]));
}

#[test]
fn a_division_by_zero_inside_a_model_is_told() {
    let Some(server) = serve(&["whole_quotient"]) else {
        return;
    };
    let divide_by = |divisor: i32| {
        json!([
            tensor("x", "INT32", &[1], json!([6])),
            tensor("y", "INT32", &[1], json!([divisor + 1]))
        ])
    };
    infer(&server, "whole_quotient", divide_by(0)).check_error(500, "divide by zero");
    let answer = infer(&server, "whole_quotient", divide_by(3));
    assert_eq!(answer.json()["outputs"][0]["data"], json!([2]));
}

#[test]
fn what_is_no_number_comes_back_as_such() {
    let Some(server) = serve(&["quotient"]) else {
        return;
    };
    let vector = |name, data| tensor(name, "FP32", &[3], data);
    let inputs = json!([
        vector("x", json!([1, -1, 0])),
        vector("y", json!([0, 0, 0]))
    ]);
    let answer = infer(&server, "quotient", inputs);
    let data = &answer.json()["outputs"][0]["data"];
    assert_eq!(*data, json!(["Infinity", "-Infinity", "NaN"]));
}
