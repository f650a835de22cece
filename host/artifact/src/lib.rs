//! What a modelet file says about itself, readable without running it.
//!
//! Absences: this crate never compiles or runs WebAssembly and reads no file; it takes bytes.

mod inspect;
mod metadata;

pub use inspect::{Facts, Invalid, inspect};
pub use metadata::{EMBED_SECTION, Metadata, embed, sha256_hex};
