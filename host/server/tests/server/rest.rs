//! REST: what no model has to be right for, and every datatype there and back.

use modelet_protocol::{Datatype, Dimension};
use serde_json::{Value, json};

use crate::modelet::{Behaviour, DATATYPES, artifact, vector};
use crate::served::{Served, config};

const INFER: &str = "/v2/models/echo/infer";

fn echo(datatype: Datatype) -> Served {
    Served::start(
        config(),
        &[("echo", vector("echo", datatype, Behaviour::Echo))],
    )
}

fn body(datatype: &str, data: &Value) -> String {
    let size = data.as_array().unwrap().len();
    json!({"inputs": [{"name": "x", "datatype": datatype, "shape": [size], "data": data}]})
        .to_string()
}

#[test]
fn an_empty_repository_is_served() {
    let served = Served::start(config(), &[]);
    assert_eq!(served.get("/v2/health/live").json(), json!({"live": true}));
    assert_eq!(served.get("/v2/health/ready").json()["ready"], true);
    assert_eq!(served.post("/v2/repository/index", "").json(), json!([]));
    assert_eq!(
        served.get("/v2/models/stats").json(),
        json!({"model_stats": []})
    );
    assert_eq!(served.get("/metrics").status, 200);
    for place in ["/v2", "/v2/"] {
        let metadata = served.get(place).json();
        assert_eq!(metadata["name"], "modelet");
        let extensions = metadata["extensions"].as_array().unwrap();
        assert!(
            extensions.contains(&json!("binary_tensor_data")),
            "{metadata}"
        );
    }
}

#[test]
fn every_error_is_json() {
    let served = Served::start(config(), &[]);
    for (method, path, status, expected) in [
        ("GET", "/", 404, "there is nothing at /"),
        ("GET", "/v2/models/", 404, "there is"),
        ("POST", "/v2/models//infer", 404, "there is"),
        ("POST", "/v2/models/none/infer", 404, "no model `none`"),
        (
            "POST",
            "/v2/models/none/versions/1/infer",
            404,
            "no model `none`",
        ),
        ("GET", "/v2/models/none/ready", 404, "no model `none`"),
        ("GET", "/v2/models/none/config", 404, "no model `none`"),
        ("GET", "/v2/models/none/stats", 404, "no model `none`"),
        ("GET", "/v2/models/a%20b%2Fc", 404, "no model `a b/c`"),
        ("GET", "/v2/models/mod%C3%A8le", 404, "no model `modèle`"),
        ("GET", "/v2/models/%FF", 400, "UTF-8"),
        ("POST", "/v2/models/%FF/infer", 400, "UTF-8"),
        ("POST", "/v2/repository/models/%FF/load", 400, "UTF-8"),
        (
            "POST",
            "/v2/repository/models/none/load",
            404,
            "no model `none`",
        ),
        (
            "POST",
            "/v2/repository/models/none/unload",
            404,
            "no model `none`",
        ),
        ("POST", "/v2", 405, "does not take POST"),
        ("GET", "/v2/repository/index", 405, "does not take GET"),
        ("DELETE", "/v2/models/none", 405, "does not take DELETE"),
        ("PUT", "/metrics", 405, "does not take PUT"),
    ] {
        let response = served.request(method, path, &[], b"");
        assert_eq!(
            response.status,
            status,
            "{method} {path}: {}",
            response.text()
        );
        response.check_error(status, expected);
    }
}

