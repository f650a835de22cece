//! From a repository to a folder that others can host without `modelet`.
//!
//! Absences: nothing is run and nothing is listened to. Files are written below the given folder only.

mod folder;
mod models;
mod spin;
mod web;

pub use folder::Written;
pub use spin::spin;
pub use web::{Web, web};
