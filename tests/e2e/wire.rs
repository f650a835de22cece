//! Data on the wire: each odd request has an answer.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::built;
use crate::server::{Response, Server};

const INFER: &str = "/v2/models/iris/infer";

fn server() -> Server {
    Server::start(&[&built::modelet("iris")])
}

fn body(data: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"X","datatype":"FP32","shape":[1,4],"data":{data}}}]}}"#)
}

/// One row as a binary tensor.
fn binary(server: &Server, json: &str, data: &[u8]) -> Response {
    let mut bytes = json.as_bytes().to_vec();
    bytes.extend(data);
    let length = json.len().to_string();
    server.request(
        "POST",
        INFER,
        &[("Inference-Header-Content-Length", &length)],
        &bytes,
    )
}

fn binary_json(size: usize) -> String {
    format!(
        r#"{{"inputs":[{{"name":"X","datatype":"FP32","shape":[1,4],"parameters":{{"binary_data_size":{size}}}}}]}}"#
    )
}

#[test]
fn a_request_is_answered_flat_and_nested_with_its_id() {
    let server = server();
    for data in ["[5.1,3.5,1.4,0.2]", "[[5.1,3.5,1.4,0.2]]"] {
        let request = body(data).replacen('{', r#"{"id":"seven","#, 1);
        let answer = server.request(
            "POST",
            INFER,
            &[("X-Request-Id", "abc")],
            request.as_bytes(),
        );
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-request-id"), Some("abc"));
        let json = answer.json();
        assert_eq!(json["id"], "seven");
        assert_eq!(json["model_name"], "iris");
        assert_eq!(
            json["outputs"][0],
            json!({"name": "label", "datatype": "INT64", "shape": [1], "data": [0]})
        );
    }
}

#[test]
fn numbers_that_json_does_not_have_come_and_go() {
    let server = server();
    for data in ["[NaN,0,0,0]", r#"["NaN",0,0,0]"#] {
        let answer = server.post(INFER, body(data));
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.json()["outputs"][1]["data"],
            json!(["NaN", "NaN", "NaN"])
        );
    }
    assert_eq!(
        server.post(INFER, body("[Infinity,-Infinity,0,0]")).status,
        200
    );
    server
        .post(INFER, body("[1e39,0,0,0]"))
        .check_error(400, "too large for FP32");
}

