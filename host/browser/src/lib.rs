//! The host inside a browser: what the package `modelet-web` decides and checks.
//!
//! [`guest`] reads a modelet and calls it, in a worker; [`policy`] says who is to be asked, on the page. What starts workers, downloads and compiles is JavaScript, in `js`.
//!
//! Absences: no clock and no randomness: times and keys are arguments.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

mod abi;
mod guest;
mod js;
mod policy;
mod values;
