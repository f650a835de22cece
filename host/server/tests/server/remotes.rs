//! Other servers, second tries and second askers.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use modelet_server::Config;
use serde_json::json;

use crate::modelet::Behaviour;
use crate::served::{Served, config, wait_for};
use crate::stories::{INFER, ask, by, modelet, row, served};

const STATIC: &str = r#"{ static = '[{"name":"x","datatype":"FP32","shape":[1],"data":[7]}]' }"#;

#[test]
fn another_server_answers_for_one_that_cannot() {
    let other = Served::start(config(), &[("m", modelet(Behaviour::Double))]);
    let url = format!("http://{}", other.address);
    let spec = format!("fallback.chain = [{{ remote = \"{url}\", timeout = \"30s\" }}]");
    let served = served(config(), Behaviour::Trap, &spec);
    let answer = served.request("POST", INFER, &[], row("3").as_bytes());
    let who = format!("m/1@{}", other.address);
    assert_eq!(by(&answer), (who, Some("trap")));
    assert_eq!(answer.json()["outputs"][0]["data"], json!([6.0]));
    // More than is sent as JSON.
    let many = vec!["1.5"; 40_000].join(",");
    let many = row(&many).replace("[1],\"data", "[40000],\"data");
    let answer = served.post(INFER, many);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let values = &answer.json()["outputs"][0]["data"];
    assert_eq!(values[0], json!(3.0), "the first is doubled");
    assert_eq!(values[39_999], json!(1.5));
}

#[test]
fn two_servers_that_fall_back_to_each_other_do_not_send_a_request_around() {
    let first = served(config(), Behaviour::Trap, "");
    let second = served(config(), Behaviour::Trap, "");
    for (one, other) in [(&first, &second), (&second, &first)] {
        let spec = format!(
            "fallback.chain = [{{ remote = \"http://{}\" }}]",
            other.address
        );
        one.put("m/model.toml", spec.as_bytes());
        one.app.refresh();
    }
    ask(&first, &[]).check_error(500, "trapped");
    let metrics = second.get("/metrics").text();
    let failures = "nv_inference_request_failure{model=\"m\",version=\"2\"} 1";
    assert!(metrics.contains(failures), "{metrics}");
}

/// Takes connections, reads what comes, and never answers.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
    url
}

#[test]
fn a_server_that_hangs_costs_its_time_and_then_is_not_asked() {
    let config = Config {
        request_timeout: Duration::from_secs(5),
        ..config()
    };
    let spec = format!(
        "fallback.chain = [{{ remote = \"{}\", timeout = \"100ms\" }}, {STATIC}]",
        silent()
    );
    let served = served(config, Behaviour::Trap, &spec);
    let timed = || {
        let start = Instant::now();
        assert_eq!(by(&ask(&served, &[])), ("static".to_owned(), Some("trap")));
        start.elapsed()
    };
    for _ in 0..5 {
        assert!(timed() >= Duration::from_millis(100));
    }
    let metrics = served.get("/metrics").text();
    assert!(metrics.contains("modelet_fallback_failures"), "{metrics}");
    let quickest = (0..5).map(|_| timed()).min().unwrap();
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
}

#[test]
fn a_server_that_hangs_leaves_time_for_those_after_it() {
    let config = Config {
        request_timeout: Duration::from_secs(10),
        ..config()
    };
    let spec = format!(
        "fallback.chain = [{{ remote = \"{}\", timeout = \"60s\" }}, {STATIC}]",
        silent()
    );
    let served = served(config, Behaviour::Trap, &spec);
    assert_eq!(by(&ask(&served, &[])), ("static".to_owned(), Some("trap")));
}

#[test]
fn what_another_server_says_that_is_no_answer_leads_on() {
    for said in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nInference-Header-Content-Length: x\r\n\r\n",
        "HTTP/1.1 500 Oh no\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "no protocol at all\r\n\r\n",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spec = format!("fallback.chain = [{{ remote = \"{url}\" }}, {STATIC}]");
        let served = served(config(), Behaviour::Trap, &spec);
        let other = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(said.as_bytes()).unwrap();
        });
        assert_eq!(by(&ask(&served, &[])), ("static".to_owned(), Some("trap")));
        other.join().unwrap();
    }
}

#[test]
fn a_server_that_is_not_there_is_told_if_nobody_else_is() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let spec = format!("fallback.chain = [{{ remote = \"http://{address}\" }}]");
    let served = Served::start(config(), &[]);
    served.put("m/model.toml", spec.as_bytes());
    served.app.refresh();
    // The first failure is the one that is told: the model has no version.
    ask(&served, &[]).check_error(503, "is not ready");
}

/// The statuses of requests that are made at one time.
fn at_once(served: &Served) -> Vec<u16> {
    thread::scope(|scope| {
        let asked: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| ask(served, &[]).status))
            .collect();
        asked
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    })
}

#[test]
fn a_request_that_found_no_place_is_tried_again() {
    let limits = "limits = { concurrency = 1, queue = 0 }\n";
    let served = served(config(), Behaviour::SlowUnlessZero, limits);
    wait_for("a request that finds no place", || {
        at_once(&served).contains(&503)
    });
    let retries = format!("{limits}[fallback]\nretries = 8\nbackoff = \"100ms\"");
    served.put("m/model.toml", retries.as_bytes());
    served.app.refresh();
    assert_eq!(at_once(&served), [200; 3]);
}

#[test]
fn another_is_asked_when_a_version_takes_longer_than_it_does() {
    let spec = "[fallback]\nchain = [{ version = 1 }]\nhedge = 0.9";
    let served = served(config(), Behaviour::SlowUnlessZero, spec);
    let at = |value: &str| {
        let answer = served.post(INFER, row(value));
        let (who, reason) = by(&answer);
        (who, reason.map(str::to_owned))
    };
    let hedged = |times: usize, value: &str| {
        let answers = (0..times).map(|_| at(value));
        let hedged = answers.filter(|answer| match answer {
            (who, Some(reason)) if who == "m/1" && reason == "slow" => true,
            (who, None) if who == "m/2" => false,
            other => panic!("{other:?}"),
        });
        hedged.count()
    };
    // It is quick as long as it is asked for zero, but for what the machine has to do beside.
    let before = hedged(60, "0");
    let slow = hedged(10, "1");
    assert!(slow > 0, "version 1 was never quicker");
    let hedged = before + slow;
    let metrics = served.get("/metrics").text();
    let line = format!("modelet_fallbacks{{model=\"m\",reason=\"slow\",to=\"m/1\"}} {hedged}");
    assert!(metrics.contains(&line), "{metrics}");
}
