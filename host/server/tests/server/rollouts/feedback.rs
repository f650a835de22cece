//! Labels and rewards that come back.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};

use super::{INFER, ROW, Story};
use crate::modelet::Behaviour;
use crate::served::{Response, wait_for};

/// Asks fifty times with ids, and gives each answer the label that is right.
fn asked_and_labelled(story: &Story) -> Response {
    let mut labels = Vec::new();
    for _ in 0..50 {
        let number = story.asked.fetch_add(1, Relaxed) + 1;
        let body = ROW.replacen('{', &format!(r#"{{"id":"r{number}","#), 1);
        let answer = story.served.post(INFER, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        labels.push(json!({"id": format!("r{number}"), "label": 1}));
    }
    feedback(story, &json!(labels))
}

fn feedback(story: &Story, body: &Value) -> Response {
    story.served.post("/v2/models/m/feedback", body.to_string())
}

#[test]
fn a_canary_that_is_worse_on_labels_is_aborted() {
    let spec = "[feedback]\n[strategy.abTest]\nweight = 50\n";
    let story = Story::begin(Behaviour::Double, spec);
    story.start();
    wait_for("the split", || story.view()["weights"]["2"] == 50.0);
    wait_for("the verdict", || {
        let joined = asked_and_labelled(&story).json();
        assert_eq!(
            (&joined["joined"], &joined["unknown"]),
            (&json!(50), &json!(0))
        );
        story.phase() == "Degraded"
    });
    let view = story.view();
    assert!(
        view["message"].as_str().unwrap().contains("reward"),
        "{view}"
    );
    assert_eq!(view["evidence"]["stable"]["reward"], 1.0);
    assert_eq!(view["evidence"]["canary"]["reward"], 0.0);
}

#[test]
fn a_bandit_sends_requests_to_the_version_that_is_rewarded() {
    let spec = "[feedback]\n[strategy.bandit]\ninterval = \"250ms\"\n";
    let story = Story::begin(Behaviour::Double, spec);
    story.start();
    wait_for("the arms", || story.view()["weights"]["2"] == 50.0);
    wait_for("the weights", || {
        asked_and_labelled(&story);
        story.view()["weights"]["1"].as_f64().unwrap() > 95.0
    });
}

#[test]
fn feedback_is_joined_once_and_what_is_unknown_is_counted() {
    let story = Story::begin(Behaviour::Echo, "[feedback]\n");
    asked_and_labelled(&story);
    let again = json!([{"id": "r1", "reward": 0.5}, {"id": "nobody", "label": "x"}]);
    let expected = json!({"joined": 0, "duplicate": 1, "late": 0, "unknown": 1});
    assert_eq!(feedback(&story, &again).json(), expected);
    let wrong = feedback(&story, &json!({"id": "r1"}));
    wrong.check_error(400, "either a label");
    feedback(&story, &json!("r1")).check_error(400, "feedback is");
    let answer = story.served.post(INFER, ROW);
    let given = answer.header("x-request-id").unwrap();
    let joined = feedback(&story, &json!({"id": given, "label": true})).json();
    assert_eq!(joined["joined"], 1);
    let metrics = story.served.get("/metrics").text();
    assert!(
        metrics.contains("modelet_feedback{became=\"joined\"} 51"),
        "{metrics}"
    );
    story.served.put("m/model.toml", b"");
    story.served.app.refresh();
    feedback(&story, &again).check_error(409, "no [feedback]");
}
