//! Policy's decisions, from inside WebAssembly.

mod trace;

/// The address of what was decided, and above it the length.
#[unsafe(no_mangle)]
pub extern "C" fn decide(seed: u64) -> u64 {
    let decided = trace::decide(seed).leak();
    (decided.len() as u64) << 32 | decided.as_ptr() as u64
}
