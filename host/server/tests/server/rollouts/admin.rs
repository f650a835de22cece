//! Who steers rollouts, and what they are told.

use modelet_server::{Config, Role, Token};
use serde_json::{Value, json};

use super::{ROLLOUT, Story, canary, modelet};
use crate::modelet::Behaviour;
use crate::served::{Served, config, wait_for};

#[test]
fn of_two_operators_one_is_told_that_the_other_was_there() {
    let story = Story::begin(
        Behaviour::Echo,
        &canary("{ setWeight = 5 }, { pause = {} }"),
    );
    story.start();
    wait_for("the pause", || story.phase() == "Paused");
    let status = story.status();
    let seen = [("if-match", status.header("etag").unwrap())];
    let abort = |headers: &[(&str, &str)]| {
        story
            .served
            .admin("POST", &format!("{ROLLOUT}/abort"), headers, b"")
    };
    story.verb("promote");
    abort(&seen).check_error(412, "somebody else");
    abort(&[]).check_error(428, "If-Match");
    assert_eq!(story.phase(), "Healthy");
}

#[test]
fn what_cannot_be_started_is_told_why() {
    let story = Story::begin(Behaviour::Echo, "");
    let start = |body: Value| story.change(ROLLOUT, &body);
    start(json!({"version": 2})).check_error(409, "no strategy");
    let steps = json!({"canary": {"steps": [{"setWeight": 101}, {"pause": {"duration": "soon"}}]}});
    let wrong = start(json!({"version": 0, "strategy": steps}));
    assert_eq!(wrong.status, 400);
    assert_eq!(
        wrong.json()["errors"].as_array().unwrap().len(),
        3,
        "{}",
        wrong.text()
    );
    let steps = json!({"canary": {"steps": [{"setWeight": 10}]}});
    start(json!({"version": 7, "strategy": steps})).check_error(404, "no version `7`");
    start(json!({"version": 2, "strategy": {"rainbow": {}}})).check_error(400, "rainbow");
    story
        .served
        .put("m/model.toml", b"traffic.weights = { 1 = 100 }");
    story.served.app.refresh();
    start(json!({"version": 2, "strategy": steps})).check_error(409, "traffic.weights");
    let unknown = story
        .served
        .admin("GET", "/admin/v1/models/n/rollout", &[], b"");
    unknown.check_error(404, "no model `n`");
}

#[test]
fn a_spec_that_is_wrong_is_refused_and_what_ran_goes_on() {
    let story = Story::begin(Behaviour::Echo, "versions.default = 1\n");
    let path = "/admin/v1/models/m/spec";
    let put = |tag: &str, text: &str| {
        story
            .served
            .admin("PUT", path, &[("if-match", tag)], text.as_bytes())
    };
    let read = story.served.admin("GET", path, &[], b"");
    assert_eq!(read.text(), "versions.default = 1\n");
    let tag = read.header("etag").unwrap();
    let wrong = put(tag, "limits.concurrency = 0\nversions.serve = []\n");
    assert_eq!(wrong.json()["errors"].as_array().unwrap().len(), 2);
    story.check_all_by("m/1");
    put(tag, "fallback.chain = [{ static = \"flower\" }]").check_error(400, "static outputs");
    let ensemble = "[ensemble]\ncombine = \"vote\"\nmembers = [{ model = \"a\" }]";
    put(tag, ensemble).check_error(400, "no versions of its own");
    assert_eq!(put(tag, "versions.default = 2\n").status, 200);
    story.check_all_by("m/2");
    put(tag, "").check_error(412, "somebody else");
    let history = story
        .served
        .admin("GET", "/admin/v1/models/m/history", &[], b"");
    let latest = &history.json()[0];
    assert_eq!(latest["who"], "local");
    assert!(
        latest["what"]
            .as_str()
            .unwrap()
            .contains("replaced model.toml"),
        "{latest}"
    );
}

#[test]
fn of_many_who_replace_a_spec_at_one_time_one_does() {
    let story = Story::begin(Behaviour::Echo, "versions.default = 1\n");
    let path = "/admin/v1/models/m/spec";
    let read = story.served.admin("GET", path, &[], b"");
    let tag = read.header("etag").unwrap();
    let put = |text: String| {
        let headers = [("if-match", tag)];
        story
            .served
            .admin("PUT", path, &headers, text.as_bytes())
            .status
    };
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let writing: Vec<_> = (1..=6)
            .map(|queue| scope.spawn(move || put(format!("limits.queue = {queue}\n"))))
            .collect();
        writing.into_iter().map(|it| it.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
}

#[test]
fn tokens_are_asked_for() {
    let token = Token {
        name: "anna".to_owned(),
        role: Role::View,
        // Of `secret`.
        sha256: [
            0x2b, 0xb8, 0x0d, 0x53, 0x7b, 0x1d, 0xa3, 0xe3, 0x8b, 0xd3, 0x03, 0x61, 0xaa, 0x85,
            0x56, 0x86, 0xbd, 0xe0, 0xea, 0xcd, 0x71, 0x62, 0xfe, 0xf6, 0xa2, 0x5f, 0xe9, 0x7b,
            0xf5, 0x27, 0xa2, 0x5b,
        ],
    };
    let config = Config {
        tokens: vec![token],
        ..config()
    };
    let served = Served::start(config, &[("m", modelet(Behaviour::Echo))]);
    let models = "/admin/v1/models";
    served
        .admin("GET", models, &[], b"")
        .check_error(401, "Bearer");
    let shown = [("authorization", "Bearer secret")];
    let answer = served.admin("GET", models, &shown, b"");
    assert_eq!(answer.json()[0]["name"], "m");
    let change = served.admin("POST", ROLLOUT, &shown, b"{}");
    change.check_error(403, "may look");
}

#[test]
fn the_api_describes_itself_and_says_how_it_is() {
    let served = Served::start(config(), &[("m", modelet(Behaviour::Echo))]);
    let document = served
        .admin("GET", "/admin/v1/openapi.json", &[], b"")
        .json();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 6, "{paths:?}");
    assert!(paths["/admin/v1/models/{model}/rollout"]["post"].is_object());
    wait_for("the database", || {
        served.admin("GET", "/admin/v1/health", &[], b"").status == 200
    });
    served
        .admin("GET", "/nowhere", &[], b"")
        .check_error(404, "nothing here");
}
