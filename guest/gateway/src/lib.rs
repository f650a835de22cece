//! The host inside Spin, and inside whatever else hosts WASI HTTP: the Open Inference Protocol in front
//! of modelets, with policy deciding.
//!
//! [`inference`] is the life of a request, [`memory`] is what outlasts an instance of this component.
//! Both only say what is to be done; `service` does it and is WebAssembly only.
//!
//! Maps are extended here and in what this is made of, and not collected: collecting sorts first, with
//! code of its own for every type of map.
//!
//! Absences: no clock, no randomness and no store outside of `service`: what they say are arguments.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a panic is how a test fails")
)]

pub mod admin;
pub mod answer;
pub mod application;
pub mod caller;
pub mod inference;
pub mod memory;
pub mod path;
pub mod reply;
pub mod rest;
pub mod rollouts;
#[cfg(target_family = "wasm")]
mod service;
#[cfg(target_family = "wasm")]
mod slots;
