//! Answers that are given again.

use serde_json::Value;

use crate::modelet::Behaviour;
use crate::served::{Served, config, wait_for};
use crate::stories::{INFER, modelet, row, served};

const CACHE: &str = "cache.size = \"1MiB\"\n";

/// Executions, hits and misses of a version of the model `m`.
fn counts(served: &Served, version: u8) -> [u64; 3] {
    let json = served.get(&format!("/v2/models/m/versions/{version}/stats"));
    let json = json.json()["model_stats"][0].clone();
    let inference = &json["inference_stats"];
    let counts = [
        &json["execution_count"],
        &inference["cache_hit"]["count"],
        &inference["cache_miss"]["count"],
    ];
    counts.map(|count| Value::as_u64(count).unwrap())
}

fn asked(served: &Served, value: &str) -> Value {
    let response = served.post(INFER, row(value));
    assert_eq!(response.status, 200);
    response.json()["outputs"].clone()
}

#[test]
fn what_is_asked_again_is_not_computed_again() {
    let served = served(config(), Behaviour::Double, CACHE);
    let first = asked(&served, "1.5");
    assert_eq!(first[0]["data"][0], 3.0);
    assert_eq!(asked(&served, "1.5"), first);
    assert_eq!(asked(&served, "2.5")[0]["data"][0], 5.0);
    assert_eq!(counts(&served, 2), [2, 1, 2]);
    let metrics = served.get("/metrics").body;
    let metrics = String::from_utf8(metrics).unwrap();
    let hits = r#"nv_cache_num_hits_per_model{model="m",version="2"} 1"#;
    assert!(metrics.contains(hits), "{metrics}");
}

#[test]
fn nothing_is_kept_unless_model_toml_says_so() {
    let served = served(config(), Behaviour::Double, "");
    asked(&served, "1.5");
    asked(&served, "1.5");
    assert_eq!(counts(&served, 2), [2, 0, 0]);
}

#[test]
fn a_failure_is_not_an_answer_to_keep() {
    let served = served(config(), Behaviour::TrapUnlessZero, CACHE);
    for _ in 0..2 {
        assert_eq!(served.post(INFER, row("1")).status, 500);
    }
    assert_eq!(counts(&served, 2), [0, 0, 0]);
}

#[test]
fn another_artifact_of_a_version_gives_its_own_answers() {
    let served = served(config(), Behaviour::Double, CACHE);
    assert_eq!(asked(&served, "1.5")[0]["data"][0], 3.0);
    served.put("m/2/model.wasm", &modelet(Behaviour::Echo));
    wait_for("the other artifact", || {
        served.app.refresh();
        asked(&served, "1.5")[0]["data"][0] == 1.5
    });
}
