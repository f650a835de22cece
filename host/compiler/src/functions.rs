//! Compiled functions, each by itself.
//!
//! The code of two modelets differs in which of the engine's functions it has. What is in no cache as a
//! whole is put together from functions that others were compiled to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmtime::CacheStore;

use crate::cache::CodeCache;

/// The one entry of the cache that holds all of them.
const NAME: &str = "functions";

/// With more than this, those of engines that are no longer used have had their time.
const MAX_BYTES: usize = 256 << 20;

/// Less than this part of all is not worth writing all for it: it is compiled again.
const WORTH_WRITING: usize = 16;

/// What the cache has, read when a compiler first asks, and not kept longer than it compiles.
#[derive(Debug)]
pub struct Functions {
    cache: CodeCache,
    known: Mutex<Option<Known>>,
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
            known: Mutex::new(None),
        }
    }

    /// Writes what was added, and forgets everything. For when something was compiled.
    pub fn store(&self) {
        let Some(known) = self.lock().take() else {
            return;
        };
        let code = &known.bytes[known.code_start..];
        let added = code.len() - known.written;
        if added > known.written / WORTH_WRITING
            // There is nothing in it that could not be written.
            && let Ok(mut bytes) = postcard::to_allocvec(&known.places)
        {
            bytes.extend(code);
            self.cache.write(NAME, &bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.lock();
        work(known.get_or_insert_with(|| Known::read(&self.cache).unwrap_or_default()))
    }
}

impl Known {
    fn read(cache: &CodeCache) -> Option<Known> {
        let bytes = cache.read_entry(NAME)?;
        let (places, code) = postcard::take_from_bytes(&bytes).ok()?;
        let written = code.len();
        (written < MAX_BYTES).then(|| Known {
            places,
            code_start: bytes.len() - written,
            written,
            bytes,
        })
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
        self.with(|known| {
            let start = known.bytes.len() - known.code_start;
            known
                .places
                .insert(key.to_owned(), start..start + value.len());
            known.bytes.extend(value);
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_again_until_the_cache_is_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let cache = || CodeCache::open(folder.path()).unwrap();
        let functions = Functions::new(cache());
        assert!(functions.get(b"one").is_none());
        functions.insert(b"one", vec![1; 10]);
        functions.insert(b"two", vec![2; 20]);
        functions.store();
        let again = Functions::new(cache());
        assert_eq!(again.get(b"two").as_deref(), Some(&[2; 20][..]));
        again.insert(b"three", vec![3; 30]);
        again.store();
        let again = Functions::new(cache());
        assert_eq!(again.get(b"one").as_deref(), Some(&[1; 10][..]));
        assert_eq!(again.get(b"three").as_deref(), Some(&[3; 30][..]));
        std::fs::write(folder.path().join(NAME), b"something else").unwrap();
        assert!(Functions::new(cache()).get(b"one").is_none());
    }
}
