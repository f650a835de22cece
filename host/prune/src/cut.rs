//! Takes out what is out of reach. Nothing moves: functions keep their numbers and data its addresses.

use anyhow::Result;
use wasm_encoder::{CodeSection, Module, RawSection};
use wasmparser::{Parser, Payload};

use crate::links::Links;
use crate::reach::Kept;

/// The body of a function that nothing calls.
const UNREACHABLE: [u8; 3] = [0x00, 0x00, 0x0b];

/// The body of a function that has nothing to do any more.
const NOTHING: [u8; 2] = [0x00, 0x0b];

/// Code without the bodies of functions out of reach.
pub fn code(module: &[u8], links: &Links, reached: &[bool]) -> Result<Module> {
    let mut cut = Module::new();
    let mut bodies = CodeSection::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::CodeSectionStart { .. } => {}
            Payload::CodeSectionEntry(body) => {
                let index = bodies.len();
                if reached[index as usize] {
                    bodies.raw(body.as_bytes());
                } else if links.constructors == Some(index) {
                    bodies.raw(&NOTHING);
                } else {
                    bodies.raw(&UNREACHABLE);
                }
                if bodies.len() as usize == links.functions.len() {
                    cut.section(&bodies);
                }
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    let data = &module[range];
                    cut.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(cut)
}

/// Memory with zeros for static data out of reach, and for what calls left on the stack.
pub fn memory(memory: &mut [u8], links: &Links, kept: &[Kept]) {
    memory[..links.statics.start as usize].fill(0);
    for (data, kept) in links.data.iter().zip(kept) {
        if *kept == Kept::Nothing {
            memory[data.address as usize..][..data.size as usize].fill(0);
        }
    }
}
