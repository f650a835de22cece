//! Takes out what is out of reach.

use std::ops::Range;

use anyhow::{Result, anyhow};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, ConstExpr, ElementSection, Elements, FunctionSection, Module};
use wasmparser::{
    CustomSectionReader, ElementSectionReader, FunctionBody, FunctionSectionReader, Parser,
};

use crate::links::Links;
use crate::reach::Kept;

/// The body of a function that nothing calls.
const UNREACHABLE: [u8; 3] = [0x00, 0x00, 0x0b];

/// The body of a function that has nothing to do any more.
const NOTHING: [u8; 2] = [0x00, 0x0b];

/// Functions before this one have indices of one byte, others below 2^14 of two. They keep them, so that what calls
/// them is as long in all modelets: compilers take positions into account when they look for what they
/// know.
const ONE_BYTE: usize = 128;

/// Code without functions out of reach. The others keep their numbers in the table, where nothing takes
/// the places of those that go.
pub fn code(module: &[u8], links: &Links, reached: &[bool]) -> Result<Module> {
    let mut stays = reached.to_vec();
    stays
        .iter_mut()
        .take(ONE_BYTE)
        .for_each(|stays| *stays = true);
    let exported = links.exports.iter().map(|(_, function)| function);
    for function in exported.chain(&links.constructors) {
        stays[*function as usize] = true;
    }
    let mut cut = Cut {
        links,
        reached,
        indices: indices(&stays),
        next: 0,
    };
    let mut smaller = Module::new();
    cut.parse_core_module(&mut smaller, Parser::new(0), module)
        .map_err(|error| anyhow!("the engine's code cannot be cut: {error}"))?;
    Ok(smaller)
}

/// Memory with zeros for static data out of reach, for what is `unused` of the heap, and for what calls left on the stack.
pub fn memory(memory: &mut [u8], links: &Links, kept: &[Kept], unused: &[Range<u32>]) {
    memory[..links.statics.start as usize].fill(0);
    for (data, kept) in links.data.iter().zip(kept) {
        if *kept == Kept::Nothing {
            memory[data.address as usize..][..data.size as usize].fill(0);
        }
    }
    for block in unused {
        memory[block.start as usize..block.end as usize].fill(0);
    }
}

/// Where each function is among those that stay.
fn indices(stays: &[bool]) -> Vec<Option<u32>> {
    let mut next = 0..;
    stays
        .iter()
        .map(|stays| stays.then(|| next.next()).flatten())
        .collect()
}

struct Cut<'a> {
    links: &'a Links,
    reached: &'a [bool],
    /// The new index of each function that stays.
    indices: Vec<Option<u32>>,
    /// The function whose body comes next.
    next: usize,
}

impl Reencode for Cut<'_> {
    type Error = &'static str;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<&'static str>> {
        let index = self.indices.get(function as usize).copied().flatten();
        index.ok_or(Error::UserError(
            "something in reach calls a function that is not",
        ))
    }

    /// Names would be those of functions that are gone.
    fn parse_custom_section(
        &mut self,
        _: &mut Module,
        _: CustomSectionReader<'_>,
    ) -> Result<(), Error<&'static str>> {
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<&'static str>> {
        for (ty, index) in section.into_iter().zip(&self.indices) {
            let ty = ty?;
            if index.is_some() {
                functions.function(ty);
            }
        }
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error<&'static str>> {
        let index = self.next;
        self.next += 1;
        if self.reached[index] {
            return utils::parse_function_body(self, code, body);
        }
        if self.links.constructors == Some(index as u32) {
            code.raw(&NOTHING);
        } else if self.indices[index].is_some() {
            code.raw(&UNREACHABLE);
        }
        Ok(())
    }

    fn parse_element_section(
        &mut self,
        elements: &mut ElementSection,
        _: ElementSectionReader<'_>,
    ) -> Result<(), Error<&'static str>> {
        let stays = |function: &u32| self.reached[*function as usize];
        let mut number = self.links.table_start;
        for run in self
            .links
            .table
            .chunk_by(|one, next| stays(one) == stays(next))
        {
            if stays(&run[0]) {
                let functions = run.iter().map(|function| self.indices[*function as usize]);
                let functions: Vec<u32> = functions.flatten().collect();
                let at = ConstExpr::i32_const(number as i32);
                elements.active(None, &at, Elements::Functions(functions.into()));
            }
            number += run.len() as u32;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_calls_what_it_called() {
        let module = wat::parse_str(
            r#"(module (memory (export "memory") 1) (table 5 funcref) (elem (i32.const 1) $unused $called $gone $also)
                 (func $unused) (func $called) (func $gone (call $unused)) (func $constructors (call $gone)) (func $also)
                 (func (export "infer") (call $constructors) (call $called))
                 (func (export "load") (call $gone)))"#,
        );
        let links = Links {
            table_start: 1,
            table: vec![0, 1, 2, 4],
            exports: vec![("infer".to_owned(), 5), ("load".to_owned(), 6)],
            constructors: Some(3),
            ..Links::default()
        };
        let reached = [false, true, false, false, true, true, false];
        let cut = code(&module.unwrap(), &links, &reached).unwrap();
        let wanted = wat::parse_str(
            r#"(module (memory (export "memory") 1) (table 5 funcref)
                 (elem (i32.const 2) func $called) (elem (i32.const 4) func $also)
                 (func $unused unreachable) (func $called) (func $gone unreachable) (func $constructors) (func $also)
                 (func (export "infer") (call $constructors) (call $called))
                 (func (export "load") unreachable))"#,
        );

        assert_eq!(sections(&cut.finish()), sections(&wanted.unwrap()));
    }

    /// All but names.
    fn sections(module: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let sections = Parser::new(0)
            .parse_all(module)
            .filter_map(|payload| payload.unwrap().as_section());
        sections
            .filter(|(id, _)| *id != 0)
            .map(|(id, range)| (id, module[range].to_vec()))
            .collect()
    }
}
