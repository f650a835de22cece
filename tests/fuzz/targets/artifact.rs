//! A file that may be a modelet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelet_artifact::inspect;

fuzz_target!(|bytes: &[u8]| {
    match inspect(bytes) {
        Ok(facts) => {
            assert_eq!(facts.size_bytes, bytes.len() as u64);
            assert!(facts.code_bytes + facts.image_bytes <= facts.size_bytes);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
