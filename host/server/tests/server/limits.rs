//! Over each limit there is an answer, at once.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use modelet_protocol::{Datatype, Tensor};
use modelet_runtime::InferError;
use modelet_server::Config;
use serde_json::json;

use crate::modelet::{Behaviour, vector};
use crate::served::{PATIENCE, Response, Served, answer, config, wait_for};

const INFER: &str = "/v2/models/echo/infer";
const ROW: &str = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;

fn echo(config: Config) -> Served {
    Served::start(
        config,
        &[("echo", vector("echo", Datatype::Fp32, Behaviour::Echo))],
    )
}

fn small() -> Served {
    echo(Config {
        body_bytes: 1000,
        ..config()
    })
}

#[test]
fn a_body_over_the_limit_is_refused_however_it_comes() {
    let served = small();
    let request = format!("{ROW:<1000}");
    assert_eq!(served.post(INFER, &request).status, 200);
    served
        .post(INFER, request + " ")
        .check_error(413, "more than 1000 bytes");

    let mut stream = served.connect();
    let head = format!(
        "POST {INFER} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..11 {
        stream
            .write_all(format!("64\r\n{:100}\r\n", "").as_bytes())
            .unwrap();
    }
    answer(stream).check_error(413, "more than 1000 bytes");
}

#[test]
fn a_declared_size_over_the_limit_is_refused_before_the_body_comes() {
    let served = small();
    let mut stream = served.connect();
    let head = format!(
        "POST {INFER} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1001\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    answer(stream).check_error(413, "more than 1000 bytes");
}

/// A client that writes all of its request before it reads must not meet a reset connection.
#[test]
fn a_client_that_sends_far_too_much_still_reads_why() {
    let served = small();
    for _ in 0..5 {
        served
            .post(INFER, vec![b' '; 8 << 20])
            .check_error(413, "more than 1000 bytes");
    }
}

#[test]
fn a_compressed_body_is_measured_as_it_unpacks() {
    let served = small();
    let plain = vec![b' '; 50_000_000];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&plain).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(&plain).unwrap();
    for (encoding, bomb) in [
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
    ] {
        for path in [INFER, "/v2/repository/index"] {
            served
                .request("POST", path, &[("Content-Encoding", encoding)], &bomb)
                .check_error(413, "more than 1000 bytes");
        }
    }
}

