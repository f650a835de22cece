//! How small a device may be.

use std::fs::{self, File};

use crate::built;
use crate::device::{Device, Place, compiled};

#[test]
fn the_binaries_are_static_and_at_most_8_mb() {
    for place in [Place::Native, Place::Emulated] {
        if !place.is_here() {
            continue;
        }
        let binary = fs::read(place.binary()).unwrap();
        assert!(binary.len() <= 8_000_000, "{} bytes", binary.len());
        assert!(!names_a_loader(&binary), "{place:?} is not static");
        eprintln!("{}: {} bytes", place.binary().display(), binary.len());
    }
}

#[test]
fn a_device_with_the_tabular_model_stays_in_20_mb_of_memory() {
    if !Place::Native.is_here() {
        return;
    }
    // A file of its own, on the disk: what other processes have mapped stays in memory.
    let folder = tempfile::tempdir_in(built::folder()).unwrap();
    let file = folder.path().join("iris.cwasm");
    fs::copy(compiled("iris", Place::Native), &file).unwrap();
    File::open(&file).unwrap().sync_all().unwrap();
    let device = Device::start(Place::Native, &file, &[]);
    let request = r#"{"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}"#;
    for _ in 0..1000 {
        device.post("/v2/models/iris/infer", request).outputs();
    }
    let peak = peak_kilobytes(device.id());
    eprintln!("peak of resident memory: {peak} kB");
    assert!(peak <= 20_000, "{peak} kB");
}

/// The most memory that was ever resident, the binary and the mapped model included.
fn peak_kilobytes(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// Whether an ELF file of 64 bits has a program header of the kind `PT_INTERP`.
fn names_a_loader(binary: &[u8]) -> bool {
    const PT_INTERP: usize = 3;
    let number = |at: usize, bytes: usize| {
        let field = &binary[at..at + bytes];
        field
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let (headers, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(headers + index * size, 4) == PT_INTERP)
}
