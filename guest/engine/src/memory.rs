//! The allocator: quick where a call is, tidy while a model loads.
//!
//! A call of a small model is mostly allocations of small blocks, the same ones each time. When they
//! are freed they are kept by size, and given out again without a search.
//!
//! Loading leaves several times the model's size in freed memory. It is cleared, so that those pages
//! are all zeros, and the snapshot of the instance leaves them out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: Memory = Memory::new();

#[cfg(target_arch = "wasm32")]
pub fn zero_what_is_freed(on: bool) {
    ALLOCATOR.zeroing.store(on, Relaxed);
}

/// Takes the gaps that loading left between what it keeps, for good: large ones at one time, as the size of each block
/// stands before it. What is free afterwards is one room, where a call has its tensors: a host that puts written memory
/// back as it was instead of unmapping it does so for few regions, from the first on.
#[cfg(target_arch = "wasm32")]
pub fn fill_gaps(largest: usize) {
    const PAGE_BYTES: usize = 1 << 16;
    const LEAST: usize = 16 << 10;
    let end = core::arch::wasm32::memory_size(0).saturating_mul(PAGE_BYTES);
    let mut size = largest;
    while size >= LEAST {
        // SAFETY: its size is not zero; it is given back as it was taken.
        unsafe {
            let layout = Layout::from_size_align_unchecked(size, NATURAL_ALIGNMENT);
            let block = System.alloc(layout);
            if block.is_null() {
                size /= 2;
            } else if (block as usize).saturating_add(size) > end {
                // There was no gap, and memory has grown.
                System.dealloc(block, layout);
                size /= 2;
            }
        }
    }
}

/// Sizes of blocks that are kept: multiples of this, also what they are aligned to.
const STEP: usize = 16;

const SIZES: usize = 32;

/// What the system gives without being asked for more.
const NATURAL_ALIGNMENT: usize = 8;

/// For one thread.
struct Memory {
    zeroing: AtomicBool,
    /// The first free block of each size, which begins with the address of the next. Those of the
    /// natural alignment, and those of twice that, which is what vectors want.
    kept: [[AtomicPtr<u8>; SIZES]; 2],
}

impl Memory {
    const fn new() -> Memory {
        Memory {
            zeroing: AtomicBool::new(false),
            kept: [const { [const { AtomicPtr::new(null_mut()) }; SIZES] }; 2],
        }
    }

    /// Where blocks like this are kept, and what all of them are like. The same for each block
    /// whenever it is asked, so that no block is given out for a larger one.
    #[inline(always)]
    fn place(&self, layout: Layout) -> Option<(&AtomicPtr<u8>, Layout)> {
        if layout.size() == 0 || layout.size() > SIZES * STEP || layout.align() > STEP {
            return None;
        }
        let steps = layout.size().div_ceil(STEP);
        let is_wide = layout.align() > NATURAL_ALIGNMENT;
        let align = if is_wide { STEP } else { NATURAL_ALIGNMENT };
        // SAFETY: a power of two, and a size far from the largest.
        let whole = unsafe { Layout::from_size_align_unchecked(steps * STEP, align) };
        Some((&self.kept[usize::from(is_wide)][steps - 1], whole))
    }
}