#[test]
fn what_does_not_fit_the_signature_is_refused_by_name() {
    let server = server();
    let cases = [
        (body("[1,2,3]"), "takes 16 bytes, got 12"),
        (body("[[1,2],[3,4]]"), "does not fit shape [1, 4]"),
        (body("[[[1,2,3,4]]]"), "nested deeper than shape [1, 4]"),
        (
            body("[1,2,3,[4]]"),
            "a list of 1 at depth 1 does not fit shape [1, 4]",
        ),
        (body(r#"[1,2,3,"four"]"#), r#""four" is not a FP32"#),
        (
            body("[1,2,3,4]").replace("FP32", "INT32"),
            "input `X` is FP32, got INT32",
        ),
        (
            body("[1,2,3,4]").replace("FP32", "FLOAT"),
            "unknown datatype `FLOAT`",
        ),
        (
            body("[1,2,3,4]").replace("\"X\"", "\"Y\""),
            "no input `Y`; its inputs are `X`",
        ),
        (
            body("[1,2,3,4]").replace("[1,4]", "[4]"),
            "does not take shape [4]",
        ),
        (
            body("[1,2,3,4]").replace("[1,4]", "[-1,4]"),
            "negative dimension",
        ),
        (
            body("[1]").replace("[1,4]", "[18446744073709551615,4]"),
            "invalid value",
        ),
        (
            body("[1]").replace("[1,4]", "[9223372036854775807,4]"),
            "overflows",
        ),
        (
            r#"{"inputs":[]}"#.to_owned(),
            "input `X=FP32[X_0,4]` is missing",
        ),
        (String::new(), "not valid JSON"),
        (
            "{}".to_owned(),
            "JSON of another form: missing field `inputs`",
        ),
        ("3".to_owned(), "expected an object with `inputs`"),
        (
            r#"{"inputs":["X"]}"#.to_owned(),
            "expected a tensor with `name`, `shape`, `datatype` and `data`",
        ),
        ("{".to_owned(), "not valid JSON"),
        ("[".repeat(100_000), "JSON of another form"),
        (body(&"[".repeat(100_000)), "not valid JSON"),
        (body(&("[".repeat(200) + &"]".repeat(200))), "nested deeper"),
    ];
    for (request, expected) in cases {
        server.post(INFER, request).check_error(400, expected);
    }
}

#[test]
fn an_empty_batch_is_an_answer() {
    let server = server();
    let answer = server.post(INFER, body("[]").replace("[1,4]", "[0,4]"));
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    assert_eq!(answer.json()["outputs"][0]["data"], json!([]));
}

#[test]
fn binary_tensors_are_exactly_as_long_as_they_say() {
    let server = server();
    let row: Vec<u8> = [5.1f32, 3.5, 1.4, 0.2]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let answer = binary(&server, &binary_json(16), &row);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["outputs"][0]["data"], json!([0]));
    binary(&server, &binary_json(12), &row[..12]).check_error(400, "takes 16 bytes, got 12");
    binary(&server, &binary_json(16), &row[..12])
        .check_error(400, "takes 16 bytes of binary data, 12 are left");
    binary(
        &server,
        &binary_json(16),
        &[row.as_slice(), b"more"].concat(),
    )
    .check_error(400, "4 bytes follow the last binary tensor");
    let both = binary_json(16).replace("\"parameters\"", "\"data\":[1],\"parameters\"");
    binary(&server, &both, &row).check_error(400, "both `data` and");
    server
        .request(
            "POST",
            INFER,
            &[("Inference-Header-Content-Length", "999")],
            b"{}",
        )
        .check_error(400, "says 999 bytes of JSON, the body has 2 bytes");
    server
        .request(
            "POST",
            INFER,
            &[("Inference-Header-Content-Length", "many")],
            b"{}",
        )
        .check_error(400, "is a number of bytes");
    let raw = server.request(
        "POST",
        INFER,
        &[("Inference-Header-Content-Length", "0")],
        &row,
    );
    assert_eq!(raw.status, 200);
}

#[test]
fn binary_outputs_follow_the_json() {
    let server = server();
    let request =
        body("[5.1,3.5,1.4,0.2]").replacen('{', r#"{"parameters":{"binary_data_output":true},"#, 1);
    let answer = server.post(INFER, request);
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    let length: usize = answer
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&answer.body[..length]).unwrap();
    assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 8);
    assert_eq!(answer.body[length..length + 8], 0i64.to_le_bytes());
    assert_eq!(answer.body.len(), length + 8 + 12);
}

#[test]
fn compression_goes_both_ways() {
    let server = server();
    let plain = body("[5.1,3.5,1.4,0.2]");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(plain.as_bytes()).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(plain.as_bytes()).unwrap();
    for (encoding, compressed) in [
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
    ] {
        let headers = [
            ("Content-Encoding", encoding),
            ("Accept-Encoding", encoding),
        ];
        let answer = server.request("POST", INFER, &headers, &compressed);
        assert_eq!(
            (answer.status, answer.header("content-encoding")),
            (200, Some(encoding))
        );
        server
            .request(
                "POST",
                INFER,
                &[("Content-Encoding", encoding)],
                b"not compressed",
            )
            .check_error(400, "the body cannot be read");
    }
    for path in [INFER, "/v2/repository/index"] {
        server
            .request("POST", path, &[("Content-Encoding", "br")], b"?")
            .check_error(415, "gzip, deflate and none");
    }
}

