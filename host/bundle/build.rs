//! Finds the hosts that `cargo xtask guest` builds, and writes the JavaScript that the browser's is called by.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use wasm_bindgen_cli_support::Bindgen;

const GUEST: &str = "../../target/guest";
const MODULE: &str = "wasm32-unknown-unknown/browser/modelet_browser.wasm";

fn main() -> Result<()> {
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join(GUEST);
    let module = guest.join(MODULE);
    let (gateway, empty) = (guest.join("gateway.wasm"), guest.join("empty.wasm"));
    for file in [&module, &gateway, &empty] {
        println!("cargo::rerun-if-changed={}", file.display());
        if !file.exists() {
            println!("cargo::error=the hosts are not built yet: run `cargo xtask guest` first");
            return Ok(());
        }
    }
    println!("cargo::rustc-env=MODELET_GATEWAY={}", gateway.display());
    println!("cargo::rustc-env=MODELET_EMPTY={}", empty.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    Bindgen::new()
        .input_path(&module)
        .out_name("host")
        .web(true)?
        .typescript(false)
        .omit_default_module_path(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&out)
        .with_context(|| format!("{} gives no bindings", module.display()))
}
