//! Takes from the engine what its linker left in it: which parts refer to which.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use modelet_prune::Links;
use wasm_encoder::Module;
use wasm_encoder::reencode::{Error, Reencode};
use wasmparser::{CustomSectionReader, Parser};

/// Writes the links of `module` to `path`. Returns the module without them, its numbers as short as they can be:
/// a linker that keeps relocations leaves room for longer ones.
pub fn take(module: Vec<u8>, path: &Path) -> Result<Vec<u8>> {
    let module = modelet_prune::number(module)?;
    let links = Links::read(&module)?.to_bytes()?;
    fs::write(path, links).with_context(|| format!("{} cannot be written", path.display()))?;
    let mut short = Module::new();
    Shorten
        .parse_core_module(&mut short, Parser::new(0), &module)
        .map_err(|error| anyhow!("{error}"))?;
    Ok(short.finish())
}

struct Shorten;

impl Reencode for Shorten {
    type Error = std::convert::Infallible;

    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: CustomSectionReader<'_>,
    ) -> Result<(), Error> {
        let name = section.name();
        if name == "linking" || name == "name" || name.starts_with("reloc.") {
            return Ok(());
        }
        wasm_encoder::reencode::utils::parse_custom_section(self, module, section)
    }
}
