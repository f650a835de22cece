//! Kernels for WebAssembly's vectors, registered with tract beside its own, and loops of our own that run them.
//!
//! Hosts stop a call at its deadline by a check at the head of each loop. Where that check fails it
//! calls the host, no vector register survives a call, and Cranelift's register allocation does not
//! keep the rare path apart: what is in vector registers around a loop's head lies in memory for all
//! of the loop. A loop that carries sums therefore has many steps here. Between two steps there is a
//! way out, because Cranelift puts off what has no effect until something needs it: without the
//! branch all loads of an iteration would come first, and their values would not fit into the
//! registers.
//!
//! Absences: natively there is nothing here but plain loops; tract has kernels for every processor.

#[cfg(target_arch = "wasm32")]
#[macro_use]
mod steps;

pub mod floats;
pub mod integer;

#[cfg(target_arch = "wasm32")]
mod depthwise;
#[cfg(target_arch = "wasm32")]
mod dispatch;
#[cfg(target_arch = "wasm32")]
mod gemm;
#[cfg(target_arch = "wasm32")]
mod gemv;
#[cfg(target_arch = "wasm32")]
mod product;
#[cfg(target_arch = "wasm32")]
mod winograd;

#[cfg(target_arch = "wasm32")]
pub use depthwise::{
    BY_CHANNEL_NAME as DEPTHWISE_BY_CHANNEL, Depthwise, NAME as DEPTHWISE,
    Values as DepthwiseValues, depthwise, depthwise_by_channel,
};
#[cfg(target_arch = "wasm32")]
pub use gemm::{NAME as GEMM, gemm};
#[cfg(target_arch = "wasm32")]
pub use gemv::{NAME as GEMV, NARROW_NAME as NARROW_GEMV, gemv};
#[cfg(target_arch = "wasm32")]
pub use product::{Kernel, Matrix, Sizes, Windows, product};
#[cfg(target_arch = "wasm32")]
pub use winograd::{Convolution, Window};

/// Must be called from somewhere: what nothing refers to is not linked, its registration neither.
pub fn link() {
    #[cfg(target_arch = "wasm32")]
    std::hint::black_box((
        gemm as *const (),
        gemv::<8> as *const (),
        gemv::<2> as *const (),
        depthwise as *const (),
        depthwise_by_channel as *const (),
    ));
}
