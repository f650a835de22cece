//! Rollouts as operators meet them: the command line, servers that are killed, several nodes.

#[path = "../../host/store/tests/state/postgres.rs"]
mod postgres;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::built;
use crate::server::Server;

const ROW: &str =
    r#"{"inputs":[{"name":"X","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}"#;

const SPEC: &str = "[strategy.canary]\nsteps = [{ setWeight = 10 }, { pause = { duration = \"2s\" } }, \
                    { setWeight = 50 }, { pause = {} }]\n";

/// The model iris in two versions, of which the second comes later.
fn repository() -> TempDir {
    let repository = tempfile::tempdir().unwrap();
    fs::create_dir_all(repository.path().join("iris/1")).unwrap();
    fs::write(repository.path().join("iris/model.toml"), SPEC).unwrap();
    fs::copy(built::modelet("iris"), artifact(repository.path(), 1)).unwrap();
    repository
}

fn artifact(repository: &Path, version: u32) -> std::path::PathBuf {
    repository.join(format!("iris/{version}/model.wasm"))
}

fn add_second(repository: &Path) {
    fs::create_dir_all(repository.join("iris/2")).unwrap();
    let unfinished = repository.join("iris/2/unfinished");
    fs::copy(built::modelet("iris"), &unfinished).unwrap();
    fs::rename(unfinished, artifact(repository, 2)).unwrap();
}

fn rollout(server: &Server, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelet"))
        .arg("rollout")
        .args(arguments)
        .args(["--admin", &format!("http://{}", server.admin)])
        .output()
        .unwrap()
}

#[track_caller]
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    text
}

fn view(server: &Server) -> Value {
    let output = rollout(server, &["status", "iris", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "{what} did not come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Answers come from both versions, and every one is an answer.
fn served_by(server: &Server, requests: usize, version: &str) -> usize {
    let by = (0..requests).filter(|_| {
        let answer = server.post("/v2/models/iris/infer", ROW);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("modelet-served-by") == Some(version)
    });
    by.count()
}

#[test]
fn a_version_is_rolled_out_from_the_command_line() {
    let repository = repository();
    let server = Server::with_admin(&[repository.path()], &[]);
    wait_for("a stable version", || view(&server)["phase"] == "Healthy");
    add_second(repository.path());
    wait_for("version 2", || {
        server.get("/v2/models/iris/versions/2/ready").status == 200
    });
    assert_eq!(served_by(&server, 20, "iris/1"), 20);
    let started = said(&rollout(&server, &["start", "iris", "2"]));
    assert!(started.contains("iris: Progressing"), "{started}");
    wait_for("the last step", || view(&server)["phase"] == "Paused");
    let status = said(&rollout(&server, &["status", "iris"]));
    for part in ["✓ setWeight 10 %", "▶ pause", "50 %", "requests"] {
        assert!(status.contains(part), "{status}");
    }
    let refused = rollout(&server, &["retry", "iris"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("the rollout is Paused"), "{error}");
    said(&rollout(&server, &["promote", "iris"]));
    let watched = said(&rollout(&server, &["status", "iris", "--watch"]));
    assert!(watched.contains("version 2 is stable"), "{watched}");
    assert_eq!(served_by(&server, 20, "iris/2"), 20);
    said(&rollout(&server, &["undo", "iris"]));
    assert_eq!(served_by(&server, 20, "iris/1"), 20);
    let history = said(&rollout(&server, &["history", "iris"]));
    assert_eq!(
        history.lines().next().unwrap().split_whitespace().next(),
        Some("6"),
        "{history}"
    );
    assert!(history.contains("local"), "{history}");
    let unknown = rollout(&server, &["status", "rose"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no model `rose`"));
}

#[test]
fn a_rollout_survives_that_its_server_is_killed() {
    let repository = repository();
    let mut server = Server::with_admin(&[repository.path()], &[]);
    wait_for("a stable version", || view(&server)["phase"] == "Healthy");
    add_second(repository.path());
    wait_for("version 2", || {
        server.get("/v2/models/iris/versions/2/ready").status == 200
    });
    said(&rollout(&server, &["start", "iris", "2"]));
    // It is killed again and again on its way, wherever it happens to be.
    for _ in 0..4 {
        server.kill();
        server = Server::with_admin(&[repository.path()], &[]);
        assert!(served_by(&server, 10, "iris/1") > 0);
    }
    wait_for("the last step", || view(&server)["phase"] == "Paused");
    let history = said(&rollout(&server, &["history", "iris"]));
    for step in [
        "step 0: weight 10 %",
        "step 1: the pause is over",
        "step 2: weight 50 %",
    ] {
        assert_eq!(history.matches(step).count(), 1, "{history}");
    }
}

mod on_postgres {
    use super::*;

    #[test]
    fn another_node_goes_on_when_the_one_that_leads_is_killed() {
        let database = postgres::Server::start();
        let repository = repository();
        let url = database.url();
        let start = || Server::with_admin(&[repository.path()], &["--state", &url]);
        let mut nodes = vec![start(), start(), start()];
        wait_for("a stable version", || {
            nodes.iter().all(|node| view(node)["phase"] == "Healthy")
        });
        add_second(repository.path());
        wait_for("version 2", || {
            let ready = |node: &Server| node.get("/v2/models/iris/versions/2/ready").status;
            nodes.iter().all(|node| ready(node) == 200)
        });
        said(&rollout(&nodes[0], &["start", "iris", "2"]));
        let changed = Instant::now();
        wait_for("the weight on every node", || {
            nodes.iter().all(|node| {
                metric(
                    node,
                    "modelet_rollout_weight{model=\"iris\",version=\"2\"} 1000",
                )
            })
        });
        eprintln!("applied everywhere after {:?}", changed.elapsed());
        let leads = |node: &Server| metric(node, "modelet_rollout_leads{model=\"iris\"} 1");
        let mut leaders = vec![];
        wait_for("a leader", || {
            leaders = (0..nodes.len())
                .filter(|&node| leads(&nodes[node]))
                .collect();
            leaders.len() == 1
        });
        nodes.remove(leaders[0]).kill();
        wait_for("the last step", || view(&nodes[0])["phase"] == "Paused");
        let history = said(&rollout(&nodes[1], &["history", "iris"]));
        for step in [
            "step 0: weight 10 %",
            "step 1: the pause is over",
            "step 2: weight 50 %",
        ] {
            assert_eq!(history.matches(step).count(), 1, "{history}");
        }
        // What the database says and what requests follow are not the same at every moment.
        wait_for("the weight on every node that is left", || {
            let weight = "modelet_rollout_weight{model=\"iris\",version=\"2\"} 5000";
            nodes.iter().all(|node| metric(node, weight))
        });
        drop(database);
        wait_for("the loss to be told", || {
            metric(&nodes[0], "modelet_state_reachable 0")
        });
        let ready = nodes[0].get("/v2/health/ready").json();
        assert_eq!(ready["state"], "unreachable");
        assert!(
            served_by(&nodes[0], 50, "iris/2") > 5,
            "the last plan goes on"
        );
    }

    fn metric(node: &Server, line: &str) -> bool {
        let body = node.get("/metrics").body;
        String::from_utf8_lossy(&body)
            .lines()
            .any(|found| found == line)
    }
}
