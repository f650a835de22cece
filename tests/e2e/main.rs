//! End to end: the tool and the server as their users meet them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod built;
mod bundle;
mod cli;
mod clients;
mod distribution;
mod kernels;
mod models;
mod padded;
mod parity;
mod quantized;
mod repository;
mod rollout;
mod server;
mod strain;
mod wire;
