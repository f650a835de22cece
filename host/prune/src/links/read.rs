//! Links, from what a linker leaves.

use anyhow::{Context as _, Result, bail, ensure};
use wasmparser::{RelocationEntry, RelocationType as Type};

use super::{Data, Function, Links, dispatch};
use crate::linked::{Linked, Symbol};

impl Links {
    /// Reads the links of a module that was linked with `--emit-relocs`.
    pub fn read(module: &[u8]) -> Result<Links> {
        let linked = Linked::read(module)?;
        let mut links = Links {
            functions: functions(&linked)?,
            data: data(&linked),
            table_start: linked.table_start,
            table: linked.table.clone(),
            exports: linked.exports.clone(),
            constructors: linked.constructors,
            statics: 0..0,
        };
        let first = links.data.first().map_or(0, |data| data.address);
        let end = links.data.last().map_or(0, |data| data.address + data.size);
        links.statics = first..end;
        ensure!(
            linked.stack_top <= first,
            "the stack does not lie before the static data"
        );
        relocate_code(&linked, &mut links)?;
        relocate_data(&linked, &mut links)?;
        for data in &mut links.data {
            data.is_vtable &= looks_like_vtable(&linked, data);
        }
        Ok(links)
    }
}

fn functions(linked: &Linked<'_>) -> Result<Vec<Function>> {
    let bodies = linked.functions.iter().zip(&linked.bodies);
    bodies
        .map(|(&ty, body)| {
            Ok(Function {
                ty,
                dispatches: dispatch::dispatches(body, ty, &linked.types, &linked.functions)?,
                ..Function::default()
            })
        })
        .collect()
}

/// By address; what overlaps is one.
fn data(linked: &Linked<'_>) -> Vec<Data> {
    let placed = |symbol: &Symbol| match *symbol {
        Symbol::Data {
            segment,
            address,
            size,
        } => Some((address, size, segment)),
        _ => None,
    };
    let mut placed: Vec<_> = linked.symbols.iter().filter_map(placed).collect();
    placed.sort_unstable();
    let mut data: Vec<Data> = Vec::new();
    for (address, size, segment) in placed {
        match data.last_mut() {
            Some(last) if address < last.address + last.size => {
                last.size = last.size.max(address + size - last.address);
                last.is_vtable = false;
            }
            // The linker puts what cannot change first.
            _ => data.push(Data {
                address,
                size,
                is_vtable: segment == 0,
                is_mutable: segment != 0,
                ..Data::default()
            }),
        }
    }
    data
}

fn relocate_code(linked: &Linked<'_>, links: &mut Links) -> Result<()> {
    let mut index = 0;
    for (position, entry) in &linked.code_relocations {
        while linked.bodies[index].range().end <= *position {
            index += 1;
        }
        match (entry.ty, linked.symbols[entry.index as usize]) {
            (Type::FunctionIndexLeb, Symbol::Function(called)) => {
                links.functions[index].calls.insert(called);
            }
            (Type::TableIndexSleb, Symbol::Function(function)) => {
                links.functions[index].functions.insert(function);
            }
            (Type::MemoryAddrLeb | Type::MemoryAddrSleb, Symbol::Data { address, .. }) => {
                if let Some(data) = refer(links, address, entry) {
                    links.functions[index].data.insert(data);
                }
            }
            // Where a segment begins or ends, which only the allocator asks.
            (Type::MemoryAddrLeb | Type::MemoryAddrSleb, Symbol::Other)
            | (Type::TypeIndexLeb | Type::GlobalIndexLeb | Type::TableNumberLeb, _) => {}
            (ty, _) => bail!("the code has a relocation {ty:?}"),
        }
    }
    Ok(())
}

fn relocate_data(linked: &Linked<'_>, links: &mut Links) -> Result<()> {
    for (position, entry) in &linked.data_relocations {
        let mut segments = linked.segments.iter();
        let address = segments.find_map(|segment| {
            let inside = position.checked_sub(segment.position)?;
            (inside < segment.data.len()).then_some(segment.address + inside as u32)
        });
        let address = address.context("a relocation is in no segment")?;
        let holder = links.data_at(address);
        let holder = holder.context("a relocation is in no symbol")? as usize;
        match (entry.ty, linked.symbols[entry.index as usize]) {
            (Type::TableIndexI32, Symbol::Function(function)) => {
                let data = &mut links.data[holder];
                data.functions.push((address - data.address, function));
            }
            (Type::MemoryAddrI32, Symbol::Data { address, .. }) => {
                if let Some(data) = refer(links, address, entry) {
                    links.data[holder].data.insert(data);
                }
            }
            (ty, _) => bail!("the data has a relocation {ty:?}"),
        }
    }
    Ok(())
}

/// The data at `address`; who points behind its beginning does not treat it as a vtable.
fn refer(links: &mut Links, address: u32, entry: &RelocationEntry) -> Option<u32> {
    let index = links.data_at(address)?;
    let data = &mut links.data[index as usize];
    data.is_vtable &= data.address == address && entry.addend == 0;
    Some(index)
}

/// What Rust puts first into each: how to drop it, if it must be; its size; its alignment.
fn looks_like_vtable(linked: &Linked<'_>, data: &Data) -> bool {
    let word = |place: u32| {
        let segment = linked.segments.first()?;
        let at = (data.address - segment.address + place) as usize;
        let bytes = segment.data.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let holds = |place: u32| data.functions.iter().any(|(at, _)| *at == place);
    data.size >= 12
        && data.size.is_multiple_of(4)
        && (holds(0) || word(0) == Some(0))
        && !holds(4)
        && !holds(8)
        && word(8).is_some_and(u32::is_power_of_two)
}
