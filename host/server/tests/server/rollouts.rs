//! A new version takes over, or it does not, and no caller sees an error either way.

mod admin;
mod feedback;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use modelet_protocol::Datatype;
use modelet_server::Config;
use serde_json::{Value, json};

use crate::modelet::{Behaviour, vector};
use crate::served::{Response, Served, config, wait_for};

const INFER: &str = "/v2/models/m/infer";
const ROLLOUT: &str = "/admin/v1/models/m/rollout";
const FALLBACK: &str = "fallback.chain = [{ version = 1 }]\n";

/// Version 1 echoes. Every request of this server gets an answer, or the test fails.
struct Story {
    served: Served,
    asked: AtomicU64,
}

impl Story {
    /// With version 2 beside it, which came later.
    fn begin(second: Behaviour, spec: &str) -> Story {
        Story::with_config(config(), second, spec)
    }

    fn with_config(config: Config, second: Behaviour, spec: &str) -> Story {
        let served = Served::start(config, &[("m", modelet(Behaviour::Echo))]);
        served.put("m/model.toml", spec.as_bytes());
        served.app.refresh();
        let story = Story {
            served,
            asked: AtomicU64::new(0),
        };
        if spec.contains("strategy") {
            wait_for("version 1 to be stable", || story.phase() == "Healthy");
        }
        story.served.put("m/2/model.wasm", &modelet(second));
        story.served.app.refresh();
        story
    }

    /// Asks with a number that is not zero, and says who answered.
    fn ask(&self) -> String {
        let number = self.asked.fetch_add(1, Relaxed) + 1;
        let body = format!(
            r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1],"data":[{number}]}}]}}"#
        );
        let answer = self.served.post(INFER, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["outputs"][0]["data"], json!([number as f64]));
        answer.header("modelet-served-by").unwrap().to_owned()
    }

    fn status(&self) -> Response {
        self.served.admin("GET", ROLLOUT, &[], b"")
    }

    fn view(&self) -> Value {
        self.status().json()
    }

    fn phase(&self) -> String {
        self.view()["phase"].as_str().unwrap_or_default().to_owned()
    }

    fn change(&self, path: &str, body: &Value) -> Response {
        let status = self.status();
        let header = match status.header("etag") {
            Some(tag) => ("if-match", tag),
            None => ("if-none-match", "*"),
        };
        let body = body.to_string();
        self.served.admin("POST", path, &[header], body.as_bytes())
    }

    fn verb(&self, verb: &str) -> Value {
        let changed = self.change(&format!("{ROLLOUT}/{verb}"), &json!({}));
        assert_eq!(changed.status, 200, "{}", changed.text());
        changed.json()
    }

    fn start(&self) {
        let started = self.change(ROLLOUT, &json!({"version": 2}));
        assert_eq!(started.status, 200, "{}", started.text());
    }

    /// Asks until the rollout is in this phase.
    fn ask_until(&self, phase: &str) {
        wait_for(phase, || {
            self.ask();
            self.phase() == phase
        });
    }

    fn check_all_by(&self, version: &str) {
        for _ in 0..20 {
            assert_eq!(self.ask(), version);
        }
    }
}

fn modelet(behaviour: Behaviour) -> Vec<u8> {
    vector("m", Datatype::Fp32, behaviour)
}

fn canary(steps: &str) -> String {
    format!("{FALLBACK}[strategy.canary]\nsteps = [{steps}]\n")
}

#[test]
fn a_version_that_is_new_waits_until_it_is_rolled_out() {
    let story = Story::begin(
        Behaviour::Echo,
        &canary("{ setWeight = 50 }, { pause = {} }"),
    );
    story.check_all_by("m/1");
    story.start();
    wait_for("half of the requests", || {
        story.view()["weights"]["2"] == 50.0
    });
    let mut shares: BTreeMap<String, u64> = BTreeMap::new();
    (0..100).for_each(|_| *shares.entry(story.ask()).or_default() += 1);
    assert!((25..=75).contains(&shares["m/2"]), "{shares:?}");
    let promoted = story.verb("promote");
    assert_eq!(
        (&promoted["phase"], &promoted["stable"]),
        (&json!("Healthy"), &json!(2))
    );
    story.check_all_by("m/2");
    story.verb("undo");
    story.check_all_by("m/1");
    let history = story
        .served
        .admin("GET", "/admin/v1/models/m/history", &[], b"");
    let history = history.json();
    let said = |index: usize| history[index]["what"].as_str().unwrap().to_owned();
    assert_eq!(said(0), "back to version 1");
    assert!(said(1).starts_with("promoted"), "{history}");
    assert_eq!(history[0]["who"], "local");
}

#[test]
fn a_canary_that_traps_is_aborted() {
    let story = Story::begin(
        Behaviour::TrapUnlessZero,
        &canary("{ setWeight = 30 }, { pause = {} }"),
    );
    story.start();
    story.ask_until("Degraded");
    let view = story.view();
    assert!(
        view["message"].as_str().unwrap().contains("error-rate"),
        "{view}"
    );
    story.check_all_by("m/1");
}

