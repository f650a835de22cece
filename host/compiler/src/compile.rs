//! Compiles modelets, each of their parts once.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use modelet_artifact::inspect;
use modelet_runtime::{Engine, Limits, LoadError, Modelet};
use rustix::mm::{Advice, madvise};
use wasmtime::Module;
use wasmtime::component::{Component, Linker};

use crate::cache::{CodeCache, MODULE};
use crate::functions::Functions;
use crate::parts::{Part, import_name, take_apart};

/// How a host that compiles runs modelets.
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

/// The compiler of one engine, and what it has compiled that is still in use. Cheap to clone.
#[derive(Clone)]
pub struct Compiler {
    shared: Arc<Shared>,
    max_memory_bytes: u64,
}

struct Shared {
    engine: Engine,
    cache: CodeCache,
    functions: Arc<Functions>,
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
    /// Reserves address space for `max_instances` and starts the clock that enforces deadlines.
    pub fn new(config: &Config) -> Result<Compiler, LoadError> {
        let cache = match &config.cache {
            Some(directory) => {
                CodeCache::open(directory).map_err(|error| LoadError::Cache(error.to_string()))?
            }
            None => CodeCache::default(),
        };
        let functions = Arc::new(Functions::new(cache.clone()));
        Ok(Compiler {
            shared: Arc::new(Shared {
                engine: Engine::pooled(
                    config.max_instances,
                    config.max_memory_bytes,
                    |settings| {
                        settings.enable_incremental_compilation(functions.clone())?;
                        Ok(())
                    },
                )?,
                cache,
                functions,
                modules: Known::default(),
                frames: Known::default(),
            }),
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
        let compiled = self.compile(bytes)?;
        let linker = compiled
            .linker()
            .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        let frame = compiled.frame.clone();
        Modelet::new(&linker, &frame, facts, limits, compiled)
    }

    /// Removes from the cache what nobody needed for long or what is too much for the disk; not what this compiler
    /// has loaded and somebody holds. Best called when all is loaded.
    pub fn make_room(&self) {
        self.shared.make_room();
    }

    /// Compiles any component that needs no more than the modules in it. What other components
    /// have in common with it is compiled once.
    pub fn compile(&self, component: &[u8]) -> Result<Compiled, LoadError> {
        self.shared
            .compile(component)
            .map_err(|error| LoadError::Compile(format!("{error:#}")))
    }
}

impl Shared {
    /// Compiles a component, except for the parts that are in memory or in the cache.
    fn compile(&self, component: &[u8]) -> wasmtime::Result<Compiled> {
        let parts = take_apart(component).map_err(|error| wasmtime::format_err!("{error}"))?;
        let modules = parts
            .modules
            .iter()
            .map(|part| self.module(part))
            .collect::<wasmtime::Result<_>>()?;
        let frame = known(&self.frames, &parts.frame, |_| {
            Component::new(self.engine.wasmtime(), &parts.frame)
        })?;
        Ok(Compiled { frame, modules })
    }

    fn module(&self, part: &Part<'_>) -> wasmtime::Result<Arc<Module>> {
        known(&self.modules, part.wasm, |hash| {
            let compile = || self.compiled(part.wasm, &self.name(hash));
            // A model's memory is kept like code, because what is mapped from a file takes memory only while it is
            // used; functions that others have, it has none.
            match part.has_code {
                true => self.functions.during(compile),
                false => compile(),
            }
        })
    }

    /// Of the cache's entry for what was compiled from a source.
    fn name(&self, source: blake3::Hash) -> String {
        format!("{}-{:016x}{MODULE}", source.to_hex(), self.fingerprint())
    }

    fn compiled(&self, wasm: &[u8], name: &str) -> wasmtime::Result<Module> {
        if let Some(module) = self.cached(name) {
            return Ok(module);
        }
        let module = Module::new(self.engine.wasmtime(), wasm)?;
        self.cache.write(name, &module.serialize()?);
        // Of what is mapped, memory holds only what is used, and all processes hold it once.
        Ok(self.cached(name).unwrap_or(module))
    }

    fn cached(&self, name: &str) -> Option<Module> {
        let code = self.cache.open_entry(name)?;
        // SAFETY: the cache says that this host wrote this file under this name, which holds the
        // hash of the source and the fingerprint of the engine's settings. What is mapped stays
        // as it is: only this user can write there, and we replace files and never change one.
        let module = unsafe { Module::deserialize_open_file(self.engine.wasmtime(), code) }.ok()?;
        forget(&module);
        Some(module)
    }

    fn make_room(&self) {
        let modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let held = modules
            .iter()
            .filter(|(_, module)| module.strong_count() > 0);
        let names: HashSet<_> = held.map(|(source, _)| self.name(*source)).collect();
        drop(modules);
        self.cache.make_room(|name| names.contains(name));
    }

    /// Changes with the version of wasmtime, the processor and every setting that changes the code.
    fn fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};

        let mut hasher = DefaultHasher::new();
        self.engine
            .wasmtime()
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        hasher.finish()
    }
}

/// Takes out of memory what was only looked at to load it; the file still has it.
fn forget(module: &Module) {
    let image = module.image_range();
    let bytes = image.end.addr() - image.start.addr();
    // A kernel that takes no advice only needs more memory.
    // SAFETY: the range is the module's own mapping of its file, and nothing was written to it: it has
    // no relocations, and wasmtime has made it read-only.
    let _ = unsafe { madvise(image.start.cast_mut().cast(), bytes, Advice::LinuxDontNeed) };
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn what_somebody_holds_stays_in_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = Compiler::new(&Config {
            cache: Some(folder.path().to_owned()),
            max_instances: 1,
            ..Config::default()
        });
        let compiler = compiler.unwrap();
        let component = |constant: u32| {
            let module = format!("(core module (func (result i32) i32.const {constant}))");
            wat::parse_str(format!("(component {module} (core module (memory 1)))")).unwrap()
        };
        let held = compiler.compile(&component(1)).unwrap();
        compiler.compile(&component(2)).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(99 * 24 * 60 * 60);
        let entries = || {
            let files = folder.path().read_dir().unwrap();
            let paths = files.map(|file| file.unwrap().path());
            paths
                .filter(|path| path.extension().is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(entries().len(), 3);
        for path in entries() {
            File::open(path).unwrap().set_modified(long_ago).unwrap();
        }
        compiler.make_room();
        assert_eq!(entries().len(), 2);
        drop(held);
        compiler.make_room();
        assert!(entries().is_empty());
    }
}
