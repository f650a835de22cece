//! Gives functions the numbers in the table that are least like other numbers.
//!
//! In memory nothing tells the number of a function from any other number. Only functions outside of
//! vtables are looked for there; they get large numbers that sizes and counts seldom are, and that are no
//! head of an allocation: those hold its size, which is a multiple of eight, and two flags.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use wasm_encoder::Encode as _;
use wasmparser::RelocationType;

use crate::linked::{Linked, Symbol};
use crate::links::Links;

/// The same module, with functions under other numbers.
pub fn number(mut module: Vec<u8>) -> Result<Vec<u8>> {
    let table = order(&Links::read(&module)?);
    let linked = Linked::read(&module)?;
    let numbers: BTreeMap<u32, u32> = table.iter().copied().zip(linked.table_start..).collect();
    let mut patches = vec![(linked.table_end, encoded(&table, &linked.table)?)];
    for (position, entry) in linked
        .code_relocations
        .iter()
        .chain(&linked.data_relocations)
    {
        let Symbol::Function(function) = linked.symbols[entry.index as usize] else {
            continue;
        };
        let number = || {
            let number = numbers.get(&function).copied();
            number.context("a function whose number is known is not in the table")
        };
        let bytes = match entry.ty {
            RelocationType::TableIndexSleb => padded(number()?).to_vec(),
            RelocationType::TableIndexI32 => number()?.to_le_bytes().to_vec(),
            _ => continue,
        };
        patches.push((position + bytes.len(), bytes));
    }
    drop(linked);
    for (end, bytes) in patches {
        module[end - bytes.len()..end].copy_from_slice(&bytes);
    }
    Ok(module)
}

/// All functions of the table, those that are looked for in memory at its numbers of the seldom kind, from
/// its end.
fn order(links: &Links) -> Vec<u32> {
    let numbered = links.numbered();
    let (sought, mut others): (Vec<u32>, Vec<u32>) = links
        .table
        .iter()
        .partition(|function| numbered.contains(function));
    let mut table = links.table.clone();
    let mut sought = sought.into_iter();
    for (index, place) in table.iter_mut().enumerate().rev() {
        let next = match (links.table_start as usize + index) % 8 {
            5 | 7 => sought.next().or_else(|| others.pop()),
            _ => others.pop().or_else(|| sought.next()),
        };
        // There are as many as there are places.
        *place = next.unwrap_or(*place);
    }
    table
}

/// The table as its section holds it, which is as long as it was.
fn encoded(table: &[u32], before: &[u32]) -> Result<Vec<u8>> {
    let encode = |functions: &[u32]| {
        let mut bytes = Vec::new();
        functions
            .iter()
            .for_each(|function| function.encode(&mut bytes));
        bytes
    };
    let bytes = encode(table);
    ensure!(
        bytes.len() == encode(before).len(),
        "the table has another length"
    );
    Ok(bytes)
}

/// As a linker writes numbers that it may change later.
fn padded(number: u32) -> [u8; 5] {
    [0, 7, 14, 21, 28].map(|shift| {
        let more = if shift < 28 { 0x80 } else { 0 };
        (number >> shift) as u8 & 0x7f | more
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::Function;

    #[test]
    fn functions_that_are_looked_for_have_seldom_numbers() {
        let mut links = Links {
            table_start: 1,
            table: (0..100).collect(),
            functions: (0..100).map(|_| Function::default()).collect(),
            ..Links::default()
        };
        links.functions[0].functions.extend([3, 50, 99]);
        let table = order(&links);
        let number = |function| 1 + table.iter().position(|at| *at == function).unwrap();
        for function in [3, 50, 99] {
            assert!(number(function) > 80 && matches!(number(function) % 8, 5 | 7));
        }
        let mut all = table.clone();
        all.sort_unstable();
        assert_eq!(all, links.table);
    }

    #[test]
    fn a_padded_number_is_read_as_itself() {
        for number in [0, 1, 63, 64, 8191, 8192, 1 << 20, i32::MAX as u32] {
            let bytes = padded(number);
            let mut reader = wasmparser::BinaryReader::new(&bytes, 0);
            assert_eq!(reader.read_var_i32().unwrap(), number as i32);
            assert!(reader.eof());
        }
    }
}
