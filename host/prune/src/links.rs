//! What refers to what in a linked module: functions, static data, and the places of vtables.

mod dispatch;
mod read;

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

pub use dispatch::Dispatch;

/// All functions and static data of a module, and what each of them refers to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Links {
    pub functions: Vec<Function>,
    /// By address, without overlaps.
    pub data: Vec<Data>,
    /// The number of the first function in the table.
    pub table_start: u32,
    /// Functions by their number, from the first on.
    pub table: Vec<u32>,
    /// Exported functions with their names.
    pub exports: Vec<(String, u32)>,
    /// Runs all constructors, once, before anything else.
    pub constructors: Option<u32>,
    /// The addresses of static data. The stack lies before them, the heap behind.
    pub statics: Range<u32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Function {
    pub ty: u32,
    pub calls: BTreeSet<u32>,
    /// Whose numbers in the table it knows.
    pub functions: BTreeSet<u32>,
    pub data: BTreeSet<u32>,
    pub dispatches: BTreeSet<Dispatch>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Data {
    pub address: u32,
    pub size: u32,
    pub is_vtable: bool,
    /// What it holds may have changed since the module was linked.
    pub is_mutable: bool,
    /// Functions, by the place that holds their number.
    pub functions: Vec<(u32, u32)>,
    pub data: BTreeSet<u32>,
}

impl Data {
    /// Whether it holds addresses or functions, or did when it was last written to.
    pub fn may_refer(&self) -> bool {
        self.is_mutable || !self.functions.is_empty() || !self.data.is_empty()
    }
}

impl Links {
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_allocvec(self).context("links cannot be written")
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Links> {
        postcard::from_bytes(bytes).context("these are not links")
    }

    /// Functions whose number something other than a vtable knows, so that it may be anywhere in memory.
    pub fn numbered(&self) -> BTreeSet<u32> {
        let in_code = self
            .functions
            .iter()
            .flat_map(|function| &function.functions);
        let plain = self.data.iter().filter(|data| !data.is_vtable);
        let in_data = plain.flat_map(|data| data.functions.iter().map(|(_, function)| function));
        in_code.chain(in_data).copied().collect()
    }

    /// The function that has this `number` in the table.
    pub fn function_at(&self, number: u32) -> Option<u32> {
        let index = number.checked_sub(self.table_start)?;
        self.table.get(index as usize).copied()
    }

    /// The data that `address` points into.
    pub fn data_at(&self, address: u32) -> Option<u32> {
        let index = self
            .data
            .partition_point(|data| data.address <= address)
            .checked_sub(1)?;
        let data = &self.data[index];
        (address - data.address < data.size).then_some(index as u32)
    }
}
