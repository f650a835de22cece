//! The gateway and the server, asked the same.

use std::sync::Arc;

use modelet_protocol::Datatype;
use modelet_protocol::rest::{HEADER_LENGTH, encode_request};
use serde_json::Value;

use crate::application::Application;
use crate::client::{Reply, Server, ask};
use crate::host::{Host, Offer};
use crate::modelet::{Behaviour, vector};
use crate::shelf::Shelf;

/// What is told of an answer beside its body.
const HEADERS: [&str; 6] = [
    "content-type",
    "content-length",
    HEADER_LENGTH,
    "modelet-served-by",
    "modelet-fallback-reason",
    "retry-after",
];

struct Both {
    gateway: Host,
    server: Server,
}

impl Both {
    fn start(specs: &[(&str, &str)]) -> Both {
        let of = |behaviour| vector("m", Datatype::Fp32, behaviour);
        let (echo, double, fail) = (
            of(Behaviour::Echo),
            of(Behaviour::Double),
            of(Behaviour::Fail),
        );
        let artifacts = [
            ("m/1", &*echo),
            ("m/2", &*double),
            ("broken/1", &*echo),
            ("broken/2", &*fail),
            ("alone/1", &*fail),
        ];
        let application = Application::new(&artifacts, specs);
        let offer = Offer {
            shelf: Some(Arc::new(Shelf::default())),
            reuse: 10,
            ..Offer::default()
        };
        Both {
            gateway: Host::start(&application.composed_by_spin(), offer),
            server: Server::start(&application.repository),
        }
    }

    /// Asks both, and gives what both answered.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let one = ask(self.gateway.address, method, path, headers, body);
        let other = ask(self.server.address, method, path, headers, body);
        assert_eq!(told(&one), told(&other), "{method} {path} {headers:?}");
        one
    }
}

/// All that should be the same; JSON by what it says.
fn told(reply: &Reply) -> (u16, Vec<&str>, Result<Value, Vec<u8>>) {
    let headers = HEADERS.iter().map(|name| reply.header(name)).collect();
    let json = serde_json::from_slice(&reply.body);
    (reply.status, headers, json.map_err(|_| reply.body.to_vec()))
}

const BODY: &str =
    r#"{"id":"7","inputs":[{"name":"x","datatype":"FP32","shape":[2],"data":[1.5,-2]}]}"#;

#[test]
fn what_is_asked_of_both_is_answered_alike() {
    let both = Both::start(&[
        ("m", "labels = { old = 1 }"),
        ("broken", "fallback.chain = [{ version = 1 }]"),
    ]);
    for (path, status) in [
        ("/v2/health/live", 200),
        ("/v2/models/m", 200),
        ("/v2/models/m/versions/1", 200),
        ("/v2/models/m/versions/old", 200),
        ("/v2/models/m/ready", 200),
        ("/v2/models/n", 404),
        ("/v2/models/n/ready", 404),
        ("/v2/models/m/versions/3", 404),
        ("/v2/models/m/versions/new/ready", 404),
        ("/v3", 404),
    ] {
        assert_eq!(both.ask("GET", path, &[], b"").status, status, "{path}");
    }
    let infer = |path: &str, headers: &[(&str, &str)], body: &str| {
        both.ask("POST", path, headers, body.as_bytes()).status
    };
    let path = "/v2/models/m/infer";
    assert_eq!(infer(path, &[], BODY), 200);
    assert_eq!(infer(path, &[("modelet-version", "old")], BODY), 200);
    assert_eq!(infer("/v2/models/m/versions/old/infer", &[], BODY), 200);
    assert_eq!(infer("/v2/models/m/versions/3/infer", &[], BODY), 404);
    assert_eq!(infer("/v2/models/n/infer", &[], BODY), 404);
    assert_eq!(infer("/v2/models/broken/infer", &[], BODY), 200);
    assert_eq!(infer("/v2/models/broken/versions/2/infer", &[], BODY), 500);
    assert_eq!(infer("/v2/models/alone/infer", &[], BODY), 500);
    assert_eq!(both.ask("PUT", path, &[], b"").status, 405);
    for wrong in [
        "",
        "{",
        "[]",
        r#"{"inputs":[]}"#,
        r#"{"inputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[1]}]}"#,
        r#"{"inputs":[{"name":"x","datatype":"INT32","shape":[1],"data":[1]}]}"#,
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[1]}]}"#,
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[3],"data":[1]}]}"#,
        r#"{"inputs":[{"name":"x","datatype":"FP99","shape":[1],"data":[1]}]}"#,
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":["a"]}]}"#,
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}],"outputs":[{"name":"z"}]}"#,
    ] {
        assert_eq!(infer(path, &[], wrong), 400, "{wrong}");
    }
    assert_eq!(infer(path, &[(HEADER_LENGTH, "many")], BODY), 400);
    assert_eq!(infer(path, &[(HEADER_LENGTH, "999")], BODY), 400);
    // A server reads some encodings, so that the two say different things.
    let encoded = [("content-encoding", "br")];
    let reply = ask(
        both.gateway.address,
        "POST",
        path,
        &encoded,
        BODY.as_bytes(),
    );
    assert_eq!(reply.status, 415);
    let classes = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}],
        "outputs":[{"name":"x","parameters":{"classification":2}}]}"#;
    assert_eq!(infer(path, &[], classes), 501);
}

