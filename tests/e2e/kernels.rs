//! The engine's kernels compute what they should, as a host compiles and runs them.

use modelet_runtime::Engine;
use wasmtime::{Instance, Module, Store};

#[test]
fn kernels_agree_with_what_is_written_plainly() {
    let path = "target/guest/wasm32-unknown-unknown/guest/modelet_kernels_check.wasm";
    let module = std::fs::read(path).expect("`cargo xtask test` has built it");
    let engine = Engine::pooled(1, 1 << 30, |_| Ok(())).unwrap();
    let module = Module::new(engine.wasmtime(), module).unwrap();
    let mut store = Store::new(engine.wasmtime(), ());
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    for check in [
        "check_gemm",
        "check_gemv",
        "check_product",
        "check_winograd",
        "check_depthwise",
        "check_depthwise_by_channel",
        "check_images",
        "check_integers",
        "check_floats",
        "check_dispatch",
    ] {
        let function = instance.get_typed_func::<(), u64>(&mut store, check);
        let place = function.unwrap().call(&mut store, ()).unwrap();
        let (address, length) = (place as u32 as usize, (place >> 32) as usize);
        let said = &memory.data(&store)[address..address + length];
        let said = String::from_utf8_lossy(said);
        assert!(said.starts_with("right"), "{check}: {said}");
    }
}
