//! Who answers on a device, and what callers see of it: as the server would have it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::device::{Device, Place, Response, add, number, repository};
use crate::modelet::Behaviour;

const INFER: &str = "/v2/models/m/infer";

fn served_by(response: &Response) -> &str {
    response.header("modelet-served-by").unwrap()
}

#[test]
fn health_metadata_and_readiness_are_the_protocols() {
    if !Place::Native.is_here() {
        return;
    }
    let repository = repository(Place::Native, "", &[Behaviour::Echo, Behaviour::Double]);
    let device = Device::start(Place::Native, repository.path(), &[]);
    for (path, expected) in [
        ("/v2/health/live", json!({"live": true})),
        ("/v2/health/ready", json!({"ready": true})),
        ("/v2/models/m/ready", json!({"name": "m", "ready": true})),
    ] {
        let response = device.get(path);
        assert_eq!(
            (response.status, response.json()),
            (200, expected),
            "{path}"
        );
    }
    assert_eq!(device.get("/v2").json()["name"], "modelet");
    let metadata = device.get("/v2/models/m").json();
    assert_eq!(metadata["versions"], json!(["1", "2"]));
    assert_eq!(metadata["inputs"][0]["shape"], json!([-1]));
    let named = device.get("/v2/models/m/versions/1");
    assert_eq!(named.json(), metadata);
    for (method, path, status, error) in [
        ("GET", "/v2/models/n", 404, "there is no model `n`"),
        (
            "GET",
            "/v2/models/m/versions/3",
            404,
            "model `m` has no version `3`",
        ),
        (
            "GET",
            "/v2/models/m/versions/3/ready",
            404,
            "model `m` has no version `3`",
        ),
        (
            "GET",
            "/v2/models/m/config",
            404,
            "there is nothing at /v2/models/m/config",
        ),
        ("GET", "/", 404, "there is nothing at /"),
        ("POST", "/v3", 404, "there is nothing at /v3"),
        ("GET", INFER, 405, "/v2/models/m/infer does not take GET"),
        (
            "DELETE",
            "/v2/models/m",
            405,
            "/v2/models/m does not take DELETE",
        ),
        ("POST", "/v2/models/n/infer", 404, "there is no model `n`"),
        (
            "POST",
            "/v2/models/m/versions/3/infer",
            404,
            "model `m` has no version `3`",
        ),
    ] {
        let response = device.request(method, path, &[("x-request-id", "7")], b"{}");
        assert_eq!(response.status, status, "{method} {path}");
        assert_eq!(response.json(), json!({"error": error}), "{method} {path}");
        assert_eq!(response.header("x-request-id"), Some("7"));
    }
}

#[test]
fn json_and_binary_tensors_are_answered_as_they_were_asked() {
    if !Place::Native.is_here() {
        return;
    }
    let repository = repository(Place::Native, "", &[Behaviour::Double]);
    let device = Device::start(Place::Native, repository.path(), &[]);
    let response = device.post(INFER, number(1.5));
    let mut expected = json!({"model_name": "m", "model_version": "1", "id": "7"});
    expected["outputs"] = json!([{"name": "x", "datatype": "FP32", "shape": [1], "data": [3.0]}]);
    assert_eq!(response.json(), expected);
    assert_eq!(served_by(&response), "m/1");
    assert_eq!(response.header("content-type"), Some("application/json"));

    let head = br#"{"parameters": {"binary_data_output": true}, "inputs": [{"name": "x",
        "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}}]}"#;
    let mut body = head.to_vec();
    body.extend(1.5_f32.to_le_bytes());
    let length = head.len().to_string();
    let headers = [("Inference-Header-Content-Length", &*length)];
    let response = device.request("POST", INFER, &headers, &body);
    assert_eq!(response.outputs()[0].data, 3.0_f32.to_le_bytes());
    assert_eq!(
        response.header("content-type"),
        Some("application/octet-stream")
    );

    let raw = device.request(
        "POST",
        INFER,
        &[("Inference-Header-Content-Length", "0")],
        &2.0_f32.to_le_bytes(),
    );
    assert_eq!(raw.outputs()[0].data, 4.0_f32.to_le_bytes());
}

