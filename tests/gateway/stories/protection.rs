//! What happens when models, instances and the store fail.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use modelet_protocol::Datatype;

use crate::application::Application;
use crate::client::{Reply, ask};
use crate::host::{Host, Offer, await_that};
use crate::modelet::{Behaviour, vector};
use crate::shelf::{Shelf, State};

/// Version 1 answers, version 2 behaves like this and is asked first.
fn application(second: Behaviour, spec: &str) -> Application {
    let of = |behaviour| vector("m", Datatype::Fp32, behaviour);
    let (first, second) = (of(Behaviour::Echo), of(second));
    // Without it the first would be the default as long as the second is kept away from.
    let spec = format!("versions.default = 2\n{spec}");
    Application::new(&[("m/1", &first), ("m/2", &second)], &[("m", &spec)])
}

fn fresh(shelf: &Arc<Shelf>) -> Offer {
    Offer {
        shelf: Some(shelf.clone()),
        reuse: 1,
        ..Offer::default()
    }
}

/// Asks with this number.
fn infer(host: &Host, number: f32) -> Reply {
    let body =
        format!(r#"{{"inputs":[{{"name":"x","datatype":"FP32","shape":[1],"data":[{number}]}}]}}"#);
    ask(
        host.address,
        "POST",
        "/v2/models/m/infer",
        &[],
        body.as_bytes(),
    )
}

fn reason(reply: &Reply) -> (u16, &str, &str) {
    let reason = reply.header("modelet-fallback-reason");
    (reply.status, reply.header("modelet-served-by"), reason)
}

#[test]
fn an_open_breaker_outlasts_the_instances_that_opened_it() {
    let spec = "fallback.chain = [{ version = 1 }]\n[breaker]\nconsecutive = 3\nopen = \"600s\"";
    let application = application(Behaviour::Fail, spec);
    let component = application.composed_by_spin();
    let shelf = Arc::new(Shelf::default());
    let host = Host::start(&component, fresh(&shelf));
    for _ in 0..3 {
        assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "failed"));
    }
    for _ in 0..3 {
        assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "breaker"));
    }
    drop(host);
    // As after a restart, or on another node.
    let host = Host::start(&component, fresh(&shelf));
    assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "breaker"));
    // The version itself is kept away from too, for those who want no other.
    let body = br#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}]}"#;
    let path = "/v2/models/m/versions/2/infer";
    let reply = ask(host.address, "POST", path, &[], body);
    assert_eq!((reply.status, reply.header("retry-after")), (503, "1"));
}

#[test]
fn a_version_that_is_well_again_gets_its_requests_back() {
    let spec = "fallback.chain = [{ version = 1 }]\nguards.finite = true\n\
                [breaker]\nconsecutive = 2\nopen = \"500ms\"\ntrials = 2";
    let application = application(Behaviour::NanUnlessZero, spec);
    let shelf = Arc::new(Shelf::default());
    let host = Host::start(&application.composed_by_spin(), fresh(&shelf));
    for _ in 0..2 {
        assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "guard"));
    }
    assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "breaker"));
    await_that("a trial is let through", || {
        reason(&infer(&host, 0.0)) == (200, "m/2", "")
    });
    assert_eq!(reason(&infer(&host, 0.0)), (200, "m/2", ""));
    // Closed: one more failure does not open it at once.
    assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "guard"));
    assert_eq!(reason(&infer(&host, 0.0)), (200, "m/2", ""));
}

#[test]
fn a_version_that_takes_its_instances_with_it_is_kept_away_from() {
    let spec = "fallback.chain = [{ version = 1 }]\nlimits.timeout = \"500ms\"\n\
                [breaker]\nconsecutive = 2\nopen = \"600s\"";
    let application = application(Behaviour::Trap, spec);
    let shelf = Arc::new(Shelf::default());
    let host = Host::start(&application.composed_by_spin(), fresh(&shelf));
    for _ in 0..2 {
        // A trap is the end of the gateway's instance, so that nobody is there to answer.
        assert_eq!(infer(&host, 1.0).status, 500);
    }
    await_that("calls that never ended count as failed", || {
        reason(&infer(&host, 1.0)) == (200, "m/1", "breaker")
    });
}

#[test]
fn a_healthy_version_is_written_down_once() {
    let application = application(Behaviour::Echo, "breaker = {}");
    let shelf = Arc::new(Shelf::default());
    let host = Host::start(&application.composed_by_spin(), fresh(&shelf));
    assert_eq!(reason(&infer(&host, 1.0)), (200, "m/2", ""));
    let sets = shelf.sets();
    assert!((1..=2).contains(&sets), "{sets}");
    for _ in 0..20 {
        assert_eq!(reason(&infer(&host, 1.0)), (200, "m/2", ""));
    }
    assert_eq!(shelf.sets(), sets);
}

#[test]
fn without_a_breaker_the_store_is_left_alone() {
    let application = application(Behaviour::Fail, "fallback.chain = [{ version = 1 }]");
    let shelf = Arc::new(Shelf::default());
    let host = Host::start(&application.composed_by_spin(), fresh(&shelf));
    assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "failed"));
    assert_eq!((shelf.gets(), shelf.sets()), (0, 0));
}

#[test]
fn a_store_that_is_down_fails_no_request() {
    let spec = "fallback.chain = [{ version = 1 }]\n[breaker]\nconsecutive = 2\nopen = \"600s\"";
    let application = application(Behaviour::Fail, spec);
    let component = application.composed_by_spin();
    let shelf = Arc::new(Shelf::default());
    let file = tempfile::NamedTempFile::new().unwrap();
    let offer = |reuse| Offer {
        reuse,
        log: Some(Arc::new(
            File::options().append(true).open(file.path()).unwrap(),
        )),
        ..fresh(&shelf)
    };
    let log = || std::fs::read_to_string(file.path()).unwrap();
    shelf.is(State::Down);
    let host = Host::start(&component, offer(1));
    for _ in 0..4 {
        assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "failed"));
    }
    await_that("the log tells it", || log().contains("the disk is gone"));
    // An instance that lives on remembers what it saw itself.
    let host = Host::start(&component, offer(100));
    for expected in ["failed", "failed", "breaker"] {
        assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", expected));
    }
    shelf.is(State::Hangs);
    let host = Host::start(&component, offer(1));
    let start = Instant::now();
    assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "failed"));
    assert!(start.elapsed() < Duration::from_secs(10));
    await_that("the log tells it", || {
        log().contains("did not answer within")
    });
}

#[test]
fn what_is_damaged_in_the_store_is_told_and_written_over() {
    let spec = "fallback.chain = [{ version = 1 }]\n[breaker]\nconsecutive = 1\nopen = \"600s\"";
    let application = application(Behaviour::Fail, spec);
    let shelf = Arc::new(Shelf::default());
    for shard in 0..4 {
        let key = format!("modelet/m/{shard}");
        shelf.entries.lock().unwrap().insert(key, b"\xff{".to_vec());
    }
    let host = Host::start(&application.composed_by_spin(), fresh(&shelf));
    assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "failed"));
    assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", "breaker"));
}

#[test]
fn where_there_is_no_store_an_instance_remembers_for_itself() {
    let spec = "fallback.chain = [{ version = 1 }]\n[breaker]\nconsecutive = 2\nopen = \"600s\"";
    let application = application(Behaviour::Fail, spec);
    let offer = Offer {
        reuse: 100,
        ..Offer::default()
    };
    let host = Host::start(&application.composed(), offer);
    for expected in ["failed", "failed", "breaker"] {
        assert_eq!(reason(&infer(&host, 1.0)), (200, "m/1", expected));
    }
}