#[test]
fn binary_tensors_go_both_ways() {
    let both = Both::start(&[]);
    let path = "/v2/models/m/infer";
    // Raw: the whole body is the input.
    let raw: Vec<u8> = [1.5_f32, 2.0]
        .iter()
        .flat_map(|it| it.to_le_bytes())
        .collect();
    let reply = both.ask("POST", path, &[(HEADER_LENGTH, "0")], &raw);
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .body
            .ends_with(&[3.0_f32, 2.0].map(f32::to_le_bytes).concat())
    );
    // JSON, and binary data behind it.
    let input = modelet_protocol::Tensor {
        name: "x".to_owned(),
        datatype: Datatype::Fp32,
        shape: vec![40_000],
        data: raw.repeat(20_000),
    };
    let request = encode_request("", 1_000_000, &[input], &[]).unwrap();
    let length = request.json_length.unwrap().to_string();
    let headers = [(HEADER_LENGTH, &*length)];
    let reply = both.ask("POST", path, &headers, &request.body);
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    assert!(reply.body.len() > 160_000);
}

#[test]
fn callers_go_to_the_same_versions_at_both() {
    let spec = "labels = { beta = 2 }\n[traffic]\nweights = { 1 = 70, 2 = 30 }\n\
                sticky = { header = \"X-User\" }\nsalt = \"7\"\n\
                [[traffic.match]]\nheader = \"X-Beta\"\nversion = \"beta\"";
    let both = Both::start(&[("m", spec)]);
    let by = |headers: &[(&str, &str)]| {
        let reply = both.ask("POST", "/v2/models/m/infer", headers, BODY.as_bytes());
        reply.header("modelet-served-by").to_owned()
    };
    let users: Vec<String> = (0..60).map(|user| format!("user {user}")).collect();
    let first: Vec<String> = users.iter().map(|user| by(&[("x-user", user)])).collect();
    let second = first.iter().filter(|by| *by == "m/2").count();
    assert!((8..=30).contains(&second), "{second}");
    for (user, first) in users.iter().zip(&first) {
        assert_eq!(&by(&[("x-user", user)]), first);
        assert_eq!(by(&[("x-user", user), ("x-beta", "1")]), "m/2");
    }
}

#[test]
fn a_request_has_an_id_and_keeps_its_own() {
    let both = Both::start(&[]);
    let address = both.gateway.address;
    let id = |headers: &[(&str, &str)]| {
        let reply = ask(address, "GET", "/v2", headers, b"");
        reply.header("x-request-id").to_owned()
    };
    assert_eq!(id(&[("x-request-id", "mine")]), "mine");
    assert_ne!(id(&[]), id(&[]));
}
