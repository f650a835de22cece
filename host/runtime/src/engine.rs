//! The wasmtime engine of a host: its settings and its clock for deadlines.

use std::thread;
use std::time::{Duration, Instant};

use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{LoadError, Target};

/// How often deadlines are looked at, and so how late a call may be stopped.
pub const TICK: Duration = Duration::from_millis(5);

/// The tables of one instance. tract's engine has some thousands of entries.
pub const TABLE_ELEMENTS: usize = 1 << 17;

/// The most of one instance's memory that stays when it ends, in bytes.
const KEPT_BYTES: usize = 16 << 20;

/// The core modules of one modelet: its memory, its code, and what other toolchains add to that.
const MODULES: u32 = 8;

/// Half of what threads have by default: a guest that overflows it traps, with room to spare for the
/// host below.
const STACK_BYTES: usize = 1 << 20;

/// One wasmtime engine with its clock. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    wasmtime: wasmtime::Engine,
}

impl Engine {
    /// For a server: reserves address space for all instances that may be alive at one time, each with a
    /// linear memory of at most `max_memory_bytes`, so that they start in microseconds.
    /// `adjust` changes what only a host with a compiler can.
    pub fn pooled(
        max_instances: u32,
        max_memory_bytes: u64,
        adjust: impl FnOnce(&mut wasmtime::Config) -> wasmtime::Result<()>,
    ) -> Result<Engine, LoadError> {
        Engine::start(
            pooled(max_instances, max_memory_bytes).and_then(|mut settings| {
                adjust(&mut settings)?;
                Ok(settings)
            }),
        )
    }

    /// For a device: reserves nothing ahead. It runs what was compiled for `target`.
    pub fn sparing(target: Target) -> Result<Engine, LoadError> {
        Engine::start(target.to_run())
    }

    fn start(settings: wasmtime::Result<wasmtime::Config>) -> Result<Engine, LoadError> {
        let wasmtime = settings
            .and_then(|mut settings| wasmtime::Engine::new(settings.max_wasm_stack(STACK_BYTES)))
            .map_err(|error| LoadError::Limits(format!("{error:#}")))?;
        start_clock(&wasmtime)?;
        Ok(Engine { wasmtime })
    }

    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }
}

fn pooled(max_instances: u32, max_memory_bytes: u64) -> wasmtime::Result<wasmtime::Config> {
    let memory_bytes = usize::try_from(max_memory_bytes)?;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(max_instances)
        .total_core_instances(max_instances.saturating_mul(MODULES))
        .max_core_instances_per_component(MODULES)
        .total_memories(max_instances)
        .total_tables(max_instances)
        .max_memory_size(memory_bytes)
        .table_elements(TABLE_ELEMENTS)
        .max_core_instance_size(16 << 20);
    // What a call wrote to is put back by copying instead of unmapping, and the next call in the
    // same place finds its pages there. A kernel that cannot tell what was written would copy all.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEPT_BYTES)
            .table_keep_resident(KEPT_BYTES);
    }
    let mut settings = wasmtime::Config::new();
    settings
        .wasm_relaxed_simd(true)
        // A modelet has no asynchronous function, and each call would pay for them where another
        // crate of the same program has turned them on.
        .concurrency_support(false)
        .epoch_interruption(true)
        .coredump_on_trap(true)
        // For debuggers and profilers of the host: tables half as large as the code, which are read
        // when it is loaded.
        .native_unwind_info(false)
        .generate_address_map(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        // A model's image is sparse; above this size it would be copied at every instantiation
        // instead of being mapped.
        .memory_guaranteed_dense_image_size(max_memory_bytes);
    Ok(settings)
}

/// Advances the epoch until the engine is gone.
fn start_clock(engine: &wasmtime::Engine) -> Result<(), LoadError> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("modelet-clock".to_owned())
        .spawn(move || {
            let (start, mut ticks) = (Instant::now(), 0);
            while let Some(engine) = engine.upgrade() {
                // Sleep is late when the machine is busy, and what is late must not add up.
                while ticks < start.elapsed().as_nanos() / TICK.as_nanos() {
                    engine.increment_epoch();
                    ticks += 1;
                }
                drop(engine);
                thread::sleep(TICK);
            }
        })
        .map(|_| ())
        .map_err(|error| LoadError::Limits(format!("the clock thread did not start: {error}")))
}
