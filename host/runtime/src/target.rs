//! The machines that modelets are compiled for ahead of time, and what that code takes for granted.

use std::fmt;
use std::str::FromStr;

use wasmtime::{Config, WasmFeatures};

/// What a model may address beyond its present memory before it is moved. Moving copies, and what is
/// copied is no longer shared with the file.
const GROWTH_BYTES: u64 = 64 << 20;

/// Reserved behind each memory, so that an access a little beyond an address that was checked needs no
/// check of its own.
const GUARD_BYTES: u64 = 64 << 10;

/// A kind of machine. Code for it runs on every one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Aarch64Linux,
    X86_64Linux,
    /// wasmtime's portable bytecode, which is interpreted: for every 64-bit machine, and slow.
    Pulley64,
}

/// A text that names no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no target that is known; there are {all}", all = Target::names())]
pub struct UnknownTarget(String);

impl Target {
    pub const ALL: [Target; 3] = [Target::Aarch64Linux, Target::X86_64Linux, Target::Pulley64];

    /// The machine that this program is compiled for.
    pub const HERE: Target = if cfg!(target_arch = "aarch64") {
        Target::Aarch64Linux
    } else if cfg!(target_arch = "x86_64") {
        Target::X86_64Linux
    } else {
        Target::Pulley64
    };

    pub fn name(self) -> &'static str {
        match self {
            Target::Aarch64Linux => "aarch64-linux",
            Target::X86_64Linux => "x86_64-linux",
            Target::Pulley64 => "pulley64",
        }
    }

    fn names() -> String {
        Target::ALL.map(Target::name).join(", ")
    }

    fn triple(self) -> &'static str {
        match self {
            Target::Aarch64Linux => "aarch64-unknown-linux-musl",
            Target::X86_64Linux => "x86_64-unknown-linux-musl",
            Target::Pulley64 => "pulley64",
        }
    }

    /// Whether this program can run its code.
    pub fn runs_here(self) -> bool {
        self == Target::HERE || self == Target::Pulley64
    }

    /// The settings of an engine that compiles for this target: of the processor, only what every one of
    /// its kind has.
    pub fn to_compile(self) -> wasmtime::Result<Config> {
        let mut settings = settings();
        settings.target(self.triple())?;
        // Further crates of a build may turn these on in wasmtime. Modelets need none of them, and
        // the device's build has none.
        let others = WasmFeatures::THREADS
            | WasmFeatures::GC_TYPES
            | WasmFeatures::EXCEPTIONS
            | WasmFeatures::CM_ASYNC;
        settings.wasm_features(others, false);
        // Nobody debugs or profiles on a device, and names and line numbers are a fifth of a file.
        settings
            .generate_address_map(false)
            .native_unwind_info(false);
        Ok(settings)
    }

    /// The settings of an engine that runs such code here.
    pub(crate) fn to_run(self) -> wasmtime::Result<Config> {
        let mut settings = settings();
        if self == Target::Pulley64 {
            settings.target(self.triple())?;
        }
        Ok(settings)
    }
}

/// What is the same on both sides: nearly all of it decides how code looks, and code that was compiled
/// otherwise is refused.
fn settings() -> Config {
    let mut settings = Config::new();
    settings
        .concurrency_support(false)
        .wasm_relaxed_simd(true)
        .epoch_interruption(true)
        .coredump_on_trap(true)
        .debug_symbols(false)
        // A memory takes the address space that it needs. Where every one of them had 4 GiB, code need not
        // look where it reads and writes, but devices that count what is reserved could not start it.
        .memory_reservation(0)
        .memory_reservation_for_growth(GROWTH_BYTES)
        .memory_guard_size(GUARD_BYTES)
        .guard_before_linear_memory(false)
        .memory_may_move(true)
        // A model's image is sparse; above this size it would be copied at every instantiation
        // instead of being mapped.
        .memory_guaranteed_dense_image_size(u64::from(u32::MAX) + 1);
    settings
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<Target, UnknownTarget> {
        let mut all = Target::ALL.into_iter();
        all.find(|target| target.name() == text)
            .ok_or_else(|| UnknownTarget(text.to_owned()))
    }
}
