//! A model's memory, in which a browser reads an answer. The first four bytes are where it begins.
#![no_main]

#[path = "../../../host/browser/src/abi.rs"]
mod abi;

use abi::{Answer, Reader, lower};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((address, memory)) = bytes.split_first_chunk() else {
        return;
    };
    let address = u32::from_le_bytes(*address);
    let get = |address: u32, length: usize| {
        let from = memory.get(address as usize..)?;
        Some(from.get(..length)?.to_vec())
    };
    let _ = Reader::new(memory.len(), get).signature(address);
    let Ok(Answer::Outputs(tensors)) = Reader::new(memory.len(), get).answer(address) else {
        return;
    };
    for tensor in &tensors {
        tensor.check().expect("what was lifted is a tensor");
    }
    let put = |_: &[u8], _| Ok::<u32, ()>(0);
    let [_, count, ..] = lower(&tensors, &[], put).expect("nothing refuses");
    assert_eq!(count as usize, tensors.len());
});
