use modelet_protocol::Datatype;
use serde_json::{Value, json};

use super::*;
use crate::application::tests::served;
use crate::rollouts::follow;

const NOW: Duration = Duration::from_secs(1_000_000);

fn instance(policy: Value) -> Instance {
    Instance {
        served: served(&policy),
        memory: Memory::default(),
    }
}

fn tensor(name: &str, value: f32) -> Tensor {
    Tensor {
        name: name.to_owned(),
        datatype: Datatype::Fp32,
        shape: vec![1],
        data: value.to_le_bytes().to_vec(),
    }
}

/// The reply to a request, and which slots were asked; `say` is what they say.
fn ask(
    instance: &mut Instance,
    version: Option<&str>,
    body: &str,
    now: Duration,
    mut say: impl FnMut(u8) -> Result<Vec<Tensor>, Failure>,
) -> (Reply, Vec<u8>) {
    let named = Named {
        model: "m".to_owned(),
        version: version.map(str::to_owned),
    };
    let headers = HeaderMap::new();
    let mut asked = Vec::new();
    let begun = Inference::begin(instance, named, &headers, body.as_bytes(), now, 1);
    let mut inference = match begun {
        Ok(inference) => inference,
        Err(failure) => return (failure.reply(), asked),
    };
    loop {
        match inference.step(instance, now) {
            Step::Save(model) => assert_eq!(model.as_str(), "m"),
            Step::Set { .. } => {}
            Step::Call { slot, .. } => {
                asked.push(slot);
                inference.called(instance, say(slot), now);
            }
            Step::Done(reply) => return (reply, asked),
        }
    }
}

const BODY: &str = r#"{"id":"7","inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;

fn well(_: u8) -> Result<Vec<Tensor>, Failure> {
    Ok(vec![tensor("y", 2.0)])
}

/// The second version, in slot 1, is broken.
fn first_only(slot: u8) -> Result<Vec<Tensor>, Failure> {
    match slot {
        0 => well(slot),
        _ => Err(Failure::ModelFailed("no".to_owned())),
    }
}

fn body(reply: &Reply) -> Value {
    serde_json::from_slice(reply.body()).unwrap()
}

#[test]
fn the_default_version_answers() {
    let mut instance = instance(json!({}));
    let (reply, asked) = ask(&mut instance, None, BODY, NOW, well);
    assert_eq!(asked, [1]);
    assert_eq!(reply.headers()["modelet-served-by"], "m/2");
    let body = body(&reply);
    assert_eq!(body["outputs"][0]["data"], json!([2.0]));
    assert_eq!(
        (&body["id"], &body["model_version"]),
        (&json!("7"), &json!("2"))
    );
    assert!(body.get("parameters").is_none());
}

#[test]
fn a_broken_version_is_replaced_and_then_kept_away_from() {
    let policy = json!({
        "versions": {"default": 2},
        "fallback": {"chain": [{"version": 1}]},
        "breaker": {"consecutive": 2},
    });
    let mut instance = instance(policy);
    for (turn, expected, reason) in [
        (0, &[1, 0][..], "failed"),
        (1, &[1, 0], "failed"),
        (2, &[0], "breaker"),
    ] {
        let now = NOW + Duration::from_millis(turn);
        let (reply, asked) = ask(&mut instance, None, BODY, now, first_only);
        assert_eq!((reply.status().as_u16(), &*asked), (200, expected));
        assert_eq!(reply.headers()["modelet-fallback-reason"], reason);
        assert_eq!(reply.headers()["modelet-served-by"], "m/1");
        let parameters = &body(&reply)["parameters"];
        assert_eq!(parameters["modelet_served_by"], "m/1");
    }
    let (reply, asked) = ask(&mut instance, Some("2"), BODY, NOW, first_only);
    assert_eq!((reply.status().as_u16(), asked.len()), (503, 0));
    assert_eq!(reply.headers()["retry-after"], "1");
}

#[test]
fn the_first_failure_is_told() {
    let mut instance = instance(json!({"fallback": {"chain": [{"version": 1}]}}));
    let fail = |slot: u8| Err(Failure::ModelFailed(format!("slot {slot}")));
    let (reply, asked) = ask(&mut instance, None, BODY, NOW, fail);
    assert_eq!(asked, [1, 0]);
    assert_eq!(reply.status(), 500);
    assert_eq!(body(&reply)["error"], "the model failed: slot 1");
}

#[test]
fn what_is_wrong_with_a_request_is_wrong_everywhere() {
    let mut instance = instance(json!({"fallback": {"chain": [{"version": 1}]}}));
    for wrong in [
        "{",
        r#"{"inputs":[]}"#,
        r#"{"inputs":[{"name":"z","datatype":"FP32","shape":[1],"data":[1]}]}"#,
        r#"{"inputs":[{"name":"x","datatype":"FP64","shape":[1],"data":[1]}]}"#,
    ] {
        let (reply, asked) = ask(&mut instance, None, wrong, NOW, well);
        assert_eq!((reply.status().as_u16(), asked.len()), (400, 0), "{wrong}");
    }
    let refuse = |_| Err(Failure::Refused("no such row".to_owned()));
    let (reply, asked) = ask(&mut instance, None, BODY, NOW, refuse);
    assert_eq!((reply.status().as_u16(), asked), (400, vec![1]));
}