#[test]
fn a_canary_that_traps_at_once_never_gets_a_request() {
    let story = Story::begin(
        Behaviour::Trap,
        &canary("{ setWeight = 30 }, { pause = {} }"),
    );
    story.start();
    wait_for("the readiness inference", || {
        story.view()["message"]
            .as_str()
            .unwrap()
            .contains("readiness")
    });
    story.check_all_by("m/1");
    let full = story.change(&format!("{ROLLOUT}/promote"), &json!({"full": true}));
    full.check_error(409, "readiness inference");
}

#[test]
fn a_canary_that_answers_nonsense_is_aborted() {
    let spec = canary("{ setWeight = 30 }, { pause = {} }") + "[guards]\nfinite = true\n";
    let story = Story::begin(Behaviour::NanUnlessZero, &spec);
    story.start();
    story.ask_until("Degraded");
    let view = story.view();
    assert!(
        view["message"]
            .as_str()
            .unwrap()
            .contains("invalid-outputs"),
        "{view}"
    );
    story.check_all_by("m/1");
}

#[test]
fn a_canary_that_is_slow_is_aborted() {
    let steps = "{ setWeight = 50 }, { analysis = { metrics = [{ metric = \"latency\", \
                 quantile = 0.5, interval = \"1s\", count = 1000 }] } }";
    let story = Story::begin(Behaviour::SlowUnlessZero, &canary(steps));
    story.start();
    story.ask_until("Degraded");
    let view = story.view();
    assert!(
        view["message"].as_str().unwrap().contains("latency"),
        "{view}"
    );
    story.check_all_by("m/1");
}

#[test]
fn a_canary_that_is_fine_takes_over() {
    let steps = "{ setWeight = 20 }, { analysis = { metrics = [{ metric = \"error-rate\", \
                 minimumRequests = 20 }] } }, { setWeight = 50 }, { pause = { duration = \"1s\" } }";
    let story = Story::begin(Behaviour::Echo, &canary(steps));
    story.start();
    story.ask_until("Healthy");
    assert_eq!(story.view()["stable"], 2);
    story.check_all_by("m/2");
}

#[test]
fn a_canary_that_disagrees_is_seen_in_the_mirror_and_nowhere_else() {
    let spec = format!(
        "{FALLBACK}[strategy.shadow]\nmirror = 100\nanalysis = {{ metrics = [\
         {{ metric = \"disagreement\", limit = 0.001 }}] }}\n"
    );
    let story = Story::begin(Behaviour::Double, &spec);
    story.start();
    story.ask_until("Degraded");
    let view = story.view();
    assert!(
        view["evidence"]["mirrored"].as_u64().unwrap() >= 100,
        "{view}"
    );
    story.check_all_by("m/1");
}

#[test]
fn a_switch_and_a_switch_back_under_load_lose_nothing() {
    let story = Story::begin(
        Behaviour::Echo,
        "strategy.blueGreen = { autoPromotionEnabled = false }\n",
    );
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = SetAtEnd(&is_over);
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    story.ask();
                }
            });
        }
        story.start();
        wait_for("the preview", || story.phase() == "Paused");
        let preview = story
            .served
            .post("/v2/models/m/versions/preview/infer", ROW);
        assert_eq!(preview.header("modelet-served-by"), Some("m/2"));
        story.verb("promote");
        wait_for("the new version", || story.ask() == "m/2");
        story.verb("undo");
        wait_for("the old version", || story.ask() == "m/1");
    });
    story.check_all_by("m/1");
}

/// Also where the test fails: whoever waits for it has to end.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

const ROW: &str = r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;

#[test]
fn a_version_that_is_deleted_while_it_is_rolled_out_is_covered() {
    let story = Story::begin(
        Behaviour::Echo,
        &canary("{ setWeight = 50 }, { pause = {} }"),
    );
    story.start();
    wait_for("the new version", || story.ask() == "m/2");
    std::fs::remove_dir_all(story.served.path("m/2")).unwrap();
    story.served.app.refresh();
    story.check_all_by("m/1");
    story.verb("abort");
    story.check_all_by("m/1");
}

#[test]
fn a_canary_that_refuses_what_stable_takes_is_covered_and_aborted() {
    // Without a chain of its own.
    let spec = "[strategy.canary]\nsteps = [{ setWeight = 30 }, { pause = {} }]";
    let story = Story::begin(Behaviour::Echo, spec);
    let other = vector("m", Datatype::Int64, Behaviour::Echo);
    story.served.put("m/2/model.wasm", &other);
    story.served.app.refresh();
    story.start();
    story.ask_until("Degraded");
    story.check_all_by("m/1");
}

