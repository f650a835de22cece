//! A version goes wrong, and no caller sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use modelet_protocol::Datatype;
use modelet_server::Config;
use serde_json::json;

use crate::modelet::{Behaviour, vector};
use crate::served::{Response, Served, config, wait_for};

pub const INFER: &str = "/v2/models/m/infer";

pub fn modelet(behaviour: Behaviour) -> Vec<u8> {
    vector("m", Datatype::Fp32, behaviour)
}

/// The model `m`: version 1 echoes, version 2 behaves like this, and this is its `model.toml`.
pub fn served(config: Config, second: Behaviour, spec: &str) -> Served {
    let served = Served::start(config, &[("m", modelet(Behaviour::Echo))]);
    served.put("m/2/model.wasm", &modelet(second));
    served.put("m/model.toml", spec.as_bytes());
    served.app.refresh();
    served
}

pub fn row(value: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1],"data":[{value}]}}]}}"#)
}

pub fn ask(served: &Served, headers: &[(&str, &str)]) -> Response {
    served.request("POST", INFER, headers, row("1").as_bytes())
}

/// Who answered, and for what reason not another.
pub fn by(response: &Response) -> (String, Option<&str>) {
    let said = String::from_utf8_lossy(&response.body);
    assert_eq!(response.status, 200, "{said}");
    let reason = response.header("modelet-fallback-reason");
    let json = response.json();
    assert_eq!(
        json["parameters"]["modelet_fallback_reason"].as_str(),
        reason
    );
    let served_by = response.header("modelet-served-by").unwrap();
    (served_by.to_owned(), reason)
}

#[test]
fn a_version_that_fails_is_covered_by_another() {
    let cases = [
        (Behaviour::Trap, "trap"),
        (Behaviour::Fail, "failed"),
        (Behaviour::Grow, "memory"),
        (Behaviour::Spin, "deadline"),
    ];
    for (behaviour, reason) in cases {
        let spec = "limits.timeout = \"200ms\"\nfallback.chain = [{ version = 1 }]";
        let served = served(config(), behaviour, spec);
        for _ in 0..3 {
            assert_eq!(by(&ask(&served, &[])), ("m/1".to_owned(), Some(reason)));
        }
        let metrics = String::from_utf8(served.get("/metrics").body).unwrap();
        let line = format!("modelet_fallbacks{{model=\"m\",reason=\"{reason}\",to=\"m/1\"}} 3");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn without_a_chain_the_failure_is_told() {
    let served = served(config(), Behaviour::Trap, "");
    ask(&served, &[]).check_error(500, "trapped");
}

#[test]
fn only_the_reasons_that_are_named_lead_on() {
    let spec = "fallback = { chain = [{ version = 1 }], on = [\"deadline\"] }";
    let served = served(config(), Behaviour::Trap, spec);
    ask(&served, &[]).check_error(500, "trapped");
}

#[test]
fn what_is_wrong_with_a_request_is_told_and_not_tried_again() {
    let served = served(
        config(),
        Behaviour::Trap,
        "fallback.chain = [{ version = 1 }]",
    );
    let wrong = row("1").replace("FP32", "INT64");
    served.post(INFER, wrong).check_error(400, "`x` is FP32");
    let metrics = String::from_utf8(served.get("/metrics").body).unwrap();
    assert!(!metrics.contains("modelet_fallbacks"), "{metrics}");
}

#[test]
fn a_chain_goes_on_to_another_model_and_to_a_static_answer() {
    let spec = "[fallback]\nchain = [{ model = \"missing\" }, { model = \"other\" }, \
                { static = '[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[7]}]' }]";
    let served = served(config(), Behaviour::Trap, spec);
    let answer = ask(&served, &[]);
    assert_eq!(by(&answer), ("static".to_owned(), Some("trap")));
    assert_eq!(answer.json()["outputs"][0]["data"], json!([7.0]));
    assert_eq!(answer.json()["model_version"], json!(null));
    served.put("other/3/model.wasm", &modelet(Behaviour::Echo));
    served.app.refresh();
    let answer = ask(&served, &[]);
    assert_eq!(by(&answer), ("other/3".to_owned(), Some("trap")));
}

#[test]
fn an_answer_that_is_no_number_is_kept_back() {
    let spec = "guards.finite = true\nfallback.chain = [{ static = '[]' }]";
    let served = served(config(), Behaviour::Echo, spec);
    assert_eq!(by(&served.post(INFER, row("1"))).0, "m/2");
    for odd in ["NaN", "Infinity"] {
        let answer = served.post(INFER, row(odd));
        assert_eq!(by(&answer), ("static".to_owned(), Some("guard")));
    }
}

#[test]
fn answers_of_another_shape_or_without_a_condition_are_kept_back() {
    let spec = "fallback.chain = [{ static = '[]' }]\n\
                [guards]\nconditions = [\"all(outputs.x, # < 5)\"]\n\
                [[guards.shape]]\noutput = \"x\"\nsizes = [1]";
    let served = served(config(), Behaviour::Echo, spec);
    assert_eq!(by(&served.post(INFER, row("1"))).0, "m/2");
    let guarded = ("static".to_owned(), Some("guard"));
    assert_eq!(by(&served.post(INFER, row("7"))), guarded);
    let two = row("1, 2").replace("[1],\"data", "[2],\"data");
    assert_eq!(by(&served.post(INFER, two)), guarded);
}

#[test]
fn a_full_queue_leads_to_another_version() {
    let config = Config {
        concurrency: 2,
        ..config()
    };
    let spec = "limits = { concurrency = 1, queue = 0, timeout = \"3s\" }\n\
                fallback = { chain = [{ model = \"echo\" }], on = [\"overload\"] }";
    let served = served(config, Behaviour::Spin, spec);
    served.put("echo/1/model.wasm", &modelet(Behaviour::Echo));
    served.app.refresh();
    let answers = std::thread::scope(|scope| {
        let clients = [0, 1].map(|_| scope.spawn(|| ask(&served, &[])));
        clients.map(|client| client.join().unwrap())
    });
    let (answered, spun): (Vec<_>, Vec<_>) = answers.iter().partition(|it| it.status == 200);
    assert_eq!((answered.len(), spun.len()), (1, 1));
    assert_eq!(by(answered[0]), ("echo/1".to_owned(), Some("overload")));
    spun[0].check_error(504, "before its deadline");
}

#[test]
fn a_burst_of_requests_is_answered_by_somebody() {
    let config = Config {
        concurrency: 2,
        queue: 2,
        ..config()
    };
    let spec = "limits = { concurrency = 1, queue = 1 }\n[fallback]\nchain = [{ version = 1 }, { static = '[]' }]";
    let served = served(config, Behaviour::SlowUnlessZero, spec);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || {
            (0..10)
                .map(|_| by(&ask(&served, &[])).0)
                .collect::<Vec<_>>()
        };
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        let answers = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        answers.collect()
    });
    assert_eq!(answers.len(), 160);
    for who in ["m/2", "m/1"] {
        assert!(answers.iter().any(|it| it == who), "{who}: {answers:?}");
    }
}

