//! Models that answer together.

use modelet_protocol::Datatype;
use serde_json::{Value, json};

use crate::modelet::{Behaviour, vector};
use crate::served::{Response, Served, config};

fn float(behaviour: Behaviour) -> Vec<u8> {
    vector("a", Datatype::Fp32, behaviour)
}

/// Two models of floats and this ensemble of them.
fn served(first: Behaviour, second: Behaviour, ensemble: &str) -> Served {
    let served = Served::start(config(), &[("a", float(first)), ("b", float(second))]);
    let members = "members = [{ model = \"a\" }, { model = \"b\" }]";
    let text = format!("[ensemble]\n{ensemble}").replace("MEMBERS", members);
    served.put("both/model.toml", text.as_bytes());
    served.app.refresh();
    served
}

fn ask(served: &Served, datatype: &str, data: &Value) -> Response {
    let shape = [data.as_array().unwrap().len()];
    let input = json!({"name": "x", "datatype": datatype, "shape": shape, "data": data});
    let body = json!({"inputs": [input]}).to_string();
    served.post("/v2/models/both/infer", body)
}

#[track_caller]
fn check(response: &Response, data: &Value, members: &str) {
    assert_eq!(response.status, 200, "{}", response.text());
    let json = response.json();
    assert_eq!(&json["outputs"][0]["data"], data, "{json}");
    assert_eq!(json["parameters"]["modelet_members"], json!(members));
    assert_eq!(response.header("modelet-served-by"), Some("both/1"));
}

#[test]
fn an_average_is_of_all_members() {
    let served = served(
        Behaviour::Echo,
        Behaviour::Double,
        "combine = \"average\"\nMEMBERS",
    );
    let answer = ask(&served, "FP32", &json!([2.0, 5.0]));
    check(&answer, &json!([3.0, 5.0]), "a/1,b/1");
    let metadata = served.get("/v2/models/both").json();
    assert_eq!(metadata["platform"], "ensemble");
    assert_eq!(metadata["versions"], json!(["1"]));
    assert_eq!(served.get("/v2/models/both/ready").status, 200);
    let statistics = served.get("/v2/models/both/stats").json();
    assert_eq!(
        statistics["model_stats"][0]["inference_stats"]["success"]["count"],
        1
    );
    let wrong = ask(&served, "INT64", &json!([1]));
    wrong.check_error(400, "`x` is FP32");
}

#[test]
fn weights_count() {
    let members = "members = [{ model = \"a\", weight = 3 }, { model = \"b\" }]";
    let ensemble = format!("combine = \"weighted\"\n{members}");
    let served = served(Behaviour::Echo, Behaviour::Double, &ensemble);
    check(
        &ask(&served, "FP32", &json!([4.0])),
        &json!([5.0]),
        "a/1,b/1",
    );
}

#[test]
fn the_majority_is_taken_of_what_is_no_float() {
    let strings = |name: &str| {
        (
            name.to_owned(),
            vector(name, Datatype::Bytes, Behaviour::Echo),
        )
    };
    let models = [strings("a"), strings("b"), strings("c")];
    let models: Vec<_> = models
        .iter()
        .map(|(name, it)| (&**name, it.clone()))
        .collect();
    let served = Served::start(config(), &models);
    let members = "members = [{ model = \"a\" }, { model = \"b\" }, { model = \"c\" }]";
    let text = format!("[ensemble]\ncombine = \"vote\"\n{members}");
    served.put("both/model.toml", text.as_bytes());
    served.app.refresh();
    let answer = ask(&served, "BYTES", &json!(["rose", "", "iris"]));
    check(&answer, &json!(["rose", "", "iris"]), "a/1,b/1,c/1");
}

#[test]
fn a_member_that_fails_fails_all_or_is_left_out() {
    let all = served(
        Behaviour::Echo,
        Behaviour::Trap,
        "combine = \"average\"\nMEMBERS",
    );
    ask(&all, "FP32", &json!([2.0])).check_error(500, "trapped");
    let skip = "combine = \"average\"\nMEMBERS\nmissing = \"skip\"";
    let some = served(Behaviour::Echo, Behaviour::Trap, skip);
    check(&ask(&some, "FP32", &json!([2.0])), &json!([2.0]), "a/1");
    let two = served(
        Behaviour::Echo,
        Behaviour::Trap,
        &format!("{skip}\nminimum = 2"),
    );
    ask(&two, "FP32", &json!([2.0])).check_error(500, "trapped");
}

#[test]
fn a_cascade_ends_with_the_first_that_is_certain() {
    let ensemble = "combine = \"cascade\"\nMEMBERS\n\
                    confidence = { output = \"x\", at_least = 0.8 }";
    let served = served(Behaviour::Echo, Behaviour::Double, ensemble);
    check(&ask(&served, "FP32", &json!([0.9])), &json!([0.9]), "a/1");
    check(
        &ask(&served, "FP32", &json!([0.25])),
        &json!([0.5]),
        "a/1,b/1",
    );
}

