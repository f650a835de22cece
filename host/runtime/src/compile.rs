//! Compiles modelets, each of their parts once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Module};

use crate::cache::CodeCache;
use crate::parts::{Part, import_name, take_apart};

/// The compiler of one engine, and what it has compiled that is still in use.
pub struct Compiler {
    engine: Engine,
    cache: CodeCache,
    modules: Known<Module>,
    frames: Known<Component>,
}

/// By hash of the source.
type Known<T> = Mutex<HashMap<blake3::Hash, Weak<T>>>;

/// A compiled component: its frame and the modules that go into it.
#[derive(Clone)]
pub struct Compiled {
    pub frame: Arc<Component>,
    modules: Vec<Arc<Module>>,
}

impl Compiled {
    /// Links the modules into the frame.
    pub fn linker<T: 'static>(&self) -> wasmtime::Result<Linker<T>> {
        let mut linker = Linker::new(self.frame.engine());
        for (index, module) in self.modules.iter().enumerate() {
            linker.root().module(&import_name(index), module)?;
        }
        Ok(linker)
    }
}

impl Compiler {
    pub fn new(engine: Engine, cache: CodeCache) -> Compiler {
        Compiler {
            engine,
            cache,
            modules: Known::default(),
            frames: Known::default(),
        }
    }

    /// Compiles a component, except for the parts that are in memory or in the cache.
    pub fn compile(&self, component: &[u8]) -> wasmtime::Result<Compiled> {
        let parts = take_apart(component).map_err(|error| wasmtime::format_err!("{error}"))?;
        let modules = parts
            .modules
            .iter()
            .map(|part| self.module(part))
            .collect::<wasmtime::Result<_>>()?;
        let frame = known(&self.frames, &parts.frame, |_| {
            Component::new(&self.engine, &parts.frame)
        })?;
        Ok(Compiled { frame, modules })
    }

    fn module(&self, part: &Part<'_>) -> wasmtime::Result<Arc<Module>> {
        // Without functions there is nothing to compile, and hardly two models have the same memory.
        if !part.has_code {
            return Module::new(&self.engine, part.wasm).map(Arc::new);
        }
        known(&self.modules, part.wasm, |hash| {
            self.code(part.wasm, &hash.to_hex())
        })
    }

    fn code(&self, wasm: &[u8], hash: &str) -> wasmtime::Result<Module> {
        let name = format!("{hash}-{:016x}.cwasm", self.fingerprint());
        if let Some(code) = self.cache.open_entry(&name)
            // SAFETY: the cache says that this host wrote this file under this name, which holds the
            // hash of the source and the fingerprint of the engine's settings. What is mapped stays
            // as it is: only this user can write there, and we replace files and never change one.
            && let Ok(module) = unsafe { Module::deserialize_open_file(&self.engine, code) }
        {
            return Ok(module);
        }
        let module = Module::new(&self.engine, wasm)?;
        self.cache.write(&name, &module.serialize()?);
        Ok(module)
    }

    /// Changes with the version of wasmtime, the processor and every setting that changes the code.
    fn fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};

        let mut hasher = DefaultHasher::new();
        self.engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        hasher.finish()
    }
}

/// What was compiled from `source`, if somebody still uses it, or else compiles it.
fn known<T>(
    known: &Known<T>,
    source: &[u8],
    compile: impl FnOnce(blake3::Hash) -> wasmtime::Result<T>,
) -> wasmtime::Result<Arc<T>> {
    let hash = blake3::hash(source);
    // Held while compiling: who asks for the same meanwhile waits and finds it.
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(compiled) = known.get(&hash).and_then(Weak::upgrade) {
        return Ok(compiled);
    }
    let compiled = Arc::new(compile(hash)?);
    known.retain(|_, compiled| compiled.strong_count() > 0);
    known.insert(hash, Arc::downgrade(&compiled));
    Ok(compiled)
}
