//! Compiled functions, each by itself.
//!
//! The code of two modelets differs in which of the engine's functions it has. What is in no cache as a
//! whole is put together from functions that others were compiled to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmtime::CacheStore;

use crate::cache::{CodeCache, FUNCTIONS};

/// With more than this, those of engines that are no longer used have had their time.
const MAX_BYTES: usize = 256 << 20;

/// Less than this part of all is not worth writing all for it: it is compiled again.
const WORTH_WRITING: usize = 16;

/// What the cache has, while modules are compiled: it is large.
#[derive(Debug)]
pub struct Functions {
    cache: CodeCache,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Modules that are being compiled.
    n_compiling: usize,
    /// Read when the first of them asks.
    known: Option<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By what the compiler calls a function: a hash of it, of the processor and of the compiler's version. Places
    /// count from where the code begins.
    places: HashMap<Vec<u8>, Range<usize>>,
    bytes: Vec<u8>,
    code_start: usize,
    /// So many bytes of code are in the cache.
    written: usize,
}

impl Functions {
    pub fn new(cache: CodeCache) -> Functions {
        Functions {
            cache,
            state: Mutex::default(),
        }
    }

    /// Lets `compile` use what is known and add to it. What compiles outside of this does without.
    pub fn during<T>(&self, compile: impl FnOnce() -> T) -> T {
        self.lock().n_compiling += 1;
        let compiled = compile();
        let mut state = self.lock();
        state.n_compiling -= 1;
        if state.n_compiling == 0
            && let Some(known) = state.known.take()
        {
            drop(state);
            known.write(&self.cache);
        }
        compiled
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        if state.n_compiling == 0 {
            return None;
        }
        let read = || Known::read(&self.cache).unwrap_or_default();
        work(state.known.get_or_insert_with(read))
    }
}

impl Known {
    fn read(cache: &CodeCache) -> Option<Known> {
        let bytes = cache.read_entry(FUNCTIONS)?;
        let (places, code) = postcard::take_from_bytes(&bytes).ok()?;
        let written = code.len();
        (written < MAX_BYTES).then(|| Known {
            places,
            code_start: bytes.len() - written,
            written,
            bytes,
        })
    }

    /// Unless too little was added.
    fn write(&self, cache: &CodeCache) {
        let code = &self.bytes[self.code_start..];
        let added = code.len() - self.written;
        if added > self.written / WORTH_WRITING
            // There is nothing in it that could not be written.
            && let Ok(mut bytes) = postcard::to_allocvec(&self.places)
        {
            bytes.extend(code);
            cache.write(FUNCTIONS, &bytes);
        }
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.with(|known| {
            let place = known.places.get(key)?.clone();
            let code = known.bytes.get(known.code_start..)?;
            Some(Cow::Owned(code.get(place)?.to_vec()))
        })
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let inserted = self.with(|known| {
            let start = known.bytes.len() - known.code_start;
            known
                .places
                .insert(key.to_owned(), start..start + value.len());
            known.bytes.extend(value);
            Some(())
        });
        inserted.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_again_until_the_cache_is_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let functions = || Functions::new(CodeCache::open(folder.path()).unwrap());
        let first = functions();
        first.during(|| {
            assert!(first.get(b"one").is_none());
            assert!(first.insert(b"one", vec![1; 10]));
            first.insert(b"two", vec![2; 20]);
        });
        let second = functions();
        second.during(|| {
            assert_eq!(second.get(b"two").as_deref(), Some(&[2; 20][..]));
            second.insert(b"three", vec![3; 30]);
        });
        let third = functions();
        third.during(|| {
            assert_eq!(third.get(b"one").as_deref(), Some(&[1; 10][..]));
            assert_eq!(third.get(b"three").as_deref(), Some(&[3; 30][..]));
        });
        std::fs::write(folder.path().join(FUNCTIONS), vec![7; 100]).unwrap();
        let fourth = functions();
        fourth.during(|| assert!(fourth.get(b"one").is_none()));
    }

    /// A server that had all its code in the cache read, and kept, that of all functions for what holds a
    /// component together.
    #[test]
    fn nothing_is_kept_while_no_module_is_compiled() {
        let folder = tempfile::tempdir().unwrap();
        let functions = Functions::new(CodeCache::open(folder.path()).unwrap());
        functions.during(|| functions.insert(b"one", vec![1; 10]));
        assert!(functions.get(b"one").is_none());
        assert!(!functions.insert(b"two", vec![2; 20]));
        assert!(functions.lock().known.is_none());
    }
}
