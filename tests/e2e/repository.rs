//! Models come, are replaced and go while they are being asked.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::built;
use crate::server::Server;

const SETTINGS: &str = "[repository]\npoll = \"50ms\"\n";

const ROW: &str =
    r#"{"inputs":[{"name":"X","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}"#;

/// In one step, as a deployment should.
fn put(repository: &Path, place: &str, artifact: &Path) {
    let place = repository.join(place).join("model.wasm");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let unfinished = place.with_extension("unfinished");
    fs::copy(artifact, &unfinished).unwrap();
    fs::rename(unfinished, place).unwrap();
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::yield_now();
    }
}

fn entry(server: &Server, name: &str, version: &str) -> Value {
    let index = server.post("/v2/repository/index", "").json();
    let found = index
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == name && entry["version"] == version);
    found.cloned().unwrap_or(Value::Null)
}

#[test]
fn guards_look_at_outputs_that_nobody_asked_for() {
    let repository = tempfile::tempdir().unwrap();
    put(repository.path(), "iris/1", &built::modelet("iris"));
    let spec = repository.path().join("iris/model.toml");
    let label = ROW.replacen('{', r#"{"outputs":[{"name":"label"}],"#, 1);
    fs::write(
        &spec,
        "guards.conditions = [\"max(outputs.probabilities) > 2\"]",
    )
    .unwrap();
    let server = Server::with_settings(&[repository.path()], SETTINGS);
    let refused = server.post("/v2/models/iris/infer", &label);
    refused.check_error(500, "kept back");
    fs::write(
        &spec,
        "guards.conditions = [\"max(outputs.probabilities) > 0.5\"]",
    )
    .unwrap();
    wait_for("the other condition", || {
        server.post("/v2/models/iris/infer", &label).status == 200
    });
    let outputs = server.post("/v2/models/iris/infer", &label).json()["outputs"].clone();
    assert_eq!(outputs.as_array().unwrap().len(), 1, "{outputs}");
    assert_eq!(outputs[0]["name"], "label");
}

#[test]
fn versions_change_under_load_without_a_failure() {
    let repository = tempfile::tempdir().unwrap();
    let iris = built::modelet("iris");
    put(repository.path(), "iris/1", &iris);
    let server = Server::with_settings(&[repository.path()], SETTINGS);
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let answer = server.post("/v2/models/iris/infer", ROW);
                    assert_eq!(
                        answer.status,
                        200,
                        "{}",
                        String::from_utf8_lossy(&answer.body)
                    );
                    assert_eq!(answer.json()["outputs"][0]["data"][0], 0);
                    asked.fetch_add(1, Relaxed);
                }
            });
        }
        put(repository.path(), "iris/2", &iris);
        wait_for("version 2", || {
            entry(&server, "iris", "2")["state"] == "READY"
        });
        wait_for("its turn", || {
            server.post("/v2/models/iris/infer", ROW).json()["model_version"] == "2"
        });
        put(repository.path(), "iris/2", &iris);
        fs::remove_dir_all(repository.path().join("iris/1")).unwrap();
        wait_for("the end of version 1", || {
            entry(&server, "iris", "1").is_null()
        });
        let before = asked.load(Relaxed);
        wait_for("more requests", || asked.load(Relaxed) > before + 20);
        stop.store(true, Relaxed);
    });
    server
        .get("/v2/models/iris/versions/1")
        .check_error(404, "has no version `1`");
}

#[test]
fn a_broken_replacement_leaves_the_old_one_in_service_and_says_why() {
    let repository = tempfile::tempdir().unwrap();
    put(repository.path(), "iris/1", &built::modelet("iris"));
    let server = Server::with_settings(&[repository.path()], SETTINGS);
    fs::write(repository.path().join("iris/1/model.wasm"), "half a file").unwrap();
    wait_for("the reason", || {
        entry(&server, "iris", "1")["reason"]
            .as_str()
            .unwrap_or_default()
            .contains("not a WebAssembly file")
    });
    assert_eq!(entry(&server, "iris", "1")["state"], "READY");
    assert_eq!(server.post("/v2/models/iris/infer", ROW).status, 200);
}

#[test]
fn an_artifact_that_imports_is_refused_by_the_imports_name() {
    let repository = tempfile::tempdir().unwrap();
    let artifact = repository.path().join("clock.wasm");
    let text = r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#;
    fs::write(&artifact, wat::parse_str(text).unwrap()).unwrap();
    put(repository.path(), "clock/1", &artifact);
    let server = Server::with_settings(&[repository.path()], SETTINGS);
    let found = entry(&server, "clock", "1");
    assert_eq!(found["state"], "UNAVAILABLE");
    assert!(
        found["reason"]
            .as_str()
            .unwrap()
            .contains("wasi:clocks/wall-clock@0.2.0"),
        "{found}"
    );
    server
        .post("/v2/models/clock/infer", ROW)
        .check_error(503, "wasi:clocks/wall-clock@0.2.0");
}