#[test]
fn a_body_is_limited_also_after_decompression() {
    let server = Server::with_settings(&[&built::modelet("iris")], "[limits]\nbody = \"1000B\"\n");
    server
        .post(INFER, vec![b' '; 1001])
        .check_error(413, "more than 1000 bytes");
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 10_000_000]).unwrap();
    let bomb = bomb.finish().unwrap();
    server
        .request("POST", INFER, &[("Content-Encoding", "gzip")], &bomb)
        .check_error(413, "more than 1000 bytes");
    assert_eq!(server.post(INFER, body("[1,2,3,4]")).status, 200);
}

#[test]
fn headers_that_do_not_come_end_the_connection() {
    let server = Server::with_settings(
        &[&built::modelet("iris")],
        "[limits]\nheader_timeout = \"200ms\"\n",
    );
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    stream.write_all(b"GET /v2 HTTP/1.1\r\nHost:").unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut rest).unwrap();
    assert!(
        !rest.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
}

#[test]
fn unknown_places_and_methods_are_the_protocols_errors() {
    let server = server();
    server
        .get("/nothing")
        .check_error(404, "there is nothing at /nothing");
    server.get(INFER).check_error(405, "does not take GET");
    server
        .get("/v2/models/other")
        .check_error(404, "there is no model `other`");
    server
        .get("/v2/models/iris/versions/9")
        .check_error(404, "has no version `9`");
    server
        .get("/v2/models/iris/versions/one")
        .check_error(404, "has no version `one`");
    server
        .get("/v2/models/..%2F..%2Fetc")
        .check_error(404, "there is no model");
    assert_eq!(server.get("/v2/").json()["name"], "modelet");
    assert_eq!(server.get("/v2/health/live").json()["live"], true);
    assert_eq!(server.get("/v2/health/ready").json()["ready"], true);
    assert_eq!(
        server.get("/v2/models/iris/versions/1/ready").json()["ready"],
        true
    );
    let metadata = server.get("/v2/models/iris").json();
    assert_eq!(
        metadata["inputs"],
        json!([{"name": "X", "datatype": "FP32", "shape": [-1, 4]}])
    );
}

#[test]
fn counters_count_under_tritons_names() {
    let server = server();
    server.post(INFER, body("[1,2,3,4]"));
    server.post(INFER, body("[1,2,3,4,5,6,7,8]").replace("[1,4]", "[2,4]"));
    server.post(INFER, body("[1,2,3,4]").replace("\"X\"", "\"Y\""));
    let text = String::from_utf8(server.get("/metrics").body).unwrap();
    for (name, value) in [
        ("nv_inference_request_success", 2),
        ("nv_inference_request_failure", 1),
        ("nv_inference_count", 3),
        ("nv_inference_exec_count", 2),
    ] {
        let line = format!("{name}{{model=\"iris\",version=\"1\"}} {value}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    let stats = server.get("/v2/models/iris/stats").json();
    assert_eq!(
        stats["model_stats"][0]["inference_stats"]["success"]["count"],
        2
    );
}

#[test]
fn a_request_is_in_the_log_soon_and_at_the_latest_when_the_server_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Server::command();
    command
        .env("RUST_LOG", "info")
        .stderr(File::create(&log).unwrap())
        .arg(built::modelet("iris"))
        .args(["--state", "sqlite::memory:"])
        .arg("--cache")
        .arg(built::cache());
    let server = Server::spawn(&mut command);
    let ask = |id| {
        let headers = [("X-Request-Id", id)];
        let answer = server.request("POST", INFER, &headers, body("[1,2,3,4]").as_bytes());
        assert_eq!(answer.status, 200);
    };
    let lines = || std::fs::read_to_string(&log).unwrap();
    ask("first");
    let start = Instant::now();
    while !lines().contains("request_id=first") {
        assert!(start.elapsed() < Duration::from_secs(60), "{}", lines());
        std::thread::yield_now();
    }
    ask("last");
    assert!(server.terminate());
    assert!(lines().contains("request_id=last"), "{}", lines());
}
