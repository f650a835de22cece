//! Policy decides the same inside WebAssembly as it does here.

#[path = "../parity/trace.rs"]
mod trace;

use wasmtime::{Engine, Instance, Module, Store};

#[test]
fn policy_decides_byte_for_byte_the_same_in_webassembly() {
    let path = "target/guest/wasm32-unknown-unknown/release/modelet_parity.wasm";
    let module = std::fs::read(path).expect("`cargo xtask test` has built it");
    let engine = Engine::default();
    let module = Module::new(&engine, module).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    let decide = instance.get_typed_func::<u64, u64>(&mut store, "decide");
    let decide = decide.unwrap();
    for seed in [1, 20_261, 4_000_000_007] {
        let place = decide.call(&mut store, seed).unwrap();
        let (address, length) = (place as u32 as usize, (place >> 32) as usize);
        let there = &memory.data(&store)[address..address + length];
        let here = trace::decide(seed);
        assert!(length > 100_000);
        let differs = there
            .iter()
            .zip(&here)
            .position(|(there, here)| there != here);
        assert!(there == here, "seed {seed} differs at byte {differs:?}");
    }
}
