//! Pulls that break off go on where they were.

use std::fs;
use std::path::Path;

use super::bucket::{self, Bucket};
use super::proxy::Proxy;
use super::registry::Registry;
use super::{Environment, assert_same, done, iris, refused, text, unfinished};

/// Enough for the questions before, and not for the artifact.
const ANSWER_BYTES: i64 = 3 << 20;

fn breaks_off_and_goes_on(place: &str, environment: &Environment, proxy: &Proxy) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("iris.wasm");
    let pull = ["pull", place, "-o", text(&output)];
    refused(&pull, environment, "pull again to go on from there");
    assert!(!output.exists());
    let left = unfinished(folder.path());
    let partial = left.first().expect("something is kept");
    let kept = fs::metadata(partial).unwrap().len();
    assert!(kept > 1 << 20, "{kept}");
    proxy.mend();
    proxy.asked();
    done(&pull, environment);
    let asked = proxy.asked();
    assert!(asked.contains(&format!("range: bytes={kept}-")), "{asked}");
    assert_same(&iris(), &output);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    fs::remove_file(&output).unwrap();
    starts_over_where_what_is_kept_is_no_beginning(&pull, &output, environment, partial);
}

fn starts_over_where_what_is_kept_is_no_beginning(
    pull: &[&str],
    output: &Path,
    environment: &Environment,
    partial: &Path,
) {
    for garbage in [vec![7; 1000], vec![7; 20 << 20]] {
        fs::write(partial, garbage).unwrap();
        done(pull, environment);
        assert_same(&iris(), output);
        fs::remove_file(output).unwrap();
    }
}

#[test]
fn a_pull_from_s3_that_broke_off_goes_on() {
    let Some(bucket) = Bucket::start() else {
        return;
    };
    let place = "s3://models/iris/1";
    done(&["push", text(&iris()), place], &bucket.environment());
    let proxy = Proxy::start(&bucket.address, ANSWER_BYTES);
    breaks_off_and_goes_on(place, &bucket::environment(&proxy.address), &proxy);
}

#[test]
fn a_pull_from_a_registry_that_broke_off_goes_on() {
    let Some(registry) = Registry::start() else {
        return;
    };
    done(&["push", text(&iris()), &registry.place("iris:1")], &vec![]);
    let proxy = Proxy::start(&registry.address, ANSWER_BYTES);
    let place = format!("oci://{}/iris:1", proxy.address);
    breaks_off_and_goes_on(&place, &vec![], &proxy);
}

#[test]
fn a_push_that_broke_off_left_nothing_to_pull_and_is_done_again() {
    let Some(bucket) = Bucket::start() else {
        return;
    };
    let place = "s3://models/iris/1";
    let (iris, other) = (iris(), super::digits());
    // The artifact is refused, after its digest was written.
    let proxy = Proxy::start(&bucket.address, 1 << 20);
    proxy.cut_at("uploads");
    let push = ["push", text(&iris), place];
    refused(
        &push,
        &bucket::environment(&proxy.address),
        "cannot be reached",
    );
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("iris.wasm");
    let pull = ["pull", place, "-o", text(&output)];
    refused(&pull, &bucket.environment(), "there is no modelet at");
    let taken = "a version is never overwritten";
    refused(&["push", text(&other), place], &bucket.environment(), taken);
    done(&push, &bucket.environment());
    done(&pull, &bucket.environment());
    assert_same(&iris, &output);
}
