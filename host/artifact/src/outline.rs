//! Where the two core modules of a modelet lie, for a host whose WebAssembly knows no components.
//!
//! Such a host starts the modules itself and calls the contract by its canonical ABI, so what the
//! component says of them is checked to be what every modelet says.

use std::ops::Range;

use wasmparser::{CanonicalFunction, CanonicalOption, Chunk, Parser, Payload};

use crate::inspect::{Invalid, Outside};
use crate::metadata::Metadata;

/// What is read at first; more only where a section is larger.
const WINDOW_BYTES: u64 = 1 << 16;

/// Of one section beside the modules: all of them together are some kilobytes.
const SECTION_LIMIT_BYTES: u64 = 16 << 20;

/// A modelet's metadata, and where its modules are, in bytes from the beginning of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    pub metadata: Metadata,
    /// The memory and what it holds.
    pub memory: Range<u64>,
    /// The code, which imports the memory.
    pub code: Range<u64>,
}

/// Reads a file of `size_bytes` through `read`, which gives the bytes of a range that lies in the file.
/// What is in the modules is not looked at.
pub fn outline(
    size_bytes: u64,
    mut read: impl FnMut(Range<u64>) -> Vec<u8>,
) -> Result<Outline, Invalid> {
    let mut outside = Outside::default();
    let mut modules = Vec::new();
    let mut parser = Parser::new(0);
    let (mut at, mut window) = (0, WINDOW_BYTES);
    while at < size_bytes {
        let end = size_bytes.min(at + window);
        let bytes = read(at..end);
        if at == 0 && !bytes.starts_with(b"\0asm") {
            return Err(Invalid::NotWasm);
        }
        match parser.parse(&bytes, end == size_bytes)? {
            Chunk::NeedMoreData(_) if window >= SECTION_LIMIT_BYTES => {
                return Err(Invalid::Outline("a section is too large"));
            }
            Chunk::NeedMoreData(_) => window *= 2,
            Chunk::Parsed { consumed, payload } => {
                at += consumed as u64;
                window = WINDOW_BYTES;
                if let Some(inside) = visit(&mut outside, payload)? {
                    at = inside.range.end;
                    modules.extend(inside.is_module.then_some(inside.range));
                }
            }
        }
    }
    if at != size_bytes {
        return Err(Invalid::Outline("something inside ends after the file"));
    }
    let metadata = outside.metadata()?;
    let [memory, code] = modules
        .try_into()
        .map_err(|_| Invalid::Outline("it has another number of modules than two"))?;
    Ok(Outline {
        metadata,
        memory,
        code,
    })
}

/// A module or component inside of the component.
struct Inside {
    is_module: bool,
    range: Range<u64>,
}

fn visit(outside: &mut Outside, payload: Payload<'_>) -> Result<Option<Inside>, Invalid> {
    let inside = |is_module, range: &Range<usize>| Inside {
        is_module,
        range: range.start as u64..range.end as u64,
    };
    match &payload {
        Payload::ModuleSection {
            unchecked_range, ..
        } => return Ok(Some(inside(true, unchecked_range))),
        Payload::ComponentSection {
            unchecked_range, ..
        } => return Ok(Some(inside(false, unchecked_range))),
        Payload::ComponentCanonicalSection(functions) => {
            for function in functions.clone() {
                check(&function?)?;
            }
        }
        _ => {}
    }
    outside.visit(payload)?;
    Ok(None)
}

/// Strings in UTF-8 and calls that return: the one form of the ABI that such a host speaks.
fn check(function: &CanonicalFunction) -> Result<(), Invalid> {
    let CanonicalFunction::Lift { options, .. } = function else {
        return Err(Invalid::Outline("it does more than to lift its functions"));
    };
    let known = options.iter().all(|option| {
        matches!(
            option,
            CanonicalOption::UTF8
                | CanonicalOption::Memory(_)
                | CanonicalOption::Realloc(_)
                | CanonicalOption::PostReturn(_)
        )
    });
    match known {
        true => Ok(()),
        false => Err(Invalid::Outline("its functions are lifted in another way")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use modelet_protocol::Signature;

    use super::*;
    use crate::{embed, inspect};

    /// A component of the modelet's form, with `options` in its lift.
    fn component(options: &str) -> Vec<u8> {
        let text = format!(
            r#"(component
                (core module $memory (memory (export "memory") 1))
                (core instance $m (instantiate $memory))
                (core module $code (import "memory" "memory" (memory 1))
                    (func (export "run") (param i32 i32) (result i32) unreachable)
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
                (core instance $c (instantiate $code (with "memory" (instance $m))))
                (alias core export $m "memory" (core memory $memory))
                (func $run (param "text" string) (result string) (canon lift (core func $c "run")
                    (memory $memory) (realloc (core func $c "realloc")) {options}))
                (component $shim (import "run" (func $run (param "text" string) (result string)))
                    (export "run" (func $run)))
                (instance $shim (instantiate $shim (with "run" (func $run))))
                (export "modelet:model/inference@0.1.0" (instance $shim)))"#
        );
        let metadata = Metadata {
            name: "m".to_owned(),
            version: None,
            labels: BTreeMap::new(),
            signature: Signature::default(),
            source_sha256: String::new(),
            engine: String::new(),
            tool: String::new(),
            panic_message_address: 0,
        };
        embed(&wat::parse_str(text).unwrap(), &metadata)
    }

    fn of(bytes: &[u8]) -> Result<Outline, String> {
        let read = |range: Range<u64>| bytes[range.start as usize..range.end as usize].to_vec();
        outline(bytes.len() as u64, read).map_err(|error| error.to_string())
    }

    #[test]
    fn the_modules_are_found_where_they_are() {
        let bytes = component("");
        let Outline {
            metadata,
            memory,
            code,
        } = of(&bytes).unwrap();
        assert_eq!(metadata, inspect(&bytes).unwrap().metadata);
        for range in [memory, code] {
            let module = &bytes[range.start as usize..range.end as usize];
            wasmparser::Validator::new().validate_all(module).unwrap();
        }
    }

    #[test]
    fn another_string_encoding_is_refused() {
        let error = of(&component("string-encoding=utf16")).unwrap_err();
        assert!(error.contains("lifted in another way"), "{error}");
    }

    #[test]
    fn what_is_no_modelet_is_refused_as_by_inspect() {
        for text in ["(module)", "(component)"] {
            let bytes = wat::parse_str(text).unwrap();
            let inspected = inspect(&bytes).unwrap_err().to_string();
            assert_eq!(of(&bytes).unwrap_err(), inspected);
        }
        assert!(
            of(b"<html>")
                .unwrap_err()
                .contains("not a WebAssembly file")
        );
        assert!(of(b"").is_err());
    }

    #[test]
    fn no_cut_is_a_panic_or_a_modelet() {
        let bytes = component("");
        for end in 0..bytes.len() {
            assert!(of(&bytes[..end]).is_err(), "{end}");
        }
    }
}
