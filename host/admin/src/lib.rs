//! The admin API, as all hosts have it that roll out: what it shows, what it is asked, and by whom.
//!
//! Absences: no HTTP server, no database and no clock; a host reads the one, keeps the other, and says
//! what time it is.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

pub mod change;
pub mod view;
