//! Rollouts that outlast every instance that carries them on.

use std::process::Command;
use std::sync::Arc;

use modelet_protocol::Datatype;
use serde_json::Value;

use crate::application::{Application, modelet};
use crate::client::{Reply, ask};
use crate::host::{Host, Offer, await_that};
use crate::modelet::{Behaviour, vector};
use crate::shelf::{Shelf, State};

const TOKEN: &str = "a token of the tests";

/// What whoever looks at rollouts is told by a host that lets every instance answer one request.
struct Spin {
    host: Host,
    shelf: Arc<Shelf>,
}

impl Spin {
    /// An application of these versions, on a store that may know of others.
    fn start(versions: &[(&str, Behaviour)], spec: &str, shelf: &Arc<Shelf>) -> Spin {
        let artifacts: Vec<_> = versions
            .iter()
            .map(|(version, behaviour)| (*version, vector("m", Datatype::Fp32, *behaviour)))
            .collect();
        let artifacts: Vec<(&str, &[u8])> = artifacts
            .iter()
            .map(|(version, artifact)| (*version, artifact.as_slice()))
            .collect();
        let application = Application::new(&artifacts, &[("m", spec)]);
        let offer = Offer {
            shelf: Some(shelf.clone()),
            reuse: 1,
            environment: vec![("MODELET_ADMIN_TOKEN", TOKEN)],
            ..Offer::default()
        };
        Spin {
            host: Host::start(&application.composed_by_spin(), offer),
            shelf: shelf.clone(),
        }
    }

    fn infer(&self, path: &str) -> Reply {
        let body = br#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;
        let path = format!("/v2/models/m{path}/infer");
        ask(self.host.address, "POST", &path, &[], body)
    }

    /// Who answers, of this many requests, all of which are answered.
    fn answers(&self, count: usize) -> Vec<String> {
        let answer = |_| {
            let reply = self.infer("");
            assert_eq!(reply.status, 200, "{reply:?}");
            reply.header("modelet-served-by").to_owned()
        };
        (0..count).map(answer).collect()
    }

    fn rollout(&self) -> Command {
        let mut command = modelet();
        command
            .arg("rollout")
            .args(["--admin", &format!("http://{}", self.host.address)])
            .env("MODELET_TOKEN", TOKEN);
        command
    }

    fn status(&self) -> Value {
        let output = self.rollout().args(["status", "m", "--json"]).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What the command says, on whichever stream.
    fn verb(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.rollout().args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }
}

const BOTH: [(&str, Behaviour); 2] = [("m/1", Behaviour::Echo), ("m/2", Behaviour::Echo)];

fn steps(steps: &str) -> String {
    format!("[strategy.canary]\nsteps = [{steps}]\n")
}

#[test]
fn a_version_that_is_deployed_beside_the_stable_one_takes_over_step_by_step() {
    let shelf = Arc::new(Shelf::default());
    let spec = steps("{ setWeight = 50 }, { pause = { duration = \"1s\" } }");
    let first = Spin::start(&BOTH[..1], &spec, &shelf);
    assert_eq!(first.answers(2), ["m/1", "m/1"]);
    drop(first);
    let spin = Spin::start(&BOTH, &spec, &shelf);
    let answers = spin.answers(40);
    for version in ["m/1", "m/2"] {
        assert!(
            answers.iter().any(|answer| answer == version),
            "{answers:?}"
        );
    }
    await_that("the canary is stable", || {
        spin.answers(1);
        spin.status()["phase"] == "Healthy"
    });
    assert!(spin.answers(20).iter().all(|answer| answer == "m/2"));
    let status = spin.status();
    assert_eq!(
        (&status["stable"], &status["previous"]),
        (&2.into(), &1.into())
    );
    // As after a restart, or on another node.
    drop(spin);
    let spin = Spin::start(&BOTH, &spec, &shelf);
    assert!(spin.answers(5).iter().all(|answer| answer == "m/2"));
    assert_eq!(
        spin.infer("/versions/stable").header("modelet-served-by"),
        "m/2"
    );
    assert_eq!(spin.status(), status);
}

#[test]
fn a_broken_canary_is_given_up_and_nobody_notices() {
    let shelf = Arc::new(Shelf::default());
    let spec = format!(
        "versions.default = 1\n{}",
        steps("{ setWeight = 20 }, { pause = {} }")
    );
    let versions = [BOTH[0], ("m/2", Behaviour::Fail)];
    let spin = Spin::start(&versions, &spec, &shelf);
    let mut requests = 0;
    await_that("the canary is given up", || {
        requests += 20;
        assert!(spin.answers(20).iter().all(|answer| answer == "m/1"));
        spin.status()["phase"] == "Degraded"
    });
    let status = spin.status();
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("error-rate"), "{message}");
    println!("a canary of 20 % that always fails is given up within {requests} requests");
    let evidence = &status["evidence"];
    let counted = |arm: &str| evidence[arm]["requests"].as_u64().unwrap();
    assert!(
        counted("stable") > 0 && counted("canary") >= 3,
        "{evidence}"
    );
    let noted = spin.shelf.entries.lock().unwrap();
    let mut notes = noted.iter().filter(|(key, _)| key.contains("/note/"));
    assert!(notes.all(|(_, note)| note.is_empty()));
}

