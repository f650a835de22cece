//! Artifacts between here and directories, stores that speak S3, and OCI registries.

mod download;
mod error;
mod objects;
mod place;
mod progress;
mod pull;
mod push;
mod registry;
pub mod replica;
mod tls;

pub use error::TransferError;
pub use place::{InvalidPlace, Place, Root};
pub use progress::{Progress, nobody};
pub use pull::{Demands, Pulled, pull};
pub use push::{Artifact, push, push_spec};