#[test]
fn a_breaker_keeps_requests_away_and_lets_some_through_later() {
    let spec = "[breaker]\nconsecutive = 3\nopen = \"300ms\"\ntrials = 2\n\
                [fallback]\nchain = [{ version = 1 }]";
    let served = served(config(), Behaviour::Trap, spec);
    for _ in 0..3 {
        assert_eq!(by(&ask(&served, &[])).1, Some("trap"));
    }
    // Without weights the default version takes all, and that is now the highest that is let through.
    assert_eq!(by(&ask(&served, &[])), ("m/1".to_owned(), None));
    let metrics = String::from_utf8(served.get("/metrics").body).unwrap();
    let state = "modelet_breaker_state{model=\"m\",version=\"2\"} 2";
    assert!(metrics.contains(state), "{metrics}");
    served.put("m/2/model.wasm", &modelet(Behaviour::Echo));
    served.app.refresh();
    wait_for("version 2 to be asked again", || {
        by(&ask(&served, &[])).0 == "m/2"
    });
}

#[test]
fn a_version_that_is_broken_on_disk_is_covered_by_another() {
    let served = served(
        config(),
        Behaviour::Echo,
        "versions.default = 2\nfallback.chain = [{ version = 1 }]",
    );
    assert_eq!(by(&ask(&served, &[])), ("m/2".to_owned(), None));
    std::fs::remove_dir_all(served.path("m/2")).unwrap();
    served.app.refresh();
    assert_eq!(by(&ask(&served, &[])), ("m/1".to_owned(), Some("load")));
    served.put("m/2/model.wasm", b"not wasm");
    served.app.refresh();
    assert_eq!(by(&ask(&served, &[])), ("m/1".to_owned(), Some("load")));
}

#[test]
fn a_weight_on_a_version_that_is_not_loaded_is_no_open_breaker() {
    let served = served(config(), Behaviour::Echo, "traffic.weights = { 3 = 100 }");
    ask(&served, &[]).check_error(503, "is not ready: no version that has a weight is loaded");
    let spec = "traffic.weights = { 3 = 100 }\n\
                fallback = { chain = [{ version = 9 }, { version = 1 }], on = [\"load\"] }";
    served.put("m/model.toml", spec.as_bytes());
    served.app.refresh();
    assert_eq!(by(&ask(&served, &[])), ("m/1".to_owned(), Some("load")));
}

