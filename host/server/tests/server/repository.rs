//! What is served follows what is there; stopping is orderly.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use modelet_protocol::Datatype;
use modelet_server::{App, Config, StartError};
use serde_json::{Value, json};

use crate::modelet::{Behaviour, vector};
use crate::served::{Served, answer, config};

const INFER: &str = "/v2/models/echo/infer";
const ROW: &str = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;

fn fp32(behaviour: Behaviour) -> Vec<u8> {
    vector("echo", Datatype::Fp32, behaviour)
}

fn echo() -> Served {
    Served::start(config(), &[("echo", fp32(Behaviour::Echo))])
}

/// The version that answers.
fn version(served: &Served) -> Value {
    served.post(INFER, ROW).json()["model_version"].clone()
}

#[test]
fn versions_come_and_go() {
    let served = echo();
    assert_eq!(version(&served), "1");
    served.put("echo/10/model.wasm", &fp32(Behaviour::Echo));
    served.put("echo/9/model.wasm", &fp32(Behaviour::Echo));
    served.app.refresh();
    assert_eq!(version(&served), "10");
    let metadata = served.get("/v2/models/echo").json();
    assert_eq!(metadata["versions"], json!(["1", "9", "10"]));
    for named in ["1", "9", "10"] {
        let path = format!("/v2/models/echo/versions/{named}/infer");
        assert_eq!(served.post(&path, ROW).json()["model_version"], named);
    }
    for unknown in ["2", "01", "latest", "-1", "%20"] {
        let path = format!("/v2/models/echo/versions/{unknown}/infer");
        served.post(&path, ROW).check_error(404, "has no version");
    }
    fs::remove_dir_all(served.path("echo/10")).unwrap();
    served.app.refresh();
    assert_eq!(version(&served), "9");
    fs::remove_dir_all(served.path("echo")).unwrap();
    served.app.refresh();
    served.post(INFER, ROW).check_error(404, "no model `echo`");
    assert_eq!(served.post("/v2/repository/index", "{}").json(), json!([]));
}

#[test]
fn a_spec_chooses_and_its_mistakes_change_nothing() {
    let served = echo();
    for number in [2, 3] {
        let path = format!("echo/{number}/model.wasm");
        served.put(&path, &fp32(Behaviour::Echo));
    }
    served.put(
        "echo/model.toml",
        b"[versions]\nserve = [1, 2]\ndefault = 1",
    );
    served.app.refresh();
    assert_eq!(version(&served), "1");
    assert_eq!(served.entry("echo", "3"), Value::Null);
    served.put("echo/model.toml", b"[versions]\ndefualt = 2");
    served.app.refresh();
    assert_eq!(version(&served), "1");
    let entry = served.entry("echo", "1");
    assert_eq!(entry["state"], "READY");
    assert!(
        entry["reason"].as_str().unwrap().contains("defualt"),
        "{entry}"
    );
    served.put("echo/model.toml", b"[versions]\nserve = \"latest\"");
    served.app.refresh();
    assert_eq!(version(&served), "3");
    let index = served.post("/v2/repository/index", "").json();
    assert_eq!(
        index,
        json!([{"name": "echo", "version": "3", "state": "READY", "reason": ""}])
    );
}

#[test]
fn a_default_that_is_not_there_is_not_replaced() {
    let served = echo();
    served.put("echo/model.toml", b"[versions]\ndefault = 7");
    served.app.refresh();
    served
        .post(INFER, ROW)
        .check_error(503, "model `echo` is not ready");
    assert_eq!(served.get("/v2/models/echo/ready").status, 503);
    assert_eq!(served.get("/v2/models/echo/versions/1/ready").status, 200);
}

