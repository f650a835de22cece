//! The types of `guest/wit`, generated, and in wasm32 the exports.

#![allow(
    clippy::crate_in_macro_def,
    clippy::unwrap_used,
    clippy::allow_attributes_without_reason,
    unsafe_op_in_unsafe_fn,
    unused_qualifications,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../wit",
    world: "engine",
    // It would copy the memory. `component.rs` writes it by hand.
    skip: ["memory"],
    pub_export_macro: true,
    default_bindings_module: "crate::bindings",
    additional_derives: [PartialEq],
});
