//! Takes out of a modelet what none of its calls can reach.
//!
//! Most of an engine is there to read models and to prepare them, and most of the rest for operations that one
//! model does not have. [`Links`] are what refers to what in an engine; they are read once, from what
//! the engine's linker leaves. With them and the memory that holds the prepared model, [`prune`] finds what calls
//! can still reach.
//!
//! Absences: nothing is run; nothing that stays is moved in memory or in the table.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod cut;
mod heap;
mod linked;
mod links;
mod number;
mod reach;

use anyhow::Result;
use wasm_encoder::Module;

pub use links::Links;
pub use number::number;

/// The module `code` without what its exports, as far as `is_called` holds for them, cannot reach in an instance whose
/// memory is `memory` between two calls. There, too, what is out of reach is zeroed.
pub fn prune(
    code: &[u8],
    memory: &mut [u8],
    links: &Links,
    is_called: impl Fn(&str) -> bool,
) -> Result<Module> {
    let reach = reach::Reach::new(links, memory, is_called);
    let (functions, data, unused) = (reach.functions, reach.data, reach.heap.unused());
    cut::memory(memory, links, &data, &unused);
    cut::code(code, links, &functions)
}
