//! An instance's memory as a module: what a modelet begins with.

use std::ops::Range;

use anyhow::{Result, ensure};
use wasm_encoder::{
    ConstExpr, DataSection, ExportKind, ExportSection, MemorySection, MemoryType, Module,
};

const PAGE_BYTES: usize = 1 << 16;

/// More would make small files, but reading them slow; browsers take ten times as many.
const MAX_SEGMENTS: usize = 10_000;

/// Zeros in a row are left out from this many bytes on: what a segment costs is well below it.
const BLOCK_BYTES: usize = 64;

/// The module that the engine takes its memory from, with `memory` in it.
pub fn snapshot(memory: &[u8]) -> Result<Module> {
    ensure!(
        memory.len().is_multiple_of(PAGE_BYTES),
        "the model needs all of the 4 GiB that WebAssembly can address"
    );
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: (memory.len() / PAGE_BYTES) as u64,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    let mut data = DataSection::new();
    for run in runs(memory) {
        let address = ConstExpr::i32_const(run.start as u32 as i32);
        data.active(0, &address, memory[run].iter().copied());
    }
    let mut module = Module::new();
    module.section(&memories).section(&exports).section(&data);
    Ok(module)
}

/// The parts of `memory` that are not zero, in blocks as small as [`MAX_SEGMENTS`] allows.
fn runs(memory: &[u8]) -> Vec<Range<usize>> {
    let mut block_bytes = BLOCK_BYTES;
    loop {
        let runs = runs_of_blocks(memory, block_bytes);
        if runs.len() <= MAX_SEGMENTS {
            return runs;
        }
        block_bytes *= 2;
    }
}

fn runs_of_blocks(memory: &[u8], block_bytes: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, block) in memory.chunks(block_bytes).enumerate() {
        if block.iter().all(|byte| *byte == 0) {
            continue;
        }
        let start = index * block_bytes;
        let end = start + block.len();
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_left_out_and_nothing_else() {
        let mut memory = vec![0; 4 * PAGE_BYTES];
        for index in [0, 63, 64, 130, 70_000, 4 * PAGE_BYTES - 1] {
            memory[index] = 7;
        }
        let runs = runs(&memory);
        assert_eq!(runs, [0..192, 69_952..70_016, 262_080..262_144]);
        let mut restored = vec![0; memory.len()];
        for run in runs {
            restored[run.clone()].copy_from_slice(&memory[run]);
        }
        assert_eq!(restored, memory);
    }

    #[test]
    fn scattered_bytes_make_no_more_segments_than_a_reader_takes() {
        let memory: Vec<u8> = (0..8_000_000)
            .map(|index| u8::from(index % 128 == 0))
            .collect();
        assert!(runs(&memory).len() <= MAX_SEGMENTS);
    }

    #[test]
    fn a_full_memory_is_refused() {
        assert!(snapshot(&[1; 100]).is_err());
    }
}
