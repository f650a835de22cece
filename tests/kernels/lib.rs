//! The kernels beside what they compute, written down as plainly as can be, from inside WebAssembly.

#[cfg(target_arch = "wasm32")]
mod depthwise;
#[cfg(target_arch = "wasm32")]
mod dispatch;
#[cfg(target_arch = "wasm32")]
mod draws;
#[cfg(target_arch = "wasm32")]
mod floats;
#[cfg(target_arch = "wasm32")]
mod gemm;
#[cfg(target_arch = "wasm32")]
mod gemv;
#[cfg(target_arch = "wasm32")]
mod images;
#[cfg(target_arch = "wasm32")]
mod integers;
#[cfg(target_arch = "wasm32")]
mod packed;
#[cfg(target_arch = "wasm32")]
mod product;
#[cfg(target_arch = "wasm32")]
mod winograd;

#[cfg(target_arch = "wasm32")]
mod exports {
    use super::{depthwise, dispatch, floats, gemm, gemv, images, integers, product, winograd};

    #[unsafe(no_mangle)]
    extern "C" fn check_gemm() -> u64 {
        text(gemm::check())
    }

    #[unsafe(no_mangle)]
    extern "C" fn check_gemv() -> u64 {
        text(gemv::check())
    }

    #[unsafe(no_mangle)]
    extern "C" fn check_product() -> u64 {
        text(product::check())
    }

    #[unsafe(no_mangle)]
    extern "C" fn check_winograd() -> u64 {
        text(winograd::check())
    }

    #[unsafe(no_mangle)]
    extern "C" fn check_depthwise() -> u64 {
        text(depthwise::check())
    }

    #[unsafe(no_mangle)]
    extern "C" fn check_depthwise_by_channel() -> u64 {
        text(depthwise::check_by_channel())
    }

    #[unsafe(no_mangle)]
    extern "C" fn check_images() -> u64 {
        text(images::check())
    }

    #[unsafe(no_mangle)]
    extern "C" fn check_integers() -> u64 {
        text(integers::check())
    }

    #[unsafe(no_mangle)]
    extern "C" fn check_floats() -> u64 {
        text(floats::check())
    }

    #[unsafe(no_mangle)]
    extern "C" fn check_dispatch() -> u64 {
        text(dispatch::check())
    }

    /// The address of what was found, and above it the length.
    fn text(result: Result<String, String>) -> u64 {
        let text = match result {
            Ok(told) => format!("right: {told}"),
            Err(difference) => format!("wrong: {difference}"),
        };
        let text = text.leak();
        (text.len() as u64) << 32 | text.as_ptr() as u64
    }
}
