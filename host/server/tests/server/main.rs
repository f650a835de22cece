//! The server over a real socket, with modelets written by hand.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod batching;
mod cache;
mod ensembles;
mod grpc;
mod limits;
mod modelet;
mod remotes;
mod repository;
mod rest;
mod rollouts;
mod served;
mod stories;
