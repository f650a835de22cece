//! The blocks of a heap, as dlmalloc keeps them, which is Rust's allocator in WebAssembly.
//!
//! A block has its size before it, and two flags: whether it is in use, and whether the one before is. So blocks are found one
//! after the other. Pages that are taken later lie behind those that are there.

use std::iter;
use std::ops::Range;

const PAGE_BYTES: u32 = 1 << 16;
const FLAGS: u32 = 7;
const IN_USE: u32 = 2;
const WORD_BYTES: u32 = 4;
/// What lies before a block of its own: a word that belongs to the block before, and its size.
const HEAD_BYTES: u32 = 8;
const SMALLEST: u32 = 16;

pub struct Heap {
    /// What is in use, by address.
    blocks: Vec<Range<u32>>,
    /// Somebody else keeps it: then there is one block, and all of it is in use.
    is_whole: bool,
}

impl Heap {
    /// Of a memory whose static data ends at `statics_end`.
    pub fn read(memory: &[u8], statics_end: u32) -> Heap {
        match blocks(memory, statics_end) {
            Some(blocks) => Heap {
                blocks,
                is_whole: false,
            },
            None => Heap {
                blocks: iter::once(statics_end..memory.len() as u32).collect(),
                is_whole: true,
            },
        }
    }

    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub fn blocks(&self) -> &[Range<u32>] {
        &self.blocks
    }

    /// The block that `address` points into. Its last word counts as the beginning of the next one's head, where the
    /// allocator points to: nobody has a block who points to its end alone.
    pub fn block_at(&self, address: u32) -> Option<u32> {
        let index = self
            .blocks
            .partition_point(|block| block.start <= address)
            .checked_sub(1)?;
        (address < self.blocks[index].end - WORD_BYTES).then_some(index as u32)
    }
}

fn blocks(memory: &[u8], statics_end: u32) -> Option<Vec<Range<u32>>> {
    let end = u32::try_from(memory.len()).ok()?;
    let mut blocks = Vec::new();
    let mut at = statics_end.next_multiple_of(PAGE_BYTES);
    while at < end {
        let head = memory.get(at as usize + 4..at as usize + 8)?;
        let head = u32::from_le_bytes(head.try_into().ok()?);
        let size = head & !FLAGS;
        let next = at.checked_add(size).filter(|next| *next <= end)?;
        if size < SMALLEST {
            return None;
        }
        if head & IN_USE != 0 {
            // The first word of the next one's head is the last of this one.
            blocks.push(at + HEAD_BYTES..(next + WORD_BYTES).min(end));
        }
        at = next;
    }
    (at == end).then_some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of statics, and one with blocks of these sizes and flags.
    fn memory(heads: &[(u32, u32)]) -> Vec<u8> {
        let mut memory = vec![0; 2 * PAGE_BYTES as usize];
        let mut at = PAGE_BYTES as usize;
        for (size, flags) in heads {
            memory[at + 4..at + 8].copy_from_slice(&(size | flags).to_le_bytes());
            at += *size as usize;
        }
        memory
    }

    #[test]
    fn blocks_in_use_are_found_one_after_the_other() {
        let memory = memory(&[(24, 3), (48, 1), (PAGE_BYTES - 72, 2)]);
        let heap = Heap::read(&memory, 100);
        assert!(!heap.is_whole());
        let (first, last) = (PAGE_BYTES, PAGE_BYTES + 72);
        assert_eq!(
            heap.blocks(),
            [first + 8..first + 28, last + 8..2 * PAGE_BYTES]
        );
        assert_eq!(heap.block_at(first + 7), None);
        assert_eq!(heap.block_at(first + 8), Some(0));
        assert_eq!(heap.block_at(first + 23), Some(0));
        assert_eq!(heap.block_at(first + 24), None);
        assert_eq!(heap.block_at(last + 8), Some(1));
    }

    #[test]
    fn what_somebody_else_keeps_is_one_block() {
        for heads in [&[(24, 3), (8, 3)][..], &[(24, 3), (PAGE_BYTES, 3)], &[]] {
            let heap = Heap::read(&memory(heads), 100);
            assert!(heap.is_whole());
            assert_eq!(heap.blocks().first(), Some(&(100..2 * PAGE_BYTES)));
            assert_eq!(heap.blocks().len(), 1);
        }
    }
}
