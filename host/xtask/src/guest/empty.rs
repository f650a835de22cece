//! What fills the slots of a gateway that no modelet is put into.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use crate::process::root;

/// Writes a component that has a modelet's contract and traps when it is called.
pub fn write(component: &Path) -> Result<()> {
    let contract = root().join("guest/wit");
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(&contract)
        .context("guest/wit cannot be read")?;
    let world = resolve.select_world(&[package], Some("modelet"))?;
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let bytes = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .context("the contract does not make a component")?;
    // Untouched where nothing changed: what is built with it is built anew otherwise.
    if fs::read(component).is_ok_and(|written| written == bytes) {
        return Ok(());
    }
    fs::write(component, bytes)
        .with_context(|| format!("{} cannot be written", component.display()))
}
