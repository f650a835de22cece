//! Parts the engine's code from its memory.
//!
//! A modelet is this component with another memory, and without code that it does not need. Modelets of one
//! kind have the same code, byte for byte, so that a host compiles it once.

use anyhow::{Context as _, Result, bail, ensure};
use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, RoundtripReencoder};
use wasm_encoder::{
    Component, EntityType, ExportKind, ExportSection, ImportSection, InstanceSection, Module,
    ModuleArg, ModuleSection, RawSection,
};
use wasmparser::{GlobalSectionReader, Instance, Parser, Payload};

/// What the code imports, and the memory module exports.
const MEMORY: &str = "memory";

/// The component with its core module in two: first the memory and its data, then the code, which
/// imports the memory. Fails where the code keeps anything but its stack pointer outside of memory.
pub fn split(component: &[u8]) -> Result<Vec<u8>> {
    let mut split = Component::new();
    let mut splitter = Splitter { depth: 0 };
    splitter
        .parse_component(&mut split, Parser::new(0), component)
        .map_err(|error| match error {
            Error::UserError(error) => error,
            error => anyhow::anyhow!("{error}"),
        })?;
    Ok(split.finish())
}

struct Splitter {
    depth: usize,
}

impl Splitter {
    /// The memory comes before what was there.
    fn shifted(&self, index: u32) -> u32 {
        if self.depth == 0 { index + 1 } else { index }
    }
}

impl Reencode for Splitter {
    type Error = anyhow::Error;
}

impl ReencodeComponent for Splitter {
    fn push_depth(&mut self) {
        self.depth += 1;
    }

    fn pop_depth(&mut self) {
        self.depth -= 1;
    }

    fn module_index(&mut self, index: u32) -> u32 {
        self.shifted(index)
    }

    fn instance_index(&mut self, index: u32) -> u32 {
        self.shifted(index)
    }

    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        _: Parser,
        module: &[u8],
    ) -> Result<(), Error<anyhow::Error>> {
        let (memory, code) = split_module(module).map_err(Error::UserError)?;
        let mut instances = InstanceSection::new();
        instances.instantiate::<[(&str, ModuleArg); 0], _>(0, []);
        component.section(&ModuleSection(&memory));
        component.section(&instances);
        component.section(&ModuleSection(&code));
        Ok(())
    }

    fn parse_instance(
        &mut self,
        instances: &mut InstanceSection,
        instance: Instance<'_>,
    ) -> Result<(), Error<anyhow::Error>> {
        match instance {
            Instance::Instantiate {
                module_index: 0,
                args,
            } if args.is_empty() => {
                instances.instantiate(1, [(MEMORY, ModuleArg::Instance(0))]);
                Ok(())
            }
            _ => Err(Error::UserError(anyhow::anyhow!(
                "the engine is more than one module without imports"
            ))),
        }
    }
}

/// The memory with its data, and all the rest.
fn split_module(module: &[u8]) -> Result<(Module, Module)> {
    let (mut memory, mut code) = (Module::new(), Module::new());
    let import = import_memory(module)?;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::TypeSection(_) => {
                copy(&mut code, &payload, module);
                code.section(&import);
            }
            Payload::MemorySection(_) => {
                copy(&mut memory, &payload, module);
                let mut exports = ExportSection::new();
                exports.export(MEMORY, ExportKind::Memory, 0);
                memory.section(&exports);
            }
            Payload::DataSection(_) => copy(&mut memory, &payload, module),
            // Nothing is left to count.
            Payload::DataCountSection { .. } => {}
            Payload::GlobalSection(globals) => {
                check_globals(globals.clone())?;
                copy(&mut code, &payload, module);
            }
            Payload::ImportSection(_) => bail!("the engine has an import"),
            Payload::StartSection { .. } => bail!("the engine has a start function"),
            _ => copy(&mut code, &payload, module),
        }
    }
    Ok((memory, code))
}

fn import_memory(module: &[u8]) -> Result<ImportSection> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::MemorySection(memories) = payload? {
            ensure!(memories.count() == 1, "the engine has several memories");
            let memory = memories.into_iter().next().context("there is one")??;
            let memory = RoundtripReencoder.memory_type(memory)?;
            let mut imports = ImportSection::new();
            imports.import(MEMORY, MEMORY, EntityType::Memory(memory));
            return Ok(imports);
        }
    }
    bail!("the engine has no memory")
}

/// A snapshot holds the memory and nothing else. Between two calls the stack pointer is where it
/// was at first, so that one may change.
fn check_globals(globals: GlobalSectionReader<'_>) -> Result<()> {
    let globals = globals.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mutable = globals.iter().filter(|global| global.ty.mutable).count();
    ensure!(
        mutable <= 1,
        "the engine keeps state outside of its memory: {mutable} globals change"
    );
    Ok(())
}

fn copy(to: &mut Module, payload: &Payload<'_>, module: &[u8]) {
    if let Some((id, range)) = payload.as_section() {
        let data = &module[range];
        to.section(&RawSection { id, data });
    }
}
