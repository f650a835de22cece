//! What a call can reach.
//!
//! Everything that is not certainly out of reach counts as in reach. A function calls what it names. What it calls
//! indirectly is some function of the type that it calls with: one whose number in the table is known to
//! something in reach, or a method in a vtable in reach, at the place that it loads its function from.
//! Memory is looked at word by word, and each word that could be an address or a number is one.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::links::{Data, Dispatch, Links};

/// Functions and static data that are in reach.
pub struct Reach<'a> {
    links: &'a Links,
    memory: &'a [u8],
    pub functions: Vec<bool>,
    pub data: Vec<Kept>,
    open: Vec<Item>,
    calls: BTreeMap<u32, Calls>,
    /// Functions whose number may be anywhere in memory.
    numbered: BTreeSet<u32>,
}

/// How much of static data is in reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    Nothing,
    Bytes,
    /// And what they refer to.
    Whole,
}

enum Item {
    Function(u32),
    Data(u32),
}

/// Indirect calls of one type, and who waits for one.
#[derive(Default)]
struct Calls {
    happen: bool,
    from_anywhere: bool,
    /// Where they load their functions from.
    places: BTreeSet<u32>,
    /// Functions that only wait for a call of their type.
    functions: Vec<u32>,
    /// Functions in vtables, with their places.
    methods: Vec<(u32, u32)>,
}

impl<'a> Reach<'a> {
    /// What the exports for which `is_called` holds can reach in an instance whose memory is `memory`.
    pub fn new(links: &'a Links, memory: &'a [u8], is_called: impl Fn(&str) -> bool) -> Reach<'a> {
        let mut reach = Reach {
            links,
            memory,
            functions: vec![false; links.functions.len()],
            data: vec![Kept::Nothing; links.data.len()],
            open: Vec::new(),
            calls: BTreeMap::new(),
            numbered: links.numbered(),
        };
        for (name, function) in &links.exports {
            if is_called(name) {
                reach.function(*function);
            }
        }
        reach.words(links.statics.end, memory.len() as u32);
        while let Some(item) = reach.open.pop() {
            match item {
                Item::Function(index) => reach.follow_function(index),
                Item::Data(index) => reach.follow_data(&links.data[index as usize]),
            }
        }
        reach
    }

    fn follow_function(&mut self, index: u32) {
        let function = &self.links.functions[index as usize];
        for &called in &function.calls {
            self.function(called);
        }
        for &known in &function.functions {
            self.number(known);
        }
        for &data in &function.data {
            self.data(data);
        }
        for &dispatch in &function.dispatches {
            self.dispatch(dispatch);
        }
    }

    fn follow_data(&mut self, data: &Data) {
        for &other in &data.data {
            self.data(other);
        }
        for &(place, function) in &data.functions {
            if data.is_vtable {
                self.method(place, function);
            } else {
                self.number(function);
            }
        }
        if data.is_mutable {
            self.words(data.address, data.address + data.size);
        }
    }

    fn function(&mut self, index: u32) {
        // The constructors have run, whoever calls them.
        if self.links.constructors == Some(index) {
            return;
        }
        if !mem::replace(&mut self.functions[index as usize], true) {
            self.open.push(Item::Function(index));
        }
    }

    fn data(&mut self, index: u32) {
        if mem::replace(&mut self.data[index as usize], Kept::Whole) != Kept::Whole {
            self.open.push(Item::Data(index));
        }
    }

    fn calls(&mut self, function: u32) -> &mut Calls {
        let ty = self.links.functions[function as usize].ty;
        self.calls.entry(ty).or_default()
    }

    /// The number of a function is known.
    fn number(&mut self, function: u32) {
        let calls = self.calls(function);
        if calls.happen {
            self.function(function);
        } else {
            calls.functions.push(function);
        }
    }

    /// A function is in a vtable in reach.
    fn method(&mut self, place: u32, function: u32) {
        let calls = self.calls(function);
        if calls.from_anywhere || calls.places.contains(&place) {
            self.function(function);
        } else {
            calls.methods.push((place, function));
        }
    }

    fn dispatch(&mut self, (place, ty): Dispatch) {
        let calls = self.calls.entry(ty).or_default();
        calls.happen = true;
        let mut called = mem::take(&mut calls.functions);
        match place {
            None => {
                calls.from_anywhere = true;
                called.extend(calls.methods.drain(..).map(|(_, function)| function));
            }
            Some(place) => {
                if calls.places.insert(place) {
                    let here = calls.methods.extract_if(.., |(at, _)| *at == place);
                    called.extend(here.map(|(_, function)| function));
                }
            }
        }
        for function in called {
            self.function(function);
        }
    }

    /// What the words of a part of the memory could refer to.
    fn words(&mut self, start: u32, end: u32) {
        let memory = self.memory;
        let start = start.next_multiple_of(4) as usize;
        for word in memory.get(start..end as usize).unwrap_or_default().chunks_exact(4) {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            if self.links.statics.contains(&word) {
                self.address(word);
            } else if let Some(function) = self.links.function_at(word)
                && self.numbered.contains(&function)
            {
                self.number(function);
            }
        }
    }

    /// A word that could be the address of static data. Nobody keeps a pointer into a vtable; and who points
    /// between the words of something does not take other pointers from it.
    fn address(&mut self, address: u32) {
        let Some(index) = self.links.data_at(address) else {
            return;
        };
        let data = &self.links.data[index as usize];
        match data.is_vtable {
            true if address != data.address => {}
            false if !address.is_multiple_of(4) && data.may_refer() => {
                let kept = &mut self.data[index as usize];
                *kept = Kept::Bytes.max(*kept);
            }
            _ => self.data(index),
        }
    }
}