#[test]
fn a_canary_that_takes_its_instances_with_it_is_given_up() {
    let shelf = Arc::new(Shelf::default());
    let spec = format!(
        "versions.default = 1\nlimits.timeout = \"500ms\"\n{}",
        steps("{ setWeight = 50 }, { pause = {} }")
    );
    let versions = [BOTH[0], ("m/2", Behaviour::Trap)];
    let spin = Spin::start(&versions, &spec, &shelf);
    await_that("calls that never ended count against it", || {
        spin.infer("");
        spin.status()["phase"] == "Degraded"
    });
    assert!(spin.answers(20).iter().all(|answer| answer == "m/1"));
}

#[test]
fn somebody_steers_it_with_the_command_that_steers_a_servers() {
    let shelf = Arc::new(Shelf::default());
    let spec = format!(
        "versions.default = 1\n{}",
        steps("{ setWeight = 50 }, { pause = {} }")
    );
    let spin = Spin::start(&BOTH, &spec, &shelf);
    spin.answers(1);
    assert_eq!(spin.status()["phase"], "Paused");
    let (done, said) = spin.verb(&["abort", "m"]);
    assert!(done && said.contains("Degraded"), "{said}");
    assert!(spin.answers(10).iter().all(|answer| answer == "m/1"));
    let (done, said) = spin.verb(&["pause", "m"]);
    assert!(
        !done && said.contains("only one that is progressing is paused"),
        "{said}"
    );
    assert!(spin.verb(&["retry", "m"]).0);
    spin.answers(1);
    let (done, said) = spin.verb(&["promote", "m", "--full"]);
    assert!(done && said.contains("Healthy"), "{said}");
    assert!(spin.answers(10).iter().all(|answer| answer == "m/2"));
    assert!(spin.verb(&["undo", "m"]).0);
    assert!(spin.answers(10).iter().all(|answer| answer == "m/1"));
    let (_, history) = spin.verb(&["history", "m"]);
    for said in [
        "back to version 1",
        "promoted in full",
        "somebody said so",
        "admin",
    ] {
        assert!(history.contains(said), "{history}");
    }
    let address = spin.host.address;
    let path = "/admin/v1/models/m/rollout";
    assert_eq!(ask(address, "GET", path, &[], b"").status, 401);
    shelf.is(State::Down);
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*authorization)];
    let reply = ask(address, "GET", path, &headers, b"");
    assert_eq!(reply.status, 503, "{reply:?}");
}

#[test]
fn while_the_store_is_down_the_default_answers_and_nothing_is_forgotten() {
    let shelf = Arc::new(Shelf::default());
    let spec = format!(
        "versions.default = 1\n{}",
        steps("{ setWeight = 100 }, { pause = {} }")
    );
    let spin = Spin::start(&BOTH, &spec, &shelf);
    assert_eq!(spin.answers(2), ["m/2", "m/2"]);
    shelf.is(State::Down);
    assert_eq!(spin.answers(2), ["m/1", "m/1"]);
    shelf.is(State::Up);
    assert_eq!(spin.answers(2), ["m/2", "m/2"]);
}
