//! Compiled functions, each by itself.
//!
//! The code of two modelets differs in which of the engine's functions it has. What is in no cache as a
//! whole is put together from functions that others were compiled to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read as _, Seek as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmtime::CacheStore;

use crate::cache::CodeCache;

/// The one entry of the cache that holds all of them.
const NAME: &str = "functions";

/// With more than this, those of engines that are no longer used have had their time.
const MAX_BYTES: usize = 256 << 20;

/// What the cache has, read when a compiler first asks, and not kept longer than it compiles.
#[derive(Debug)]
pub struct Functions {
    cache: CodeCache,
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// By what the compiler calls them: a hash of the function, the processor and the compiler's version.
    code: HashMap<Vec<u8>, Vec<u8>>,
    are_written: bool,
}

impl Functions {
    pub fn new(cache: CodeCache) -> Functions {
        Functions {
            cache,
            known: Mutex::new(None),
        }
    }

    /// Writes what was added, and forgets everything. For when something was compiled.
    pub fn store(&self) {
        let Some(known) = self.lock().take().filter(|known| !known.are_written) else {
            return;
        };
        // A map of bytes has nothing that could not be written.
        if let Ok(bytes) = postcard::to_allocvec(&known.code) {
            self.cache.write(NAME, &bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.lock();
        work(known.get_or_insert_with(|| Known::read(&self.cache)))
    }
}

impl Known {
    fn read(cache: &CodeCache) -> Known {
        let mut bytes = Vec::new();
        let read = cache.open_entry(NAME).and_then(|mut entry| {
            entry.rewind().ok()?;
            entry.read_to_end(&mut bytes).ok()
        });
        // The tag, behind the map, is not read.
        let code: HashMap<Vec<u8>, Vec<u8>> = read
            .and_then(|_| postcard::from_bytes(&bytes).ok())
            .unwrap_or_default();
        let size: usize = code.values().map(Vec::len).sum();
        Known {
            code: if size > MAX_BYTES {
                HashMap::new()
            } else {
                code
            },
            are_written: true,
        }
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.with(|known| known.code.get(key).cloned().map(Cow::Owned))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        self.with(|known| {
            known.code.insert(key.to_owned(), value);
            known.are_written = false;
        });
        true
    }
}
