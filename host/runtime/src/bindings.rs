//! The types of `guest/wit` as the host calls them, generated.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "../../guest/wit",
    world: "modelet",
    // A call reads the caller's tensors where they lie.
    ownership: Borrowing { duplicate_if_necessary: true },
});