#[test]
fn guards_look_at_all_outputs_and_static_answers_are_the_last() {
    let static_outputs = r#"[{"name":"y","datatype":"FP32","shape":[1],"data":[0]}]"#;
    let policy =
        json!({"guards": {"finite": true}, "fallback": {"chain": [{"static": static_outputs}]}});
    let mut instance = instance(policy);
    let odd = |_| Ok(vec![tensor("y", f32::NAN)]);
    let (reply, _) = ask(&mut instance, None, BODY, NOW, odd);
    assert_eq!(reply.headers()["modelet-fallback-reason"], "guard");
    assert_eq!(reply.headers()["modelet-served-by"], "static");
    assert_eq!(body(&reply)["outputs"][0]["data"], json!([0.0]));
}

#[test]
fn an_answer_that_is_no_tensor_is_the_models_failure() {
    let mut instance = instance(json!({}));
    let short = |_| {
        let mut tensor = tensor("y", 1.0);
        tensor.data.pop();
        Ok(vec![tensor])
    };
    let (reply, _) = ask(&mut instance, None, BODY, NOW, short);
    assert_eq!(reply.status(), 500);
}

#[test]
fn a_healthy_version_with_a_breaker_is_written_down_once() {
    let mut instance = instance(json!({"breaker": {}}));
    let mut saves = Vec::new();
    for turn in 0..3 {
        let named = Named {
            model: "m".to_owned(),
            version: None,
        };
        let now = NOW + Duration::from_millis(turn);
        let headers = HeaderMap::new();
        let begun = Inference::begin(&mut instance, named, &headers, BODY.as_bytes(), now, 1);
        let mut inference = begun.ok().unwrap();
        let mut marks = 0;
        loop {
            match inference.step(&mut instance, now) {
                Step::Save(_) | Step::Set { .. } => marks += 1,
                Step::Call { slot, .. } => inference.called(&mut instance, well(slot), now),
                Step::Done(_) => break,
            }
        }
        saves.push((marks, inference.changed().count()));
    }
    assert_eq!(saves, [(1, 1), (0, 0), (0, 0)]);
}

/// Version 2 is the canary of all requests by weight, if any.
fn rolling(weight: u32) -> Instance {
    let mut instance = instance(json!({
        "versions": {"default": 1},
        "strategy": {"canary": {"steps": [{"setWeight": weight}, {"pause": {}}]}},
    }));
    let happened = follow(&mut instance, &"m".parse().unwrap(), NOW);
    assert!(!happened.is_empty());
    instance
}

/// Requests and errors of the canary.
fn canarys(instance: &Instance) -> (u64, u64) {
    let evidence = instance.memory.evidence(&"m".parse().unwrap());
    let (_, canary) = evidence.totals();
    (canary.requests, canary.errors)
}

#[test]
fn a_call_of_the_canary_is_noted_until_it_has_ended() {
    let mut instance = rolling(100);
    let named = Named {
        model: "m".to_owned(),
        version: None,
    };
    let headers = HeaderMap::new();
    let begun = Inference::begin(&mut instance, named, &headers, BODY.as_bytes(), NOW, 1);
    let mut inference = begun.ok().unwrap();
    let mut steps = Vec::new();
    loop {
        match inference.step(&mut instance, NOW) {
            Step::Set { key, value } => steps.push((key, value.is_empty())),
            Step::Call { slot, .. } => {
                steps.push((slot.to_string(), false));
                inference.called(&mut instance, well(slot), NOW);
            }
            Step::Save(_) => panic!("there is no breaker"),
            Step::Done(_) => break,
        }
    }
    let key = "modelet/m/note/2".to_owned();
    assert_eq!(
        steps,
        [(key.clone(), false), ("1".to_owned(), false), (key, true)]
    );
    assert_eq!(canarys(&instance), (1, 0));
    assert_eq!(inference.changed().count(), 1);
}

#[test]
fn a_request_that_the_canary_refuses_is_stables() {
    let mut instance = rolling(100);
    let refuse = |slot| match slot {
        1 => Err(Failure::Refused("no such row".to_owned())),
        _ => well(slot),
    };
    let (reply, asked) = ask(&mut instance, None, BODY, NOW, refuse);
    assert_eq!((reply.status().as_u16(), asked), (200, vec![1, 0]));
    assert_eq!(reply.headers()["modelet-fallback-reason"], "failed");
    assert_eq!(canarys(&instance), (1, 1));
    // What both refuse is the caller's doing, and is told as stable tells it.
    let refuse = |slot| Err(Failure::Refused(format!("says {slot}")));
    let (reply, _) = ask(&mut instance, None, BODY, NOW, refuse);
    assert_eq!(body(&reply)["error"], "says 0");
    assert_eq!(reply.status(), 400);
}

#[test]
fn requests_that_name_a_version_are_evidence_where_no_others_are() {
    let mut instance = rolling(0);
    for version in ["canary", "2", "stable"] {
        let (reply, _) = ask(&mut instance, Some(version), BODY, NOW, well);
        assert_eq!(reply.status(), 200, "{version}");
    }
    assert_eq!(canarys(&instance), (2, 0));
    let mut instance = rolling(100);
    ask(&mut instance, Some("canary"), BODY, NOW, well);
    assert_eq!(canarys(&instance), (0, 0));
}