#[test]
fn a_bad_request_is_told_why_and_asks_nobody_else() {
    if !Place::Native.is_here() {
        return;
    }
    let toml = "fallback.chain = [{ version = 1 }]";
    let repository = repository(Place::Native, toml, &[Behaviour::Echo, Behaviour::Echo]);
    let device = Device::start(Place::Native, repository.path(), &["--body", "4KiB"]);
    let wrong = r#"{"inputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1]}]}"#;
    for (body, status, said) in [
        ("{", 400, "not valid JSON"),
        (wrong, 400, "y"),
        (
            &*number(1.0).replace("\"id\"", &format!("\"{}\": 1, \"id\"", "a".repeat(5000))),
            413,
            "more than 4096 bytes",
        ),
    ] {
        let response = device.post(INFER, body);
        assert_eq!(response.status, status, "{said}");
        let error = response.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(said), "{error}");
        assert_eq!(response.header("modelet-fallback-reason"), None);
    }
    let gzip = [("Content-Encoding", "gzip")];
    assert_eq!(device.request("POST", INFER, &gzip, b"x").status, 415);
    let length = [("Inference-Header-Content-Length", "many")];
    assert_eq!(device.request("POST", INFER, &length, b"x").status, 400);
}

/// In every place: a trap is a signal, an endless loop is interrupted, and memory is held to its limit by
/// means that are the machine's own.
#[test]
fn what_goes_wrong_in_a_model_is_its_own_affair() {
    for place in Place::ALL.into_iter().filter(|place| place.is_here()) {
        let toml = "limits.timeout = \"300ms\"\nlimits.memory = \"64MiB\"";
        let repository = repository(
            place,
            toml,
            &[
                Behaviour::Trap,
                Behaviour::Spin,
                Behaviour::Grow,
                Behaviour::Fail,
                Behaviour::Panic,
                Behaviour::Echo,
            ],
        );
        let device = Device::start(place, repository.path(), &[]);
        for round in 0..3 {
            for (version, status, said) in [
                (
                    1,
                    500,
                    "the model trapped: wasm trap: wasm `unreachable` instruction executed",
                ),
                (2, 504, "the model did not answer before its deadline"),
                (
                    3,
                    500,
                    "the model asked for more memory than its limit of 67108864 bytes",
                ),
                (4, 500, "the model failed: odd"),
                (5, 500, "the model trapped: odd!"),
            ] {
                let path = format!("/v2/models/m/versions/{version}/infer");
                let response = device.post(&path, number(1.0));
                assert_eq!(response.status, status, "{place:?} {round} {said}");
                assert_eq!(response.json(), json!({"error": said}), "{place:?}");
            }
            assert_eq!(device.post(INFER, number(1.0)).status, 200, "{place:?}");
        }
    }
}

#[test]
fn a_broken_version_falls_back_and_then_its_breaker_keeps_requests_away() {
    for place in Place::ALL.into_iter().filter(|place| place.is_here()) {
        let toml = "breaker = { consecutive = 2, open = \"300s\" }\nversions.default = 2\n\
                    fallback.chain = [{ version = 1 }]";
        let repository = repository(place, toml, &[Behaviour::Echo, Behaviour::Trap]);
        let device = Device::start(place, repository.path(), &[]);
        for reason in ["trap", "trap", "breaker", "breaker"] {
            let response = device.post(INFER, number(2.0));
            assert_eq!(response.outputs()[0].data, 2.0_f32.to_le_bytes());
            assert_eq!(served_by(&response), "m/1");
            assert_eq!(response.header("modelet-fallback-reason"), Some(reason));
            let parameters = &response.json()["parameters"];
            assert_eq!(parameters["modelet_fallback_reason"], reason);
            assert_eq!(parameters["modelet_served_by"], "m/1");
        }
        // Whoever names a version wants no other.
        let pinned = device.post("/v2/models/m/versions/2/infer", number(2.0));
        assert_eq!(pinned.status, 503);
        let error = pinned.json()["error"].to_string();
        assert!(error.contains("has failed too often"), "{error}");
        assert_eq!(pinned.header("retry-after"), Some("1"));
    }
}

