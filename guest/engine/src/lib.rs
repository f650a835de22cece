//! tract behind the modelet contract: the template that every modelet is made from.
//!
//! [`load`] reads a model, [`Model::infer`] runs it. In wasm32 the module `component` exports the
//! two over `guest/wit`; natively the same code is a library, which is how tests compare them.
//!
//! Absences: no import of any kind; no clock, no file, no randomness.

mod bindings;
mod by_item;
#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod convolution;
#[cfg(target_arch = "wasm32")]
mod depthwise;
#[cfg(target_arch = "wasm32")]
mod floats;
mod infer;
mod late;
mod load;
#[cfg(any(target_arch = "wasm32", test))]
mod memory;
mod prepared;
#[cfg(target_arch = "wasm32")]
mod product;
mod values;

pub use bindings::exports::modelet::model::inference::{
    Datatype, Dimension, Error, Signature, Tensor, TensorSpec,
};
pub use infer::Model;
pub use load::{ENGINE, load};