#[test]
fn links_are_followed_and_a_bad_spec_is_told() {
    let repository = tempfile::tempdir().unwrap();
    fs::create_dir_all(repository.path().join("iris/1")).unwrap();
    symlink(
        built::modelet("iris"),
        repository.path().join("iris/1/model.wasm"),
    )
    .unwrap();
    fs::create_dir_all(repository.path().join("other/1")).unwrap();
    symlink(
        built::modelet("iris"),
        repository.path().join("other/1/model.wasm"),
    )
    .unwrap();
    fs::write(
        repository.path().join("other/model.toml"),
        "[limits]\ntimeuot = \"1s\"",
    )
    .unwrap();
    let server = Server::with_settings(&[repository.path()], SETTINGS);
    assert_eq!(server.post("/v2/models/iris/infer", ROW).status, 200);
    server
        .post("/v2/models/other/infer", ROW)
        .check_error(503, "timeuot");
}

#[test]
fn a_model_is_unloaded_and_loaded_on_request() {
    let server = Server::with_settings(&[&built::modelet("iris")], SETTINGS);
    assert_eq!(
        server.post("/v2/repository/models/iris/unload", "").status,
        200
    );
    server
        .post("/v2/models/iris/infer", ROW)
        .check_error(503, "it was unloaded");
    assert_eq!(entry(&server, "iris", "1")["state"], "UNAVAILABLE");
    assert_eq!(
        server.post("/v2/repository/models/iris/load", "{}").status,
        200
    );
    assert_eq!(server.post("/v2/models/iris/infer", ROW).status, 200);
    server
        .post("/v2/repository/models/none/load", "{}")
        .check_error(404, "no model `none`");
    server
        .post("/v2/repository/models/none/unload", "{}")
        .check_error(404, "no model `none`");
    server
        .post(
            "/v2/repository/models/iris/load",
            r#"{"parameters":{"config":"{}"}}"#,
        )
        .check_error(501, "parameter `config` is not supported");
}

#[test]
fn a_cache_entry_that_this_host_did_not_write_is_not_trusted() {
    let cache = tempfile::tempdir().unwrap();
    let iris = built::modelet("iris");
    let start = || run_with_cache(&iris, cache.path());
    start();
    let entries = compiled(cache.path());
    assert_eq!(entries.len(), 2, "code and memory: {entries:?}");
    for entry in entries {
        let good = fs::read(&entry).unwrap();
        for damage in [0, 40, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[damage] ^= 1;
            fs::write(&entry, bad).unwrap();
            start();
            assert!(
                fs::read(&entry).unwrap() == good,
                "byte {damage} was not put right"
            );
        }
        fs::write(&entry, &good[..10]).unwrap();
        start();
        assert!(
            fs::read(&entry).unwrap() == good,
            "the short entry was not put right"
        );
    }
}

#[test]
fn a_server_that_is_told_to_stop_answers_what_it_has_begun() {
    let server = Server::start(&[&built::modelet("iris")]);
    let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "POST /v2/models/iris/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        ROW.len()
    );
    use std::io::{Read as _, Write as _};
    stream.write_all(head.as_bytes()).unwrap();
    // The server asks for the body: the request has begun.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&ROW.as_bytes()[..10]).unwrap();
    server.terminate_later();
    wait_for("the end of listening", || {
        std::net::TcpStream::connect(&server.address).is_err()
    });
    stream.write_all(&ROW.as_bytes()[10..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(server.terminate());
}

#[test]
fn the_engine_is_compiled_once_for_all_models() {
    let cache = tempfile::tempdir().unwrap();
    run_with_cache(&built::modelet("iris"), cache.path());
    let before = compiled(cache.path());
    let size = |entry: &&PathBuf| fs::metadata(entry).unwrap().len();
    let code = before.iter().max_by_key(size).unwrap();
    // What is written anew is another file.
    let written = || fs::metadata(code).unwrap().ino();
    let first = written();
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/iris/model.onnx");
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.wasm");
    built::build(&onnx, &other, &["--input", "X=FP32[N,4]"]);
    run_with_cache(&other, cache.path());
    let after = compiled(cache.path());
    let new: Vec<_> = after
        .iter()
        .filter(|entry| !before.contains(entry))
        .collect();
    assert!(
        new.iter().all(|entry| size(entry) < size(&code)),
        "{after:?}"
    );
    assert_eq!(written(), first);
}

/// Asks `modelet` for one row.
fn run_with_cache(modelet: &Path, cache: &Path) {
    let request = cache.join("request.json");
    fs::write(&request, ROW).unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_modelet"))
        .arg("run")
        .arg(modelet)
        .arg("--input")
        .arg(request)
        .arg("--cache")
        .arg(cache)
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

/// What a cache holds of compiled code.
fn compiled(cache: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(cache)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    all.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "cwasm")
    })
    .collect()
}
