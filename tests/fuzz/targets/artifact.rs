//! A file that may be a modelet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelet_artifact::{inspect, outline};

fuzz_target!(|bytes: &[u8]| {
    match inspect(bytes) {
        Ok(facts) => {
            assert_eq!(facts.size_bytes, bytes.len() as u64);
            assert!(facts.code_bytes + facts.image_bytes <= facts.size_bytes);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let read =
        |range: std::ops::Range<u64>| bytes[range.start as usize..range.end as usize].to_vec();
    if let Ok(outline) = outline(bytes.len() as u64, read) {
        assert!(outline.memory.end <= outline.code.start);
        assert!(outline.code.end <= bytes.len() as u64);
    }
});