#[test]
fn a_sticky_key_stays_with_its_version_and_weights_share_the_keys_out() {
    let spec = "[traffic]\nweights = { 1 = 80, 2 = 20 }\nsticky = { header = \"X-User\" }";
    let served = served(config(), Behaviour::Echo, spec);
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for user in 0..200 {
        let user = format!("user-{user}");
        let first = by(&ask(&served, &[("x-user", &user)])).0;
        assert_eq!(by(&ask(&served, &[("x-user", &user)])).0, first);
        *shares.entry(first).or_default() += 1;
    }
    assert!((15..=65).contains(&shares["m/2"]), "{shares:?}");
    let everybody: BTreeMap<String, usize> = (0..200).fold(BTreeMap::new(), |mut all, _| {
        *all.entry(by(&ask(&served, &[])).0).or_default() += 1;
        all
    });
    assert!((15..=65).contains(&everybody["m/2"]), "{everybody:?}");
}

#[test]
fn cookies_and_parameters_are_keys_too() {
    for sticky in ["cookie = \"user\"", "parameter = \"user\"", "client = true"] {
        let spec = format!("[traffic]\nweights = {{ 1 = 50, 2 = 50 }}\nsticky = {{ {sticky} }}");
        let served = served(config(), Behaviour::Echo, &spec);
        let body = row("1").replacen('{', r#"{"parameters":{"user":"anna"},"#, 1);
        let headers = [("cookie", "a=b; user=anna")];
        let asked = || by(&served.request("POST", INFER, &headers, body.as_bytes())).0;
        let first = asked();
        assert!((0..20).all(|_| asked() == first), "{sticky}");
    }
}

#[test]
fn a_rule_a_label_and_a_header_choose_a_version_at_weight_0() {
    let spec = "labels = { canary = 2 }\n[traffic]\nweights = { 1 = 100 }\n\
                [[traffic.match]]\nheader = \"x-beta\"\nvalue = \"yes\"\nversion = \"canary\"";
    let served = served(config(), Behaviour::Echo, spec);
    let with = |header| by(&ask(&served, &[header])).0;
    assert_eq!(with(("x-beta", "yes")), "m/2");
    assert_eq!(with(("x-beta", "no")), "m/1");
    assert_eq!(with(("modelet-version", "2")), "m/2");
    assert_eq!(with(("modelet-version", "canary")), "m/2");
    for version in ["2", "canary"] {
        let path = format!("/v2/models/m/versions/{version}/infer");
        assert_eq!(by(&served.post(&path, row("1"))).0, "m/2");
    }
    let unknown = ask(&served, &[("modelet-version", "new")]);
    unknown.check_error(404, "has no version `new`");
}

#[test]
fn a_version_that_was_asked_for_by_name_is_not_covered() {
    let served = served(
        config(),
        Behaviour::Trap,
        "fallback.chain = [{ version = 1 }]",
    );
    let answer = served.post("/v2/models/m/versions/2/infer", row("1"));
    answer.check_error(500, "trapped");
}

#[test]
fn a_changed_weight_loads_nothing_again_and_forgets_no_breaker() {
    let breaker = "breaker = { consecutive = 1, open = \"60s\" }\n";
    let spec = |weights: &str| format!("{breaker}traffic.weights = {{ {weights} }}");
    let served = served(config(), Behaviour::Trap, &spec("2 = 100"));
    ask(&served, &[]).check_error(500, "trapped");
    ask(&served, &[]).check_error(503, "failed too often");
    served.put("m/model.toml", spec("1 = 1, 2 = 99").as_bytes());
    served.app.refresh();
    for _ in 0..20 {
        assert_eq!(by(&ask(&served, &[])).0, "m/1");
    }
}

#[test]
fn a_static_answer_that_is_no_tensor_is_a_mistake_in_the_spec() {
    let served = served(
        config(),
        Behaviour::Echo,
        "fallback.chain = [{ static = '[7]' }]",
    );
    let entry = served.entry("m", "1");
    let reason = entry["reason"].as_str().unwrap();
    assert!(reason.contains("static outputs"), "{reason}");
    assert_eq!(by(&ask(&served, &[])).0, "m/1");
}

#[test]
fn a_caller_who_waits_for_the_deadline_is_not_made_to_wait_longer() {
    let config = Config {
        request_timeout: Duration::from_millis(300),
        ..config()
    };
    let served = served(
        config,
        Behaviour::Spin,
        "fallback.chain = [{ version = 1 }]",
    );
    ask(&served, &[]).check_error(504, "deadline");
}
