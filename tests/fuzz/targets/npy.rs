//! A NumPy file.
#![no_main]

#[path = "../../../host/cli/npy.rs"]
mod npy;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tensor) = npy::read(bytes, "x") {
        tensor.check().expect("what was read is a tensor");
    }
});
