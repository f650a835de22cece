//! Inner loops for WebAssembly, registered with tract in place of its own.
//!
//! What was tried, and what came of it: `docs/kernels.md`.

#[cfg(target_family = "wasm")]
mod gemm;
#[cfg(target_family = "wasm")]
mod gemv;

/// Keeps the kernels, which are found by registration and by nobody's name, from being left out by the
/// linker.
pub fn keep() {
    #[cfg(target_family = "wasm")]
    std::hint::black_box([gemm::NAME, gemv::NAME]);
}
