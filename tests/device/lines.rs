//! A request per line of standard input, an answer per line of standard output.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::device::{Place, add, number, repository};
use crate::modelet::Behaviour;

/// The answers to `lines`, in order.
fn answers(place: Place, path: &Path, arguments: &[&str], lines: &str) -> Vec<Value> {
    let mut device = place
        .command()
        .arg(path)
        .arg("--stdio")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = device.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let output = device.wait_with_output().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    answers.collect()
}

fn check(place: Place) {
    if !place.is_here() {
        return;
    }
    let toml = "fallback.chain = [{ version = 1 }]\ntraffic.weights = { 2 = 100 }\n\
                traffic.match = [{ header = \"x-old\", version = 1 }]";
    let behaviours = [Behaviour::Double, Behaviour::TrapUnlessZero];
    let repository = repository(place, toml, &behaviours);
    let with = |more: Value| {
        let mut request: Value = serde_json::from_str(&number(3.0)).unwrap();
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        request.to_string()
    };
    let lines = [
        number(0.0),
        number(3.0),
        String::new(),
        "{".to_owned(),
        with(json!({"model_name": "n"})),
        with(json!({"model_name": "m", "model_version": "1"})),
        with(json!({"headers": {"X-Old": "1"}})),
        with(json!({"id": 8, "model_version": "2"})),
        with(json!({"parameters": {"binary_data_output": true}})),
        "a".repeat(5000),
        // The last line need not end.
        number(0.0),
    ];
    let got = answers(
        place,
        repository.path(),
        &["--body", "4KiB"],
        &lines.join("\n"),
    );
    let data = |answer: &Value| answer["outputs"][0]["data"][0].as_f64();
    let says = |answer: &Value, status: u16, said: &str| {
        assert_eq!(answer["status"], status, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(said), "{answer}");
    };
    assert_eq!(got.len(), 10);
    assert_eq!(
        (&got[0]["model_version"], data(&got[0])),
        (&json!("2"), Some(0.0))
    );
    assert_eq!(got[0]["id"], "7");
    assert_eq!(data(&got[1]), Some(6.0));
    let parameters = json!({"modelet_fallback_reason": "trap", "modelet_served_by": "m/1"});
    assert_eq!(got[1]["parameters"], parameters);
    says(&got[2], 400, "the line is no request");
    says(&got[3], 404, "there is no model `n`");
    assert_eq!(got[3]["id"], "7");
    assert_eq!(data(&got[4]), Some(6.0));
    assert_eq!(data(&got[5]), Some(6.0));
    assert_eq!(got[5].get("parameters"), None);
    // Ids are texts in the protocol, and the error names the one that was sent.
    says(&got[6], 400, "JSON of another form");
    assert_eq!(got[6]["id"], 8);
    says(&got[7], 501, "a line holds no binary tensors");
    says(&got[8], 413, "more than 4096 bytes");
    assert_eq!(data(&got[9]), Some(0.0));
}

#[test]
fn lines_are_answered_in_their_order_whatever_is_in_them() {
    check(Place::Native);
}

#[test]
fn lines_are_answered_on_an_emulated_aarch64() {
    check(Place::Emulated);
}

#[test]
fn where_there_are_several_models_a_line_names_one() {
    if !Place::Native.is_here() {
        return;
    }
    let repository = repository(Place::Native, "", &[Behaviour::Echo]);
    add(
        &repository,
        Place::Native,
        "other",
        "",
        &[Behaviour::Double],
    );
    let named = number(3.0).replacen('{', r#"{"model_name": "other", "#, 1);
    let lines = format!("{}\n{named}\n", number(3.0));
    let got = answers(Place::Native, repository.path(), &[], &lines);
    let error = got[0]["error"].as_str().unwrap();
    assert!(error.contains("name one in `model_name`"), "{error}");
    assert_eq!(got[1]["model_name"], "other");
}
