//! Who may reach whom, asserted over what cargo resolves.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::process::Command;

/// A crate and what must not be found anywhere below it, with the reason: crates, or `CRATE/FEATURE`.
struct Rule {
    package: &'static str,
    never: &'static [&'static str],
    because: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        package: "modelet-policy",
        never: &[
            "async-std",
            "chrono",
            "fastrand",
            "getrandom",
            "hyper",
            "rand",
            "rand_core",
            "rayon",
            "time",
            "tokio",
            "tracing",
            "uuid",
            "wasmtime",
            "modelet-runtime",
            "modelet-server",
            "modelet-store",
        ],
        because: "the same trace of events gives the same decisions on every host",
    },
    Rule {
        package: "modelet-protocol",
        never: &[
            "hyper",
            "tokio",
            "tract-onnx",
            "wasmtime",
            "modelet-runtime",
            "modelet-server",
        ],
        because: "the protocol is plain values, also inside a browser",
    },
    Rule {
        package: "modelet-prune",
        never: &["hyper", "tokio", "tract-onnx", "wasmtime"],
        because: "what a modelet needs is found by reading, and nothing is run",
    },
    Rule {
        package: "modelet-artifact",
        never: &[
            "hyper",
            "tokio",
            "tract-onnx",
            "wasmtime",
            "modelet-runtime",
            "modelet-server",
        ],
        because: "a modelet is inspected without being run",
    },
    Rule {
        package: "modelet-runtime",
        never: &[
            "axum",
            "cranelift-codegen",
            "hyper",
            "tonic",
            "tract-onnx",
            "wasmtime-internal-cranelift",
            "modelet-compiler",
            "modelet-policy",
            "modelet-server",
            "modelet-store",
        ],
        because: "running a model decides nothing, serves nobody and compiles nothing",
    },
    Rule {
        package: "modelet-compiler",
        never: &[
            "axum",
            "hyper",
            "tokio",
            "tonic",
            "tract-onnx",
            "modelet-policy",
            "modelet-server",
            "modelet-store",
        ],
        because: "compiling a model decides nothing and serves nobody",
    },
    Rule {
        package: "modelet-admin",
        never: &[
            "axum",
            "hyper",
            "tokio",
            "wasmtime",
            "modelet-runtime",
            "modelet-server",
            "modelet-store",
        ],
        because: "what is shown and taken is plain values, also inside Spin",
    },
    Rule {
        package: "modelet-device",
        never: &[
            "axum",
            "cranelift-codegen",
            "h2",
            "object_store",
            "rusqlite",
            "sqlx",
            "tonic",
            "tract-onnx",
            "wasmtime-internal-cranelift",
            "modelet-builder",
            "modelet-compiler",
            "modelet-server",
            "modelet-store",
        ],
        because: "what runs on a small device neither compiles nor keeps a database",
    },
    Rule {
        package: "modelet-builder",
        never: &[
            "axum",
            "hyper",
            "tonic",
            "tract-onnx",
            "modelet-policy",
            "modelet-server",
            "modelet-store",
        ],
        because: "the builder returns bytes and facts; tract runs only inside the guest",
    },
    Rule {
        package: "modelet-store",
        never: &[
            "axum",
            "hyper/server",
            "tonic",
            "wasmtime",
            "modelet-runtime",
            "modelet-server",
        ],
        because: "artifacts are fetched, looked at and kept; nothing in them is run, and nobody is served",
    },
    Rule {
        package: "modelet-server",
        never: &["clap", "tract-onnx", "modelet-builder"],
        because: "a server neither compiles ONNX nor parses a command line",
    },
    Rule {
        package: "modelet-engine",
        never: &[
            "tokio",
            "wasmtime",
            "modelet-policy",
            "modelet-runtime",
            "modelet-server",
        ],
        because: "the guest imports nothing and decides nothing",
    },
    Rule {
        package: "modelet-kernels",
        never: &[
            "modelet-engine",
            "modelet-operators",
            "tract-core",
            "wasmtime",
            "wit-bindgen",
        ],
        because: "arithmetic knows neither models nor hosts",
    },
    Rule {
        package: "modelet-browser",
        never: &[
            "getrandom",
            "hyper",
            "tokio",
            "tract-onnx",
            "wasmtime",
            "modelet-builder",
            "modelet-runtime",
            "modelet-server",
            "modelet-store",
        ],
        because: "a page has its own WebAssembly, and what it downloads is small",
    },
    Rule {
        package: "modelet-gateway",
        never: &[
            "getrandom",
            "hyper",
            "tokio",
            "tract-onnx",
            "wasmtime",
            "modelet-artifact",
            "modelet-builder",
            "modelet-runtime",
            "modelet-server",
            "modelet-store",
        ],
        because: "inside Spin the host runs the modelets, and the gateway only decides",
    },
    Rule {
        package: "modelet-bundle",
        never: &[
            "axum",
            "clap",
            "hyper/server",
            "wasmtime",
            "modelet-builder",
            "modelet-runtime",
            "modelet-server",
        ],
        because: "a bundle is files that were checked, and nothing is run to make it",
    },
    Rule {
        package: "xtask",
        never: &[
            "clap",
            "tokio",
            "tract-onnx",
            "wasmtime",
            "modelet-builder",
            "modelet-runtime",
        ],
        because: "set-up compiles in seconds and comes before everything else",
    },
];

#[test]
fn no_crate_reaches_what_it_must_not() {
    let broken: Vec<String> = RULES.iter().flat_map(violations).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// Without this, a rule over a list that came back empty would hold.
#[test]
fn what_a_crate_does_reach_is_seen() {
    let reached = reached_by("modelet-server");
    for expected in [
        "cranelift-codegen",
        "modelet-policy",
        "modelet-runtime",
        "hyper/server",
        "tokio",
        "wasmtime",
        "wasmtime-internal-cranelift",
    ] {
        assert!(
            reached.contains(expected),
            "{expected} is not in {reached:?}"
        );
    }
}

fn violations(rule: &Rule) -> Vec<String> {
    let reached = reached_by(rule.package);
    rule.never
        .iter()
        .filter(|never| reached.contains(**never))
        .map(|never| {
            let Rule {
                package, because, ..
            } = rule;
            format!(
                "{package} reaches {never}, and must not: {because}\n  \
                 see `cargo tree -e normal -p {package} -i {never}`"
            )
        })
        .collect()
}

/// The names of every crate below `package`, itself included, and of their features.
fn reached_by(package: &str) -> BTreeSet<String> {
    let target: &[&str] = match package {
        "modelet-browser" | "modelet-engine" | "modelet-gateway" | "modelet-kernels" => {
            &["--target", "wasm32-unknown-unknown"]
        }
        _ => &[],
    };
    let output = Command::new(env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .args([
            "tree", "--edges", "normal", "--prefix", "none", "--format", "{p} {f}",
        ])
        .args(["--package", package])
        .args(target)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .flat_map(named)
        .collect()
}

/// The crate of a line such as `hyper v1.0.0 client,http1 (*)`, and its features.
fn named(line: &str) -> Vec<String> {
    let mut words = line
        .split_whitespace()
        .filter(|word| !word.starts_with('('));
    let Some(package) = words.next() else {
        return Vec::new();
    };
    let features = words.skip(1).flat_map(|word| word.split(','));
    let features = features.map(|feature| format!("{package}/{feature}"));
    std::iter::once(package.to_owned())
        .chain(features)
        .collect()
}
