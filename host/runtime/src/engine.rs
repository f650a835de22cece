//! The one wasmtime engine of a host: its settings, its clock for deadlines, its code cache.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use modelet_artifact::inspect;
use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cache::CodeCache;
use crate::compile::{Compiled, Compiler};
use crate::{Limits, LoadError, Modelet};

/// How often deadlines are looked at, and so how late a call may be stopped.
pub const TICK: Duration = Duration::from_millis(5);

/// The tables of one instance. tract's engine has some thousands of entries.
pub const TABLE_ELEMENTS: usize = 1 << 17;

/// The most of one instance's memory that stays when it ends, in bytes.
const KEPT_BYTES: usize = 4 << 20;

/// The core modules of one modelet: its memory, its code, and what other toolchains add to that.
const MODULES: u32 = 8;

/// Half of what threads have by default: a guest that overflows it traps, with room to spare for the
/// host below.
const STACK_BYTES: usize = 1 << 20;

/// How a host runs modelets.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where compiled code is kept between runs; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// Instances alive at one time, over all modelets.
    pub max_instances: u32,
    /// The most linear memory one instance may have, over all modelets, in bytes: at most 4 GiB.
    pub max_memory_bytes: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            cache: None,
            max_instances: 256,
            max_memory_bytes: 4 << 30,
        }
    }
}

/// One wasmtime engine with its instance pool and its cache of compiled code. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    compiler: Arc<Compiler>,
    max_memory_bytes: u64,
}

impl Engine {
    /// Reserves address space for `max_instances` and starts the clock that enforces deadlines.
    pub fn new(config: &Config) -> Result<Engine, LoadError> {
        let cache = match &config.cache {
            Some(directory) => {
                CodeCache::open(directory).map_err(|error| LoadError::Cache(error.to_string()))?
            }
            None => CodeCache::default(),
        };
        let wasmtime = settings(config)
            .and_then(|settings| wasmtime::Engine::new(&settings))
            .map_err(|error| LoadError::Limits(format!("{error:#}")))?;
        start_clock(&wasmtime)?;
        Ok(Engine {
            compiler: Arc::new(Compiler::new(wasmtime, cache)),
            max_memory_bytes: config.max_memory_bytes,
        })
    }

    /// Checks, compiles (or takes from the cache) and readies a modelet. Blocks for seconds when
    /// the code is in no cache.
    pub fn load(&self, bytes: &[u8], limits: Limits) -> Result<Modelet, LoadError> {
        let facts = inspect(bytes)?;
        if limits.memory_bytes > self.max_memory_bytes {
            return Err(LoadError::Limits(format!(
                "{} bytes of memory are asked for, at most {} are allowed",
                limits.memory_bytes, self.max_memory_bytes
            )));
        }
        Modelet::new(&self.compile(bytes)?, facts, limits)
    }

    /// Compiles any component that needs no more than the modules in it. What other components
    /// have in common with it is compiled once.
    pub fn compile(&self, component: &[u8]) -> Result<Compiled, LoadError> {
        self.compiler
            .compile(component)
            .map_err(|error| LoadError::Compile(format!("{error:#}")))
    }
}

fn settings(config: &Config) -> wasmtime::Result<wasmtime::Config> {
    let memory_bytes = usize::try_from(config.max_memory_bytes)?;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(config.max_instances)
        .total_core_instances(config.max_instances.saturating_mul(MODULES))
        .max_core_instances_per_component(MODULES)
        .total_memories(config.max_instances)
        .total_tables(config.max_instances)
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
        .max_wasm_stack(STACK_BYTES)
        .coredump_on_trap(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        // A model's image is sparse; above this size it would be copied at every instantiation
        // instead of being mapped.
        .memory_guaranteed_dense_image_size(config.max_memory_bytes);
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