#[test]
fn a_combiner_answers_from_what_the_members_say() {
    let served = Served::start(
        config(),
        &[
            ("a", float(Behaviour::Echo)),
            ("b", float(Behaviour::Double)),
        ],
    );
    let any = |name: &str| modelet_protocol::Dimension::Symbolic(name.to_owned());
    let combiner =
        crate::modelet::artifact("c", Datatype::Fp32, &[any("n"), any("m")], Behaviour::Echo);
    served.put("c/1/model.wasm", &combiner);
    let text = "[ensemble]\ncombine = \"stacking\"\nmembers = [{ model = \"a\" }, { model = \"b\" }]\n\
                combiner = { model = \"c\" }";
    served.put("both/model.toml", text.as_bytes());
    served.app.refresh();
    let answer = ask(&served, "FP32", &json!([2.0, 5.0]));
    check(&answer, &json!([2.0, 4.0, 5.0, 5.0]), "a/1,b/1,c/1");
    assert_eq!(answer.json()["outputs"][0]["shape"], json!([2, 2]));
}

#[test]
fn an_ensemble_follows_its_members() {
    let served = served(
        Behaviour::Echo,
        Behaviour::Echo,
        "combine = \"average\"\nMEMBERS",
    );
    served.put("b/1/model.wasm", &float(Behaviour::Double));
    served.app.refresh();
    check(
        &ask(&served, "FP32", &json!([2.0])),
        &json!([3.0]),
        "a/1,b/1",
    );
    std::fs::remove_dir_all(served.path("b")).unwrap();
    served.app.refresh();
    ask(&served, "FP32", &json!([2.0])).check_error(503, "there is no model `b`");
    served.put("b/1/model.wasm", &float(Behaviour::Echo));
    served.app.refresh();
    check(
        &ask(&served, "FP32", &json!([2.0])),
        &json!([2.0]),
        "a/1,b/1",
    );
    let post = |path: &str| {
        served
            .post(&format!("/v2/repository/models/both/{path}"), "{}")
            .status
    };
    assert_eq!(post("unload"), 200);
    assert_eq!(ask(&served, "FP32", &json!([2.0])).status, 503);
    assert_eq!(post("load"), 200);
    check(
        &ask(&served, "FP32", &json!([2.0])),
        &json!([2.0]),
        "a/1,b/1",
    );
}

#[test]
fn what_is_no_ensemble_is_told() {
    let served = served(
        Behaviour::Echo,
        Behaviour::Echo,
        "combine = \"average\"\nMEMBERS",
    );
    let check = |text: &str, expected: &str| {
        served.put("other/model.toml", text.as_bytes());
        served.app.refresh();
        let index = served.post("/v2/repository/index", "").json();
        let entries = index.as_array().unwrap();
        let entry = entries
            .iter()
            .find(|entry| entry["name"] == "other")
            .unwrap();
        assert_eq!(entry["state"], "UNAVAILABLE", "{entry}");
        let reason = entry["reason"].as_str().unwrap();
        assert!(reason.contains(expected), "{reason}");
    };
    let of = |members: &str, combine: &str| {
        format!("[ensemble]\ncombine = \"{combine}\"\nmembers = [{members}]")
    };
    check(
        &of("{ model = \"nobody\" }", "average"),
        "no model `nobody`",
    );
    check(
        &of("{ model = \"both\" }", "average"),
        "is an ensemble itself",
    );
    check(&of("{ model = \"other\" }", "average"), "`other`");
    check(
        &of("{ model = \"a\", version = 7 }", "average"),
        "not ready",
    );
    check(&of("{ model = \"a\" }", "vote"), "no outputs in common");
    served.put(
        "ints/1/model.wasm",
        &vector("ints", Datatype::Int32, Behaviour::Echo),
    );
    check(
        &of("{ model = \"a\" }, { model = \"ints\" }", "average"),
        "takes other inputs",
    );
    served.put("other/1/model.wasm", &float(Behaviour::Echo));
    check(
        &of("{ model = \"a\" }", "average"),
        "no versions of its own",
    );
}

#[test]
fn an_ensemble_has_a_chain_of_its_own() {
    let served = served(
        Behaviour::Echo,
        Behaviour::Trap,
        "combine = \"average\"\nMEMBERS",
    );
    let text = "fallback.chain = [{ model = \"a\" }]\n[ensemble]\ncombine = \"average\"\n\
                members = [{ model = \"a\" }, { model = \"b\" }]";
    served.put("both/model.toml", text.as_bytes());
    served.app.refresh();
    let answer = ask(&served, "FP32", &json!([2.0]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("modelet-served-by"), Some("a/1"));
    assert_eq!(answer.header("modelet-fallback-reason"), Some("trap"));
}
