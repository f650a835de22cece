//! A component taken apart: its core modules, and the frame that holds them together.
//!
//! Modelets of one engine have the same frame, byte for byte, and those of one kind the same code module. They differ
//! in the module that holds their memory. Apart, what is the same is compiled and kept once.

use std::ops::Range;

use wasm_encoder::reencode::{Error, Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    Component, ComponentImportSection, ComponentSectionId, ComponentTypeRef, CoreTypeSection,
    EntityType, ModuleType, RawSection,
};
use wasmparser::types::{EntityType as Parsed, TypesRef};
use wasmparser::{Chunk, Export, Import, Parser, Payload, ValidPayload, Validator, WasmFeatures};

/// What a component is made of.
pub struct Parts<'a> {
    /// The core modules in their order.
    pub modules: Vec<Part<'a>>,
    /// The component without them: it imports the n-th under [`import_name`]`(n)`.
    pub frame: Vec<u8>,
}

pub struct Part<'a> {
    pub wasm: &'a [u8],
    /// A module without functions is a memory and its contents.
    pub has_code: bool,
}

/// Why a component cannot be taken apart.
pub type Refused = Error<String>;

/// The name under which a frame imports its n-th module.
pub fn import_name(index: usize) -> String {
    format!("module{index}")
}

/// Takes `component` apart. Modules inside of components inside stay where they are.
pub fn take_apart(component: &[u8]) -> Result<Parts<'_>, Refused> {
    let (mut modules, mut frame) = (Vec::new(), Component::new());
    let mut parser = Parser::new(0);
    let mut rest = component;
    while !rest.is_empty() {
        let Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? else {
            return Err(refused("it ends early"));
        };
        rest = &rest[consumed..];
        match payload {
            Payload::ModuleSection {
                unchecked_range, ..
            } => {
                let wasm = inner(&mut rest, unchecked_range)?;
                let (module, has_code) = describe(wasm)?;
                import(&mut frame, modules.len(), &module);
                modules.push(Part { wasm, has_code });
            }
            Payload::ComponentSection {
                unchecked_range, ..
            } => {
                let data = inner(&mut rest, unchecked_range)?;
                let id = ComponentSectionId::Component as u8;
                frame.section(&RawSection { id, data });
            }
            // Each import adds a type; those after it would be called by the wrong number.
            Payload::CoreTypeSection(_) => {
                return Err(refused("it defines core types, which no modelet needs"));
            }
            // Names and metadata: nothing that runs, and different in each modelet.
            Payload::CustomSection(_) => {}
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let data = &component[range];
                    frame.section(&RawSection { id, data });
                }
            }
        }
    }
    let frame = frame.finish();
    Ok(Parts { modules, frame })
}

/// The module or component that begins `rest`, which then begins after it.
fn inner<'a>(rest: &mut &'a [u8], range: Range<usize>) -> Result<&'a [u8], Refused> {
    let (inner, after) = rest
        .split_at_checked(range.len())
        .ok_or_else(|| refused("something inside ends after it"))?;
    *rest = after;
    Ok(inner)
}

fn refused(reason: &str) -> Refused {
    Error::UserError(format!("the component cannot be taken apart: {reason}"))
}

/// Puts the import of the module with this `index` where the module was.
fn import(frame: &mut Component, index: usize, module: &ModuleType) {
    let mut types = CoreTypeSection::new();
    types.ty().module(module);
    let mut imports = ComponentImportSection::new();
    let ty = ComponentTypeRef::Module(index as u32);
    imports.import(import_name(index).as_str(), ty);
    frame.section(&types).section(&imports);
}

/// What `module` imports and exports, and whether it has functions. Their bodies are left to the
/// compiler to validate.
fn describe(module: &[u8]) -> Result<(ModuleType, bool), Refused> {
    let features = WasmFeatures::default() | WasmFeatures::RELAXED_SIMD;
    let mut validator = Validator::new_with_features(features);
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut described = ModuleType::new();
    let mut has_code = false;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let ValidPayload::End(types) = validator.payload(&payload)? {
            let types = types.as_ref();
            for import in &imports {
                let import: &Import<'_> = import;
                let entity = entity(&mut described, types, types.entity_type_from_import(import))?;
                described.import(import.module, import.name, entity);
            }
            for export in &exports {
                let export: &Export<'_> = export;
                let entity = entity(&mut described, types, types.entity_type_from_export(export))?;
                described.export(export.name, entity);
            }
        }
        match payload {
            Payload::ImportSection(section) => {
                imports = section.into_imports().collect::<Result<_, _>>()?;
            }
            Payload::ExportSection(section) => {
                exports = section.into_iter().collect::<Result<_, _>>()?;
            }
            Payload::CodeSectionStart { .. } => has_code = true,
            _ => {}
        }
    }
    Ok((described, has_code))
}

fn entity(
    described: &mut ModuleType,
    types: TypesRef<'_>,
    entity: Option<Parsed>,
) -> Result<EntityType, Refused> {
    let mut same = RoundtripReencoder;
    let unknown = |error: Error| refused(&error.to_string());
    match entity {
        Some(Parsed::Func(id)) => {
            let function = types[id].unwrap_func().clone();
            let function = same.func_type(function).map_err(unknown)?;
            let index = described.type_count();
            described.ty().func_type(&function);
            Ok(EntityType::Function(index))
        }
        Some(Parsed::Table(table)) => same
            .table_type(table)
            .map(EntityType::Table)
            .map_err(unknown),
        Some(Parsed::Memory(memory)) => same
            .memory_type(memory)
            .map(EntityType::Memory)
            .map_err(unknown),
        Some(Parsed::Global(global)) => same
            .global_type(global)
            .map(EntityType::Global)
            .map_err(unknown),
        _ => Err(refused(
            "a module shares more than functions, tables, memories and globals",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_MODULES: &str = r#"(component
        (core module $memory (memory (export "memory") 1) (data (i32.const 0) "DATA"))
        (core module $code (import "memory" "memory" (memory 1)) (func (export "run")))
        (core instance $m (instantiate $memory))
        (core instance $c (instantiate $code (with "memory" (instance $m))))
        (func (export "run") (canon lift (core func $c "run"))))"#;

    fn parts(text: &str) -> Result<(Vec<bool>, Vec<u8>), String> {
        let component = wat::parse_str(text).unwrap();
        take_apart(&component)
            .map(|parts| {
                let has_code = parts.modules.iter().map(|part| part.has_code).collect();
                (has_code, parts.frame)
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_frame_is_valid_and_does_not_know_what_is_in_its_modules() {
        let (has_code, frame) = parts(TWO_MODULES).unwrap();
        assert_eq!(has_code, [false, true]);
        Validator::new().validate_all(&frame).unwrap();
        let other = TWO_MODULES.replace("DATA", "other data");
        assert_eq!(parts(&other).unwrap().1, frame);
    }

    #[test]
    fn modules_inside_of_components_stay() {
        let (has_code, _) = parts("(component (component (core module)))").unwrap();
        assert!(has_code.is_empty());
    }

    #[test]
    fn core_types_are_refused() {
        let error = parts("(component (core type (module)))").unwrap_err();
        assert!(error.contains("core types"), "{error}");
    }

    #[test]
    fn no_cut_is_a_panic() {
        let component = wat::parse_str(TWO_MODULES).unwrap();
        for end in 0..component.len() {
            // Some cuts fall between two sections and leave a smaller component.
            let _ = take_apart(&component[..end]);
        }
    }
}
