//! Clients that people already use, unmodified, against a running server.

use std::path::Path;
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
fn kserve_over_rest_and_grpc() {
    check("kserve_both.py");
}

/// Runs a script of `tests/clients`; it prints a line for each call and fails if one of them did.
fn check(script: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/python/tests/bin/python");
    if !python.exists() {
        let reason = format!(
            "{script}: {} is missing; `cargo xtask test` makes it",
            python.display()
        );
        return built::skip(&reason);
    }
    let server = Server::start(&[&built::modelet("iris")]);
    let output = Command::new(python)
        .arg(root.join("tests/clients").join(script))
        .arg(&server.address)
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{stdout}");
    assert!(
        stdout.contains("ok "),
        "{script} checked nothing: {stdout}{stderr}"
    );
    assert!(output.status.success(), "{script}:\n{stdout}{stderr}");
}
