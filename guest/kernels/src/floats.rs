//! What is done to values of `f32` beside products and convolutions.

pub mod elementwise;
mod four;
pub mod function;
pub mod layout;
pub mod pool;
pub mod reduction;