#[test]
fn headers_have_a_time_and_a_size() {
    let served = echo(Config {
        header_timeout: Duration::from_millis(200),
        ..config()
    });
    for begun in ["", "G", "GET /v2 HTTP/1.1\r\nHost:", "PRI * HTTP/2.0\r\n"] {
        let mut stream = served.connect();
        stream.write_all(begun.as_bytes()).unwrap();
        ends(stream, begun);
    }
    let mut stream = served.connect();
    let head = format!(
        "GET /v2 HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let _ = stream.write_all(head.as_bytes());
    ends(stream, "a long header");
    assert_eq!(served.get("/v2").status, 200);
}

/// What begins as HTTP/2 does may still be HTTP/1, and no limit of the beginning holds later.
#[test]
fn a_request_that_comes_in_pieces_is_read() {
    let served = echo(Config {
        header_timeout: Duration::from_secs(2),
        ..config()
    });
    let mut stream = served.connect();
    let head = format!(
        "POST {INFER} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        ROW.len()
    );
    for byte in head.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    // There is nothing to wait for but the time that must not matter any more.
    thread::sleep(Duration::from_millis(2500));
    stream.write_all(ROW.as_bytes()).unwrap();
    assert_eq!(answer(stream).status, 200);
}

/// The connection is closed by the server, and not with a success.
fn ends(mut stream: TcpStream, what: &str) {
    let start = Instant::now();
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
    assert!(start.elapsed() < PATIENCE, "{what:?} stayed open");
    assert!(
        !rest.starts_with(b"HTTP/1.1 2"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let served = echo(Config {
        request_timeout: Duration::from_millis(200),
        ..config()
    });
    for path in [INFER, "/v2/repository/index"] {
        let mut stream = served.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
        answer(stream).check_error(408, "did not arrive whole");
    }
}

fn spinning(config: Config) -> Served {
    Served::start(
        config,
        &[("spin", vector("spin", Datatype::Fp32, Behaviour::Spin))],
    )
}

fn spin(served: &Served, milliseconds: u64) -> Response {
    let body = json!({
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}],
        "parameters": {"timeout": milliseconds * 1000},
    });
    served.post("/v2/models/spin/infer", body.to_string())
}

#[test]
fn a_call_ends_no_earlier_because_the_clock_had_been_late() {
    let config = modelet_compiler::Config {
        max_instances: 1,
        max_memory_bytes: 64 << 20,
        ..modelet_compiler::Config::default()
    };
    let compiler = modelet_compiler::Compiler::new(&config).unwrap();
    let bytes = vector("spin", Datatype::Fp32, Behaviour::Spin);
    let compiled = compiler.compile(&bytes).unwrap();
    let limits = modelet_runtime::Limits {
        memory_bytes: 64 << 20,
        reuse: true,
    };
    let modelet = compiler.load(&bytes, limits).unwrap();
    let input = Tensor {
        name: "x".to_owned(),
        datatype: Datatype::Fp32,
        shape: vec![1],
        data: vec![0; 4],
    };
    let deadline = Instant::now() + Duration::from_millis(300);
    thread::scope(|scope| {
        let call = scope.spawn(|| modelet.infer(&[input], &[], deadline));
        while !call.is_finished() {
            compiled.frame.engine().increment_epoch();
        }
        let answer = call.join().unwrap();
        assert!(
            matches!(answer, Err(InferError::DeadlineExceeded)),
            "{answer:?}"
        );
    });
    assert!(Instant::now() >= deadline);
}

#[test]
fn a_call_ends_at_the_earliest_deadline() {
    let served = spinning(Config {
        request_timeout: Duration::from_millis(1500),
        ..config()
    });
    for (asked_ms, limit_ms) in [(100, 1000), (60_000, 10_000)] {
        let start = Instant::now();
        spin(&served, asked_ms).check_error(504, "did not answer before its deadline");
        assert!(
            start.elapsed() < Duration::from_millis(limit_ms),
            "{:?}",
            start.elapsed()
        );
    }
    served.put("spin/model.toml", b"[limits]\ntimeout = \"50ms\"");
    served.app.refresh();
    let start = Instant::now();
    spin(&served, 60_000).check_error(504, "did not answer before its deadline");
    assert!(
        start.elapsed() < Duration::from_millis(1400),
        "{:?}",
        start.elapsed()
    );
}

fn pending(served: &Served) -> bool {
    let line = "nv_inference_pending_request_count{model=\"spin\",version=\"1\"} 1\n";
    served.get("/metrics").text().contains(line)
}

#[test]
fn a_full_queue_answers_at_once_and_says_when_to_come_again() {
    let served = spinning(Config {
        concurrency: 1,
        queue: 1,
        ..config()
    });
    thread::scope(|scope| {
        let first = [0, 1].map(|_| scope.spawn(|| spin(&served, 3000)));
        wait_for("a waiting request", || pending(&served));
        let refused = spin(&served, 60_000);
        refused.check_error(503, "overloaded");
        assert_eq!(refused.header("retry-after"), Some("1"));
        // Whoever refused at once did not wait for those before it.
        assert!(
            pending(&served),
            "the queue moved before the third request was answered"
        );
        for waited in first {
            assert_eq!(waited.join().unwrap().status, 504);
        }
    });
    spin(&served, 50).check_error(504, "before its deadline");
}

#[test]
fn a_caller_that_hangs_up_leaves_the_queue() {
    let served = spinning(Config {
        concurrency: 1,
        queue: 1,
        ..config()
    });
    thread::scope(|scope| {
        let running = scope.spawn(|| spin(&served, 3000));
        // The place to run is taken when somebody waits; who waits here hangs up then.
        let mut waiting = Vec::new();
        wait_for("a waiting request", || {
            if waiting.is_empty() {
                waiting.push(hanging(&served));
            }
            pending(&served)
        });
        drop(waiting);
        wait_for("an empty queue", || !pending(&served));
        assert_eq!(running.join().unwrap().status, 504);
    });
}

/// Sends a request whose answer nobody reads.
fn hanging(served: &Served) -> TcpStream {
    let mut stream = served.connect();
    let body = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;
    let head = format!(
        "POST /v2/models/spin/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn a_models_own_limit_leaves_the_server_to_others() {
    let models = [
        ("spin", vector("spin", Datatype::Fp32, Behaviour::Spin)),
        ("echo", vector("echo", Datatype::Fp32, Behaviour::Echo)),
    ];
    let two = Config {
        concurrency: 2,
        ..config()
    };
    let served = Served::start(two, &models);
    served.put("spin/model.toml", b"[limits]\nconcurrency = 1\nqueue = 1");
    served.app.refresh();
    thread::scope(|scope| {
        let busy = [0, 1].map(|_| scope.spawn(|| spin(&served, 3000)));
        wait_for("a waiting request", || pending(&served));
        assert_eq!(served.post(INFER, ROW).status, 200);
        assert!(pending(&served), "the other model was not waited for");
        for call in busy {
            assert_eq!(call.join().unwrap().status, 504);
        }
    });
}
