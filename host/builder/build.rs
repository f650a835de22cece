//! Finds the engine that `cargo xtask guest` builds, and its links, and hands their paths to `include_bytes!`.

use std::path::Path;

fn main() {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest");
    for (variable, file) in [
        ("MODELET_ENGINE", "engine.wasm"),
        ("MODELET_LINKS", "engine.links"),
    ] {
        let path = guest.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        if path.exists() {
            println!("cargo::rustc-env={variable}={}", path.display());
        } else {
            println!(
                "cargo::error=the guest engine is not built yet: run `cargo xtask guest` first"
            );
        }
    }
}
