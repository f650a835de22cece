//! Finds the engine that `cargo xtask guest` builds and hands its path to `include_bytes!`.

use std::path::Path;

fn main() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest/engine.wasm");
    println!("cargo::rerun-if-changed={}", engine.display());
    if engine.exists() {
        println!("cargo::rustc-env=MODELET_ENGINE={}", engine.display());
    } else {
        println!("cargo::error=the guest engine is not built yet: run `cargo xtask guest` first");
    }
}
