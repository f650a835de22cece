//! Finds the browser's host that `cargo xtask guest` builds, and writes the JavaScript that it is called by.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use wasm_bindgen_cli_support::Bindgen;

const MODULE: &str = "../../target/guest/wasm32-unknown-unknown/browser/modelet_browser.wasm";

fn main() -> Result<()> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join(MODULE);
    println!("cargo::rerun-if-changed={}", module.display());
    if !module.exists() {
        println!("cargo::error=the browser's host is not built yet: run `cargo xtask guest` first");
        return Ok(());
    }
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