#[test]
fn a_replaced_file_answers_and_its_counters_go_on() {
    let served = echo();
    assert_eq!(served.post(INFER, ROW).status, 200);
    served.put("echo/1/model.wasm", &fp32(Behaviour::Fail));
    served.app.refresh();
    served
        .post(INFER, ROW)
        .check_error(500, "the model failed: odd");
    let stats = served.get("/v2/models/echo/stats").json();
    let counted = &stats["model_stats"][0]["inference_stats"];
    assert_eq!(
        (&counted["success"]["count"], &counted["fail"]["count"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn a_broken_replacement_is_told_and_not_served() {
    let served = echo();
    let good = fp32(Behaviour::Echo);
    for (broken, reason) in [
        (b"text".to_vec(), "not a WebAssembly file"),
        (good[..good.len() / 2].to_vec(), "WebAssembly"),
        (
            wat::parse_str("(module)").unwrap(),
            "core WebAssembly module",
        ),
        (wat::parse_str("(component)").unwrap(), "does not export"),
    ] {
        served.put("echo/1/model.wasm", &broken);
        served.put("new/1/model.wasm", &broken);
        served.app.refresh();
        assert_eq!(served.post(INFER, ROW).status, 200, "{reason}");
        let (old, new) = (served.entry("echo", "1"), served.entry("new", "1"));
        assert_eq!(
            (&old["state"], &new["state"]),
            (&json!("READY"), &json!("UNAVAILABLE"))
        );
        for entry in [old, new] {
            assert!(
                entry["reason"].as_str().unwrap().contains(reason),
                "{entry}"
            );
        }
        assert!(served.app.is_ready(), "one model does not stop the others");
        served
            .post("/v2/repository/models/echo/load", "{}")
            .check_error(503, reason);
    }
    served.put("echo/1/model.wasm", &good);
    assert_eq!(
        served.post("/v2/repository/models/echo/load", "{}").status,
        200
    );
    assert_eq!(served.entry("echo", "1")["reason"], "");
}

#[test]
fn unloaded_is_unloaded_until_somebody_loads() {
    let served = echo();
    let (load, unload) = (
        "/v2/repository/models/echo/load",
        "/v2/repository/models/echo/unload",
    );
    assert_eq!(served.post(unload, "").status, 200);
    served.put("echo/2/model.wasm", &fp32(Behaviour::Echo));
    served.app.refresh();
    served.post(INFER, ROW).check_error(503, "it was unloaded");
    assert_eq!(served.get("/v2/models/echo/ready").status, 503);
    let ready = served
        .post("/v2/repository/index", r#"{"ready":true}"#)
        .json();
    assert_eq!(ready, json!([]));
    assert_eq!(served.post(load, "").status, 200);
    assert_eq!(version(&served), "2");
}

#[test]
fn files_are_served_by_their_place_or_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let placed = folder.path().join("placed/7/model.wasm");
    fs::create_dir_all(placed.parent().unwrap()).unwrap();
    fs::write(&placed, fp32(Behaviour::Echo)).unwrap();
    let named = folder.path().join("file.wasm");
    fs::write(&named, fp32(Behaviour::Echo)).unwrap();
    let compiler = || modelet_compiler::Compiler::new(&Default::default()).unwrap();
    let app = App::new(compiler(), Config::default(), &[placed, named.clone()]).unwrap();
    assert!(!app.is_ready());
    app.refresh();
    assert_eq!((app.is_ready(), app.ready_count()), (true, 2));

    fs::write(&named, vector("a b", Datatype::Fp32, Behaviour::Echo)).unwrap();
    let refused = App::new(compiler(), Config::default(), &[named])
        .err()
        .unwrap();
    assert!(matches!(refused, StartError::Name { .. }), "{refused}");
    assert!(refused.to_string().contains("--name"), "{refused}");
    let missing = App::new(compiler(), Config::default(), &["/no/such".into()])
        .err()
        .unwrap();
    assert!(
        missing.to_string().starts_with("/no/such cannot be read"),
        "{missing}"
    );
    assert!(matches!(
        App::new(compiler(), Config::default(), &[]),
        Err(StartError::Nothing)
    ));
}

/// A connection on which nothing is asked is not a request in flight.
#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let mut served = echo();
    let silent = served.connect();
    let mut kept = served.connect();
    kept.write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut first = [0; 12];
    std::io::Read::read_exact(&mut kept, &mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    served.stop();
    assert!(served.stopped() < Duration::from_secs(10));
    drop((silent, kept));
}

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let mut served = echo();
    let mut idle = served.connect();
    let mut stream = served.connect();
    let head = format!(
        "POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        ROW.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server asks for the body: the request has begun.
    let mut go_on = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    served.stop();
    // Connections are told that the end is near, all at once: one with nothing on it ends first.
    assert_eq!(std::io::Read::read(&mut idle, &mut [0]).unwrap(), 0);
    stream.write_all(ROW.as_bytes()).unwrap();
    let answer = answer(stream);
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    served.stopped();
}

#[test]
fn a_request_that_does_not_end_is_cut_off() {
    let mut served = Served::start(
        Config {
            drain_timeout: Duration::from_millis(200),
            ..config()
        },
        &[("echo", fp32(Behaviour::Spin))],
    );
    let mut stream = served.connect();
    let head = format!(
        "POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{ROW}",
        ROW.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    served.stop();
    assert!(served.stopped() < Duration::from_secs(20));
}

/// A new model compiles while the others go on: whoever asks for readiness must not be sent away.
#[test]
fn a_server_is_ready_once_and_for_all() {
    let served = echo();
    for number in 2..30 {
        let path = format!("other/{number}/model.wasm");
        served.put(&path, &fp32(Behaviour::Echo));
    }
    std::thread::scope(|scope| {
        let refreshing = scope.spawn(|| served.app.refresh());
        while !refreshing.is_finished() {
            assert!(served.app.is_ready(), "not ready while a new model loads");
        }
    });
    assert_eq!(
        served.get("/v2/models/other").json()["versions"]
            .as_array()
            .unwrap()
            .len(),
        28
    );
}
