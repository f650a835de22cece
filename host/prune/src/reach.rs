//! What a call can reach.
//!
//! Everything that is not certainly out of reach counts as in reach. A function calls what it names. What it calls
//! indirectly is some function of the type that it calls with: one whose number in the table is known to
//! something in reach, or a method in a vtable in reach, at the place that it loads its function from.
//! Memory is looked at word by word, and each word that could be an address or a number is one. Of the heap only
//! blocks count that something in reach could point to.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::Range;

use crate::heap::Heap;
use crate::links::{Data, Dispatch, Links};

/// Functions, static data and blocks of the heap that are in reach.
pub struct Reach<'a> {
    links: &'a Links,
    memory: &'a [u8],
    pub functions: Vec<bool>,
    pub data: Vec<Kept>,
    pub heap: Blocks,
    open: Vec<Item>,
    calls: BTreeMap<u32, Calls>,
    /// Functions whose number may be anywhere in memory.
    numbered: BTreeSet<u32>,
}

/// How much of static data or of a block is in reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    Nothing,
    Bytes,
    /// And what they refer to.
    Whole,
}

/// A heap, and how much of its blocks is in reach.
pub struct Blocks {
    heap: Heap,
    kept: Vec<Kept>,
}

impl Blocks {
    /// What is in use and out of reach.
    pub fn unused(&self) -> Vec<Range<u32>> {
        let blocks = self.heap.blocks().iter().zip(&self.kept);
        blocks
            .filter(|(_, kept)| **kept == Kept::Nothing)
            .map(|(block, _)| block.clone())
            .collect()
    }
}