#[test]
fn a_chain_goes_over_other_models_to_a_static_answer() {
    if !Place::Native.is_here() {
        return;
    }
    let toml = r#"
        guards.finite = true
        [fallback]
        chain = [{ model = "other" }, { static = '[{"name": "x", "datatype": "FP32", "shape": [1], "data": [9]}]' }]
    "#;
    let repository = repository(Place::Native, toml, &[Behaviour::NanUnlessZero]);
    let behaviours = [Behaviour::TrapUnlessZero];
    add(&repository, Place::Native, "other", "", &behaviours);
    let device = Device::start(Place::Native, repository.path(), &[]);
    let healthy = device.post(INFER, number(0.0));
    assert_eq!(served_by(&healthy), "m/1");
    let answer = device.post(INFER, number(1.0));
    assert_eq!(served_by(&answer), "static");
    assert_eq!(answer.header("modelet-fallback-reason"), Some("guard"));
    assert_eq!(answer.outputs()[0].data, 9.0_f32.to_le_bytes());
    assert_eq!(answer.json().get("model_version"), None);
}

#[test]
fn the_first_failure_is_told_when_nobody_answers() {
    if !Place::Native.is_here() {
        return;
    }
    let toml = "fallback.chain = [{ version = 1 }]";
    let repository = repository(Place::Native, toml, &[Behaviour::Fail, Behaviour::Trap]);
    let device = Device::start(Place::Native, repository.path(), &[]);
    let response = device.post(INFER, number(1.0));
    assert_eq!(response.status, 500);
    let error = response.json()["error"].to_string();
    assert!(error.contains("unreachable"), "{error}");
}

#[test]
fn weights_are_followed_and_a_callers_key_stays_with_its_version() {
    if !Place::Native.is_here() {
        return;
    }
    let toml = "[labels]\nold = 1\n[traffic]\nsticky = { header = \"x-user\" }\n\
                weights = { 1 = 25, 2 = 75 }\nmatch = [{ header = \"x-old\", version = \"old\" }]";
    let repository = repository(Place::Native, toml, &[Behaviour::Echo, Behaviour::Echo]);
    let device = Device::start(Place::Native, repository.path(), &[]);
    let by = |headers: &[(&str, &str)]| {
        let response = device.request("POST", INFER, headers, number(1.0).as_bytes());
        served_by(&response).to_owned()
    };
    let mut shares = BTreeMap::<String, usize>::new();
    for user in 0..400 {
        let user = user.to_string();
        let first = by(&[("X-User", &user)]);
        assert_eq!(by(&[("x-user", &user)]), first);
        *shares.entry(first).or_default() += 1;
    }
    let ones = shares["m/1"];
    assert!((70..130).contains(&ones), "{shares:?}");
    assert_eq!(by(&[("x-old", "yes")]), "m/1");
    assert_eq!(by(&[("modelet-version", "old")]), "m/1");
    let labelled = device.post("/v2/models/m/versions/old/infer", number(1.0));
    assert_eq!(served_by(&labelled), "m/1");
}

/// The device and the server hash the same key to the same version.
#[test]
fn a_model_toml_is_followed_as_the_server_follows_it() {
    use modelet_policy::deployment::{Caller, Deployment, Step};
    use modelet_policy::routing;
    use modelet_policy::spec::ModelSpec;

    let toml = "traffic.weights = { 1 = 50, 2 = 50 }\ntraffic.salt = \"s\"";
    let spec = ModelSpec::parse(toml).unwrap();
    let versions = [1, 2].map(|number| number.try_into().unwrap());
    let mut deployment = Deployment::default();
    deployment.insert("m".parse().unwrap(), spec.clone(), versions.to_vec(), 0);
    for id in 0..1000 {
        let id = id.to_string();
        let key = routing::hash("s", id.as_bytes());
        let (server, _) = routing::route(&spec, versions.into_iter(), |_| None, key).unwrap();
        let caller = Caller {
            id,
            ..Caller::default()
        };
        let second = Duration::from_secs(1);
        let mut request = deployment
            .begin("m", &caller, second, Duration::ZERO)
            .unwrap();
        let Step::Ask { version, .. } = deployment.step(&mut request, Duration::ZERO) else {
            panic!("nobody is asked");
        };
        assert_eq!(version, server);
    }
}

