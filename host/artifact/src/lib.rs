//! What a modelet file says about itself, readable without running it.
//!
//! Absences: this crate never compiles or runs WebAssembly and reads no file; it takes bytes.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod inspect;
mod metadata;
mod outline;

pub use inspect::{CONTRACT, Facts, Invalid, inspect};
pub use metadata::{EMBED_SECTION, Metadata, embed, sha256_hex};
pub use outline::{Outline, outline};