enum Item {
    Function(u32),
    Data(u32),
    Block(u32),
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
        let heap = Heap::read(memory, links.statics.end);
        let mut reach = Reach {
            links,
            memory,
            functions: vec![false; links.functions.len()],
            data: vec![Kept::Nothing; links.data.len()],
            heap: Blocks {
                kept: vec![Kept::Nothing; heap.blocks().len()],
                heap,
            },
            open: Vec::new(),
            calls: BTreeMap::new(),
            numbered: links.numbered(),
        };
        for (name, function) in &links.exports {
            if is_called(name) {
                reach.function(*function);
            }
        }
        if reach.heap.heap.is_whole() {
            reach.block(0);
        }
        while let Some(item) = reach.open.pop() {
            match item {
                Item::Function(index) => reach.follow_function(index),
                Item::Data(index) => reach.follow_data(&links.data[index as usize]),
                Item::Block(index) => {
                    let block = reach.heap.heap.blocks()[index as usize].clone();
                    reach.words(block.start, block.end);
                }
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

    fn block(&mut self, index: u32) {
        if mem::replace(&mut self.heap.kept[index as usize], Kept::Whole) != Kept::Whole {
            self.open.push(Item::Block(index));
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
        for word in memory
            .get(start..end as usize)
            .unwrap_or_default()
            .chunks_exact(4)
        {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            if self.links.statics.contains(&word) {
                self.address(word);
            } else if let Some(block) = self.heap.heap.block_at(word) {
                self.pointer(word, block);
            } else if let Some(function) = self.links.function_at(word)
                && self.numbered.contains(&function)
            {
                self.number(function);
            }
        }
    }

    /// A word that could be an address in a block of the heap. Who points between its words does not take other
    /// pointers from it.
    fn pointer(&mut self, address: u32, block: u32) {
        if address.is_multiple_of(4) {
            self.block(block);
        } else {
            let kept = &mut self.heap.kept[block as usize];
            *kept = Kept::Bytes.max(*kept);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::Function;

    const METHOD: u32 = 0;
    const OTHER: u32 = 1;

    /// A function of type `ty` that knows nothing.
    fn function(ty: u32) -> Function {
        Function {
            ty,
            ..Function::default()
        }
    }

    /// Functions 0 to 5. The export calls what is at place 12 of a vtable; functions 2 and 3 are at 12 and 16 of
    /// one at address 32, and functions 4 and 5 have the numbers 104 and 105, which function 1 knows.
    fn links() -> Links {
        let mut links = Links {
            functions: [OTHER, OTHER, METHOD, METHOD, METHOD, OTHER]
                .map(function)
                .into(),
            table_start: 100,
            table: (0..6).collect(),
            exports: vec![("infer".to_owned(), 0), ("load".to_owned(), 1)],
            statics: 32..64,
            ..Links::default()
        };
        links.functions[0].dispatches.insert((Some(12), METHOD));
        links.functions[1].functions.extend([4, 5]);
        links.data.push(Data {
            address: 32,
            size: 20,
            is_vtable: true,
            functions: vec![(12, 2), (16, 3)],
            ..Data::default()
        });
        links.data.push(Data {
            address: 56,
            size: 8,
            functions: vec![(0, 5)],
            ..Data::default()
        });
        links
    }

    /// The functions that `infer` reaches when these words are on the heap.
    fn reached(links: &Links, heap: &[u32]) -> Vec<usize> {
        let mut memory = vec![0; 64];
        memory.extend(heap.iter().flat_map(|word| word.to_le_bytes()));
        let reach = Reach::new(links, &memory, |name| name == "infer");
        (0..links.functions.len())
            .filter(|index| reach.functions[*index])
            .collect()
    }

    #[test]
    fn a_method_is_in_reach_with_its_vtable_if_somebody_calls_its_place() {
        assert_eq!(reached(&links(), &[]), [0]);
        assert_eq!(reached(&links(), &[32]), [0, 2]);
        // Nothing points into a vtable.
        assert_eq!(reached(&links(), &[36]), [0]);
    }

    #[test]
    fn a_call_from_anywhere_calls_every_method_of_its_type() {
        let mut links = links();
        links.functions[0].dispatches.insert((None, METHOD));
        assert_eq!(reached(&links, &[32]), [0, 2, 3]);
    }

    #[test]
    fn a_number_in_memory_is_a_function_if_somebody_calls_its_type() {
        assert_eq!(reached(&links(), &[104]), [0, 4]);
        assert_eq!(reached(&links(), &[105]), [0]);
        // No function outside of vtables has this number.
        assert_eq!(reached(&links(), &[103]), [0]);
    }

    #[test]
    fn functions_come_with_the_data_that_holds_them() {
        let mut links = links();
        links.functions[0].dispatches.insert((None, OTHER));
        assert_eq!(reached(&links, &[56]), [0, 5]);
        links.functions[0].data.insert(1);
        assert_eq!(reached(&links, &[]), [0, 5]);
    }

    #[test]
    fn who_points_between_words_keeps_the_bytes_alone() {
        let mut links = links();
        links.functions[0].dispatches.insert((None, OTHER));
        assert_eq!(reached(&links, &[57]), [0]);
        let memory = [vec![0; 64], vec![57, 0, 0, 0]].concat();
        let reach = Reach::new(&links, &memory, |name| name == "infer");
        assert_eq!(reach.data, [Kept::Nothing, Kept::Bytes]);
    }

    #[test]
    fn what_may_have_changed_is_looked_at_where_it_lies() {
        let mut links = links();
        links.data[1].is_mutable = true;
        links.functions[0].data.insert(1);
        let mut memory = vec![0; 64];
        memory[60..].copy_from_slice(&32u32.to_le_bytes());
        let reach = Reach::new(&links, &memory, |name| name == "infer");
        assert!(reach.functions[2]);
    }

    /// Two blocks, of which one is in reach if a static refers to it; the other has the number of a function.
    #[test]
    fn blocks_of_the_heap_are_in_reach_if_something_points_to_them() {
        const PAGE: u32 = 1 << 16;
        let mut links = links();
        links.functions[0].dispatches.insert((None, OTHER));
        links.functions[0].data.insert(1);
        links.data[1].functions.clear();
        links.data[1].is_mutable = true;
        let reached = |pointer: u32| {
            let mut memory = vec![0; 2 * PAGE as usize];
            let mut put = |at: u32, word: u32| {
                memory[at as usize..at as usize + 4].copy_from_slice(&word.to_le_bytes());
            };
            put(56, pointer);
            put(PAGE + 4, 24 | 3);
            put(PAGE + 8, PAGE + 24 + 8);
            put(PAGE + 24 + 4, (PAGE - 24) | 3);
            put(PAGE + 24 + 16, 105);
            let reach = Reach::new(&links, &memory, |name| name == "infer");
            (reach.functions[5], reach.heap.unused().len())
        };
        assert_eq!(reached(0), (false, 2));
        assert_eq!(reached(PAGE + 24 + 12), (true, 1));
        // Between its words, where no pointers lie.
        assert_eq!(reached(PAGE + 24 + 13), (false, 1));
        // From one to the other.
        assert_eq!(reached(PAGE + 8), (true, 0));
    }

    #[test]
    fn constructors_have_run() {
        let mut links = links();
        links.constructors = Some(5);
        links.functions[0].calls.extend([2, 5]);
        assert_eq!(reached(&links, &[]), [0, 2]);
    }
}