#[test]
fn requests_beyond_the_places_to_run_and_to_wait_are_turned_away() {
    if !Place::Native.is_here() {
        return;
    }
    let toml = "limits.timeout = \"1s\"";
    let repository = repository(Place::Native, toml, &[Behaviour::Spin]);
    let arguments = ["--concurrency", "1", "--queue", "1"];
    let device = Device::start(Place::Native, repository.path(), &arguments);
    let mut statuses = thread::scope(|scope| {
        let ask = || device.post(INFER, number(1.0)).status;
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let statuses = asked.into_iter().map(|asked| asked.join().unwrap());
        statuses.collect::<Vec<_>>()
    });
    statuses.sort();
    assert_eq!(statuses, [503, 503, 504, 504]);
}

#[test]
fn connections_beyond_their_number_wait_to_be_accepted() {
    if !Place::Native.is_here() {
        return;
    }
    let repository = repository(Place::Native, "", &[Behaviour::Echo]);
    let device = Device::start(Place::Native, repository.path(), &["--connections", "1"]);
    let mut first = device.connect();
    first
        .write_all(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    first.read_exact(&mut [0; 15]).unwrap();
    thread::scope(|scope| {
        let second = scope.spawn(|| device.get("/v2/health/live").status);
        // It is in the listener's queue, however long that takes; the first still has its place.
        first
            .write_all(b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        first.read_to_end(&mut Vec::new()).unwrap();
        drop(first);
        assert_eq!(second.join().unwrap(), 200);
    });
}

#[test]
fn told_to_stop_a_device_answers_what_is_in_flight_first() {
    if !Place::Native.is_here() {
        return;
    }
    let repository = repository(Place::Native, "limits.timeout = \"2s\"", &[Behaviour::Spin]);
    let device = Device::start(Place::Native, repository.path(), &[]);
    let mut stream = device.connect();
    let body = number(1.0);
    let length = body.len();
    let head = format!("POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n");
    stream
        .write_all(format!("{head}\r\n{body}").as_bytes())
        .unwrap();
    let begun = Instant::now();
    // Any answer to another request shows that the first was read.
    assert_eq!(device.get("/v2").status, 200);
    device.terminate();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    let (well, said) = device.wait();
    assert!(well, "{said}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_cannot_be_loaded_is_said_and_the_rest_is_served() {
    if !Place::Native.is_here() {
        return;
    }
    let behaviours = [Behaviour::Echo, Behaviour::Echo, Behaviour::Echo];
    let toml = "versions.default = 3\nfallback.chain = [{ version = 1 }]\nfallback.retries = 1";
    let repository = repository(Place::Native, toml, &behaviours);
    std::fs::write(repository.path().join("m/3/model.cwasm"), "damaged").unwrap();
    let device = Device::start(Place::Native, repository.path(), &[]);
    let said = &device.beginning;
    assert!(said.contains("not loaded: m/3: "), "{said}");
    assert!(
        said.contains("m/model.toml: `fallback.retries`: not followed here"),
        "{said}"
    );
    let response = device.post(INFER, number(1.0));
    assert_eq!(served_by(&response), "m/1");
    assert_eq!(response.header("modelet-fallback-reason"), Some("load"));
    let ready = device.get("/v2/models/m/versions/3/ready");
    assert_eq!(
        (ready.status, ready.json()),
        (503, json!({"name": "m", "ready": false}))
    );
    let pinned = device.post("/v2/models/m/versions/3/infer", number(1.0));
    assert_eq!(pinned.status, 503);
    let error = pinned.json()["error"].to_string();
    assert!(
        error.contains("model.cwasm: it is no compiled modelet"),
        "{error}"
    );
}
