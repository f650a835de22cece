//! An allocator that clears what is freed while a model loads.
//!
//! Loading leaves several times the model's size in freed memory. Cleared, those pages are all
//! zeros, and the snapshot of the instance leaves them out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

struct Zeroing;

#[global_allocator]
static ALLOCATOR: Zeroing = Zeroing;

static ON: AtomicBool = AtomicBool::new(false);

pub fn zero_what_is_freed(on: bool) {
    ON.store(on, Relaxed);
}

// SAFETY: every call is passed to `System` under the caller's own guarantees; a block is cleared
// over its own length, before it is given back.
unsafe impl GlobalAlloc for Zeroing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe {
            if ON.load(Relaxed) {
                block.write_bytes(0, layout.size());
            }
            System.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            if !ON.load(Relaxed) {
                return System.realloc(block, layout, size);
            }
            // A block that moves must be cleared where it was, which the system's realloc cannot.
            let moved = System.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}
