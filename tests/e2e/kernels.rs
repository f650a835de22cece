//! The engine's own kernels compute what plain arithmetic does, on all shapes and edges.

use wasmtime::{Config, Engine, Instance, Module, Store};

#[test]
fn kernels_compute_what_plain_arithmetic_does() {
    let path = "target/guest/wasm32-unknown-unknown/guest/modelet_kernels_check.wasm";
    let module = std::fs::read(path).expect("`cargo xtask test` has built it");
    // As a server compiles models, and as other hosts do.
    for interruptible in [true, false] {
        let mut config = Config::new();
        config.epoch_interruption(interruptible);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, &module).unwrap();
        let mut store = Store::new(&engine, ());
        if interruptible {
            store.set_epoch_deadline(1);
        }
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        // Registers the kernels.
        let construct = instance.get_typed_func::<(), ()>(&mut store, "_initialize");
        if let Ok(construct) = construct {
            construct.call(&mut store, ()).unwrap();
        }
        for (what, cases) in [("check_products", 4_000), ("check_vectors", 1_000)] {
            let check = instance.get_typed_func::<(), u32>(&mut store, what);
            let checked = check.unwrap().call(&mut store, ()).unwrap();
            assert!(checked > cases, "{what}: {checked}");
        }
    }
}