// SAFETY: every block is the system's, of the size and alignment asked for or of more. It is given to
// one caller at a time: one that is kept was freed, and leaves the list when it is given out. A block
// is cleared over its own length, before it is given back.
unsafe impl GlobalAlloc for Memory {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((first, whole)) = self.place(layout) else {
            return unsafe { System.alloc(layout) };
        };
        let block = first.load(Relaxed);
        if block.is_null() {
            return unsafe { System.alloc(whole) };
        }
        first.store(unsafe { block.cast::<*mut u8>().read() }, Relaxed);
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.place(layout).is_none() {
            return unsafe { System.alloc_zeroed(layout) };
        }
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (first, whole) = match self.place(layout) {
            Some((first, whole)) => (Some(first), whole),
            None => (None, layout),
        };
        if self.zeroing.load(Relaxed) {
            unsafe {
                block.write_bytes(0, whole.size());
                System.dealloc(block, whole);
            }
        } else if let Some(first) = first {
            unsafe { block.cast::<*mut u8>().write(first.load(Relaxed)) };
            first.store(block, Relaxed);
        } else {
            unsafe { System.dealloc(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's guarantee.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let (before, after) = (self.place(layout), self.place(wanted));
        match (before, after) {
            (Some((_, before)), Some((_, after))) if before == after => return block,
            // A block that moves must be cleared where it was, which the system's realloc cannot.
            (None, None) if !self.zeroing.load(Relaxed) => {
                return unsafe { System.realloc(block, layout, size) };
            }
            _ => {}
        }
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    struct Block {
        start: *mut u8,
        layout: Layout,
        mark: u8,
    }

    impl Block {
        fn bytes(&self) -> &[u8] {
            // SAFETY: it was allocated with this size, and `mark` was written to all of it.
            unsafe { std::slice::from_raw_parts(self.start, self.layout.size()) }
        }

        fn assert_whole(&self) {
            assert_eq!(self.start.align_offset(self.layout.align()), 0);
            assert!(self.bytes().iter().all(|byte| *byte == self.mark));
        }
    }

    fn layout(draw: u32) -> Layout {
        let sizes = [1, 8, 15, 16, 17, 100, 500, 511, 512, 513, 2000];
        let aligns = [1, 4, 8, 16, 32];
        let size = sizes[(draw >> 8) as usize % sizes.len()];
        Layout::from_size_align(size, aligns[(draw >> 16) as usize % aligns.len()]).unwrap()
    }

    /// As calls do, and in between as loading does: what is in use stays as it was written.
    #[test]
    fn no_two_blocks_share_memory() {
        let memory = Memory::new();
        let mut blocks: Vec<Block> = vec![];
        let mut draw = 1u32;
        for step in 0..200_000u32 {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            memory.zeroing.store(step % 1000 < 100, Relaxed);
            let layout = layout(draw);
            let chosen = (draw >> 20) as usize % blocks.len().max(1);
            // SAFETY: each block is freed once, with the layout it has.
            unsafe {
                if blocks.len() < 50 || draw >> 31 == 0 && blocks.len() < 300 {
                    let start = match step % 2 {
                        0 => memory.alloc(layout),
                        _ => memory.alloc_zeroed(layout),
                    };
                    let mark = if step % 2 == 0 { step as u8 } else { 0 };
                    if step % 2 == 0 {
                        start.write_bytes(mark, layout.size());
                    }
                    blocks.push(Block {
                        start,
                        layout,
                        mark,
                    });
                    blocks.last().unwrap().assert_whole();
                } else if draw >> 30 & 1 == 0 {
                    let block = blocks.swap_remove(chosen);
                    block.assert_whole();
                    memory.dealloc(block.start, block.layout);
                } else {
                    let block = &mut blocks[chosen];
                    block.assert_whole();
                    let size = layout.size();
                    let kept = size.min(block.layout.size());
                    block.start = memory.realloc(block.start, block.layout, size);
                    block.layout = Layout::from_size_align(size, block.layout.align()).unwrap();
                    block.start.add(kept).write_bytes(block.mark, size - kept);
                    block.assert_whole();
                }
            }
        }
        for block in blocks {
            block.assert_whole();
            // SAFETY: as above.
            unsafe { memory.dealloc(block.start, block.layout) };
        }
    }

    #[test]
    fn a_freed_block_is_the_next_of_its_size() {
        let memory = Memory::new();
        let (small, other) = (
            Layout::from_size_align(20, 4).unwrap(),
            Layout::from_size_align(40, 4).unwrap(),
        );
        // SAFETY: each block is freed once, with the layout it has.
        unsafe {
            let first = memory.alloc(small);
            memory.dealloc(first, small);
            let second = memory.alloc(other);
            assert_ne!(first, second);
            let third = memory.alloc(Layout::from_size_align(32, 8).unwrap());
            assert_eq!(first, third);
            memory.dealloc(second, other);
            memory.dealloc(third, small);
        }
    }
}
