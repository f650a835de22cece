//! What runs as WebAssembly: the engine as a component, for the builder to make modelets from, the host
//! inside a browser, and the host inside Spin.

mod empty;
mod links;
mod split;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use wit_component::ComponentEncoder;

use crate::process::{cargo, command, exists, root, run};

pub const TARGET: &str = "wasm32-unknown-unknown";

/// Compiles the hosts, compiles the engine and wraps it into `target/guest/engine.wasm`, whose path it
/// returns.
pub fn guest() -> Result<PathBuf> {
    add_target(TARGET)?;
    build("modelet-browser", "browser", &["build"], &[])?;
    let gateway = build("modelet-gateway", "browser", &["build"], &[])?;
    wrap(&gateway, "gateway", Ok, Ok)?;
    empty::write(&root().join("target/guest/empty.wasm"))?;
    // It is a library natively too. Cargo optimises across crates only where nothing but the module is
    // made of them.
    let only_module = ["rustc", "--crate-type", "cdylib"];
    let keep_links = ["--", "-C", "link-arg=--emit-relocs"];
    let engine = build("modelet-engine", "guest", &only_module, &keep_links)?;
    let take_links = |core: Vec<u8>| links::take(core, &root().join("target/guest/engine.links"));
    wrap(&engine, "engine", take_links, |whole| split::split(&whole))
}

/// Each for itself: together they would choose each other's dependencies' features.
fn build(package: &str, profile: &str, command: &[&str], more: &[&str]) -> Result<PathBuf> {
    run(cargo()
        .args(command)
        .args(["--package", package, "--lib"])
        .args(["--target", TARGET, "--profile", profile])
        .args(["--target-dir", "target/guest"])
        .args(more))?;
    let module = package.replace('-', "_");
    Ok(root().join(format!("target/guest/{TARGET}/{profile}/{module}.wasm")))
}

/// Compiles policy to WebAssembly, for the test that it decides there as it does here.
pub fn policy() -> Result<()> {
    run(cargo()
        .args(["build", "--release", "--package", "modelet-parity"])
        .args(["--target", TARGET, "--target-dir", "target/guest"]))
}

/// Compiles the kernels' test, as the engine is compiled.
pub fn kernels() -> Result<()> {
    add_target(TARGET)?;
    build("modelet-kernels-check", "guest", &["build"], &[]).map(drop)
}

/// Needs no rustup where the toolchain has the target already.
pub fn add_target(target: &str) -> Result<()> {
    let output = command("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .context("`rustc` does not start; install Rust with rustup: https://rustup.rs")?;
    if output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    {
        return Ok(());
    }
    if !exists("rustup", &["--version"]) {
        bail!(
            "this Rust has no {target} and there is no rustup to add it; install Rust with rustup \
             (https://rustup.rs) or your distribution's {target} standard library"
        );
    }
    run(command("rustup").args(["target", "add", target]))
}

fn is_newer(module: &Path, component: &Path) -> Result<bool> {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let module_changed =
        changed(module).with_context(|| format!("cargo did not write {}", module.display()))?;
    Ok(changed(component).map_or(true, |wrapped| wrapped < module_changed))
}

/// Makes a module the component `target/guest/NAME.wasm`.
fn wrap(
    module: &Path,
    name: &str,
    begin: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>,
    finish: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>,
) -> Result<PathBuf> {
    let component = root().join(format!("target/guest/{name}.wasm"));
    if !is_newer(module, &component)? {
        return Ok(component);
    }
    let core = fs::read(module).with_context(|| format!("{} is not readable", module.display()))?;
    let core = begin(core).with_context(|| format!("{} cannot be read", module.display()))?;
    let bytes = ComponentEncoder::default()
        .module(&core)
        .map(|encoder| encoder.validate(true))
        .and_then(|mut encoder| encoder.encode())
        .and_then(finish)
        .with_context(|| format!("the {name} does not make a component"))?;
    fs::write(&component, &bytes)
        .with_context(|| format!("{} cannot be written", component.display()))?;
    eprintln!(
        "wrote target/guest/{name}.wasm, {:.1} MB",
        bytes.len() as f64 / 1e6
    );
    Ok(component)
}