#[test]
fn what_is_wrong_for_stable_too_is_told_by_stable() {
    let spec = canary("{ setWeight = 50 }, { pause = {} }");
    let story = Story::begin(Behaviour::Echo, &spec);
    story.start();
    wait_for("the pause", || story.phase() == "Paused");
    let wrong = r#"{"inputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[1]}]}"#;
    for _ in 0..20 {
        story
            .served
            .post(INFER, wrong)
            .check_error(400, "no input `y`");
    }
}

#[test]
fn a_canary_with_all_requests_is_still_judged() {
    let spec = "[strategy.blueGreen.postPromotionAnalysis]\n\
                metrics = [{ metric = \"error-rate\", interval = \"1s\", count = 1000 }]";
    let story = Story::begin(Behaviour::TrapUnlessZero, spec);
    story.start();
    story.ask_until("Degraded");
    story.check_all_by("m/1");
}

#[test]
fn a_preview_is_analysed_before_anybody_sees_it() {
    let spec = "[strategy.blueGreen]\nmirror = 100\n[strategy.blueGreen.prePromotionAnalysis]\n\
                metrics = [{ metric = \"error-rate\" }]";
    let story = Story::begin(Behaviour::Echo, spec);
    story.start();
    wait_for("version 2", || story.ask() == "m/2");
    let story = Story::begin(Behaviour::TrapUnlessZero, spec);
    story.start();
    wait_for("the abort", || {
        assert_eq!(story.ask(), "m/1");
        story.phase() == "Degraded"
    });
}

#[test]
fn a_version_that_a_rollout_needs_is_served_whatever_the_spec_says() {
    let spec = canary("{ setWeight = 20 }, { pause = {} }");
    let story = Story::begin(Behaviour::Echo, &spec);
    story.start();
    wait_for("the pause", || story.phase() == "Paused");
    let latest = format!("versions.serve = \"latest\"\n{spec}");
    story.served.put("m/model.toml", latest.as_bytes());
    story.served.app.refresh();
    let stable = (0..50).filter(|_| story.ask() == "m/1").count();
    assert!(stable > 25, "{stable}");
}

#[test]
fn an_aborted_version_gets_nothing_after_a_restart_without_a_spec() {
    let state = tempfile::tempdir().unwrap();
    let config = || Config {
        state: format!("sqlite:{}/state.sqlite", state.path().display()),
        ..config()
    };
    let story = Story::with_config(config(), Behaviour::Echo, "");
    let strategy = json!({"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}});
    let started = story.change(ROLLOUT, &json!({"version": 2, "strategy": strategy}));
    assert_eq!(started.status, 200, "{}", started.text());
    // Until then it moves by itself, past what an abort has seen.
    wait_for("the pause", || story.phase() == "Paused");
    story.verb("abort");
    story.check_all_by("m/1");
    drop(story);
    let served = Served::unloaded(config(), &[("m", modelet(Behaviour::Echo))]);
    served.put("m/2/model.wasm", &modelet(Behaviour::Echo));
    wait_for("a ready server", || served.app.is_ready());
    served.app.refresh();
    let asked = AtomicU64::new(0);
    Story { served, asked }.check_all_by("m/1");
}

#[test]
fn the_highest_version_is_stable_at_first_however_they_load() {
    let versions = ["1", "2", "3"];
    let served = Served::start(config(), &[]);
    for version in versions {
        served.put(
            &format!("m/{version}/model.wasm"),
            &modelet(Behaviour::Echo),
        );
    }
    served.put("m/model.toml", canary("{ setWeight = 20 }").as_bytes());
    served.app.refresh();
    let asked = AtomicU64::new(0);
    let story = Story { served, asked };
    wait_for("a stable version", || story.phase() == "Healthy");
    assert_eq!(story.view()["stable"], 3);
}

#[test]
fn a_rollout_goes_on_where_it_was_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/state.sqlite?mode=rwc", state.path().display());
    let config = || Config {
        state: url.clone(),
        ..config()
    };
    let spec = canary("{ setWeight = 0 }, { setWeight = 25 }, { pause = {} }");
    let story = Story::with_config(config(), Behaviour::Echo, &spec);
    story.start();
    wait_for("the pause", || story.phase() == "Paused");
    let before = story.view();
    drop(story);
    let served = Served::unloaded(config(), &[("m", modelet(Behaviour::Echo))]);
    served.put("m/model.toml", spec.as_bytes());
    served.put("m/2/model.wasm", &modelet(Behaviour::Echo));
    wait_for("a ready server", || served.app.is_ready());
    served.app.refresh();
    let story = Story {
        served,
        asked: AtomicU64::new(0),
    };
    assert_eq!(story.view()["revision"], before["revision"]);
    let mut shares: BTreeMap<String, u64> = BTreeMap::new();
    (0..100).for_each(|_| *shares.entry(story.ask()).or_default() += 1);
    assert!((5..=50).contains(&shares["m/2"]), "{shares:?}");
}