#[test]
fn repository_calls_take_odd_bodies() {
    let served = Served::start(config(), &[]);
    let index = "/v2/repository/index";
    assert_eq!(
        served.post(index, r#"{"ready":true,"other":1}"#).status,
        200
    );
    served.post(index, "{").check_error(400, "not valid JSON");
    served
        .post(index, r#"{"ready":"yes"}"#)
        .check_error(400, "JSON of another form: invalid type");
    served
        .post(index, "3")
        .check_error(400, "expected an object with `ready`");
    let load = "/v2/repository/models/none/load";
    for parameter in ["config", "file:1/model.wasm"] {
        let body = json!({"parameters": {parameter: "e30="}}).to_string();
        served
            .post(load, body)
            .check_error(501, &format!("`{parameter}` is not supported"));
    }
    let unload = "/v2/repository/models/none/unload";
    let body = json!({"parameters": {"unload_dependents": true}}).to_string();
    served.post(unload, body).check_error(404, "no model");
}

#[test]
fn a_request_id_is_kept_or_made() {
    let served = Served::start(config(), &[]);
    let given = served.request("GET", "/v2", &[("X-Request-Id", "a b/ü")], b"");
    assert!(given.head.contains("x-request-id: a b/ü"), "{}", given.head);
    let made: Vec<_> = (0..2)
        .map(|_| {
            served
                .get("/nothing")
                .header("x-request-id")
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(made[0].len(), 36);
    assert_ne!(made[0], made[1]);
}

#[test]
fn every_datatype_comes_back_as_it_went() {
    for (datatype, data) in DATATYPES.into_iter().zip([
        json!([true, false]),
        json!([0, 255]),
        json!([0, 65535]),
        json!([0, u32::MAX]),
        json!([0, u64::MAX]),
        json!([-128, 127]),
        json!([-32768, 32767]),
        json!([i32::MIN, i32::MAX]),
        json!([i64::MIN, i64::MAX]),
        json!([-0.5, 65504.0]),
        json!([0.1, 3.4028235e38]),
        json!([0.1, 1.7976931348623157e308]),
        json!(["", "zwölf \u{0} \"Boxkämpfer\""]),
    ]) {
        let served = echo(datatype);
        let name = datatype.to_string();
        let answer = served.post(INFER, body(&name, &data));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let output = &answer.json()["outputs"][0];
        assert_eq!(
            *output,
            json!({"name": "x", "datatype": name, "shape": [2], "data": data})
        );
        let metadata = served.get("/v2/models/echo").json();
        assert_eq!(metadata["inputs"][0]["datatype"], *name);
        assert_eq!(metadata["inputs"][0]["shape"], json!([-1]));
        let configured = served.get("/v2/models/echo/versions/1/config").json();
        let kind = if name == "BYTES" { "STRING" } else { &name };
        assert_eq!(configured["input"][0]["data_type"], format!("TYPE_{kind}"));
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    for (datatype, data) in [
        (Datatype::Uint8, json!([256])),
        (Datatype::Uint64, json!([-1])),
        (Datatype::Int8, json!([-129])),
        (Datatype::Int64, json!([9223372036854775808u64])),
        (Datatype::Int32, json!([0.5])),
        (Datatype::Bool, json!([2])),
        (Datatype::Bytes, json!([1])),
        (Datatype::Fp32, json!([true])),
        (Datatype::Fp32, json!([null])),
    ] {
        let served = echo(datatype);
        let answer = served.post(INFER, body(&datatype.to_string(), &data));
        assert_eq!(answer.status, 400, "{datatype} {data}: {}", answer.text());
    }
}

#[test]
fn no_dimension_is_one_element() {
    let scalar = artifact("echo", Datatype::Int64, &[], Behaviour::Echo);
    let fixed = artifact(
        "fixed",
        Datatype::Int64,
        &[Dimension::Fixed(2)],
        Behaviour::Echo,
    );
    let served = Served::start(config(), &[("echo", scalar), ("fixed", fixed)]);
    for data in ["7", "[7]"] {
        let request =
            format!(r#"{{"inputs":[{{"name":"x","datatype":"INT64","shape":[],"data":{data}}}]}}"#);
        let answer = served.post(INFER, request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["outputs"][0]["data"], json!([7]));
        assert_eq!(answer.json()["outputs"][0]["shape"], json!([]));
    }
    let wrong = body("INT64", &json!([1, 2, 3]));
    served
        .post("/v2/models/fixed/infer", wrong)
        .check_error(400, "does not take shape [3]");
}

#[test]
fn binary_and_json_outputs_can_be_asked_for_by_name() {
    let served = echo(Datatype::Int16);
    let request = |parameter: &str| {
        format!(
            r#"{{"inputs":[{{"name":"x","datatype":"INT16","shape":[1],"data":[258]}}],
            "outputs":[{{"name":"x","parameters":{{{parameter}}}}}],
            "parameters":{{"binary_data_output":true}}}}"#
        )
    };
    let json = served.post(INFER, request(r#""binary_data":false"#));
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.json()["outputs"][0]["data"], json!([258]));
    let binary = served.post(INFER, request(""));
    assert_eq!(
        binary.header("content-type"),
        Some("application/octet-stream")
    );
    let length: usize = binary
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(binary.body[length..], [2, 1]);
    served
        .post(
            INFER,
            request("").replace(
                r#"[{"name":"x","parameters""#,
                r#"[{"name":"y","parameters""#,
            ),
        )
        .check_error(400, "no output `y`");
    served
        .post(INFER, request(r#""classification":3"#))
        .check_error(501, "`classification` of `x` is not supported");
    served
        .post(INFER, request(r#""shared_memory_region":"r""#))
        .check_error(501, "`shared_memory_region` of `x` is not supported");
}

#[test]
fn bytes_that_are_no_text_need_the_binary_form() {
    let served = echo(Datatype::Bytes);
    let json = r#"{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}}]}"#;
    let request = [json.as_bytes(), &[2, 0, 0, 0, 0xff, 0xfe]].concat();
    let length = json.len().to_string();
    let headers = [("Inference-Header-Content-Length", length.as_str())];
    served
        .request("POST", INFER, &headers, &request)
        .check_error(400, "not UTF-8 text");
    let overlong = [json.as_bytes(), &[3, 0, 0, 0, 0xff, 0xfe]].concat();
    let answer = served.request("POST", INFER, &headers, &overlong);
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn a_model_that_fails_hurts_its_own_request_only() {
    let cases = [
        ("fail", Behaviour::Fail, 500, "the model failed: odd"),
        ("trap", Behaviour::Trap, 500, "the model trapped"),
        ("panic", Behaviour::Panic, 500, "the model trapped: odd!"),
        (
            "grow",
            Behaviour::Grow,
            500,
            "more memory than its limit of 67108864 bytes",
        ),
    ];
    let mut models = vec![("echo", vector("echo", Datatype::Fp32, Behaviour::Echo))];
    for (name, behaviour, ..) in cases {
        models.push((name, vector(name, Datatype::Fp32, behaviour)));
    }
    let served = Served::start(config(), &models);
    let request = body("FP32", &json!([1.0, 2.0, 3.0]));
    for (name, _, status, expected) in cases {
        for _ in 0..20 {
            let answer = served.post(&format!("/v2/models/{name}/infer"), &request);
            answer.check_error(status, expected);
        }
        assert_eq!(served.post(INFER, &request).status, 200);
        let stats = served.get(&format!("/v2/models/{name}/stats")).json();
        let counted = &stats["model_stats"][0];
        assert_eq!(counted["inference_stats"]["fail"]["count"], 20);
        assert_eq!(counted["inference_count"], 0);
    }
    let stats = served.get("/v2/models/echo/versions/1/stats").json();
    let counted = &stats["model_stats"][0];
    assert_eq!(counted["inference_count"], 12, "three rows each");
    assert_eq!(counted["execution_count"], 4);
    assert!(counted["last_inference"].as_u64().unwrap() > 1_700_000_000_000);
}
