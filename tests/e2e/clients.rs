//! Clients that people already use, unmodified, against a running server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built;
use crate::server::Server;

#[test]
fn tritonclient_over_http() {
    check("triton_http.py");
}

#[test]
fn tritonclient_over_grpc() {
    check("triton_grpc.py");
}

#[test]
fn tritonclient_with_every_datatype() {
    let models = [built::for_tests("identity"), built::for_tests("simple")];
    if let [Some(identity), Some(simple)] = models {
        check_with("triton_datatypes.py", &[&identity, &simple]);
    }
}

#[test]
fn kserve_over_rest_and_grpc() {
    check("kserve_both.py");
}

#[test]
fn the_protocols_own_grpc_stubs() {
    check("oip_grpc.py");
}

#[test]
fn the_client_generated_from_the_protocols_openapi_document() {
    check("oip_openapi.py");
}

/// Requests made up from the OpenAPI document. That valid ones are accepted is not checked: the
/// document cannot know which tensors a model takes.
#[test]
fn requests_generated_from_the_openapi_document() {
    let Some(schemathesis) = installed("schemathesis") else {
        return;
    };
    let server = Server::start(&[&built::modelet("iris")]);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(schemathesis)
        .args([
            "run",
            "--no-color",
            "--generation-deterministic",
            "--max-examples",
            "15",
        ])
        .args(["--exclude-checks", "positive_data_acceptance", "--url"])
        .arg(format!("http://{}", server.address))
        .arg(root().join("docs/open-inference.yaml"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("Tested: 9"), "{said}");
}

/// Pipelines over texts with texts for labels: what ONNX Runtime answered is in the zoo.
#[test]
fn texts_in_every_form_there_is() {
    let slugs = [
        "columntransformer-imputing-one-hot-logisticregression-text-labels-zipmap-off",
        "tfidfvectorizer-and-logisticregression",
    ];
    let Some(modelets) = slugs
        .iter()
        .map(|slug| built::of_zoo(slug))
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let modelets: Vec<&Path> = modelets.iter().map(PathBuf::as_path).collect();
    let zoo = root().join("target/zoo");
    let arguments: Vec<&str> = std::iter::once(zoo.to_str().unwrap())
        .chain(slugs)
        .collect();
    check_asking("texts.py", &modelets, &arguments);
}

fn check(script: &str) {
    check_with(script, &[&built::modelet("iris")]);
}

/// Runs a script of `tests/clients`; it prints a line for each call and fails if one of them did.
fn check_with(script: &str, modelets: &[&Path]) {
    check_asking(script, modelets, &[]);
}

/// With what the script wants to know beside the server's address.
fn check_asking(script: &str, modelets: &[&Path], arguments: &[&str]) {
    let Some(python) = installed("python") else {
        return;
    };
    let server = Server::start(modelets);
    let output = Command::new(python)
        .arg(root().join("tests/clients").join(script))
        .arg(&server.address)
        .args(arguments)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    println!("{stdout}");
    assert!(
        stdout.contains("ok "),
        "{script} checked nothing: {stdout}{stderr}"
    );
    assert!(output.status.success(), "{script}:\n{stdout}{stderr}");
}

/// A program of the tests' virtual environment, or nothing, said, where there is none.
fn installed(program: &str) -> Option<PathBuf> {
    let path = root().join("target/python/tests/bin").join(program);
    if path.exists() {
        return Some(path);
    }
    built::skip(&format!(
        "{} is missing; `cargo xtask test` makes it",
        path.display()
    ));
    None
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
