//! Machine code of single functions, shared by all modelets.
//!
//! All entries live in one file: it is read when the compiler first asks, and written whole when
//! there are new ones. The file is sealed like every other entry of the code cache.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{OnceLock, RwLock};

use crate::cache::{open_sealed, write_sealed};

const FILE: &str = "functions";

/// Above this the file is begun anew. One engine's functions take a tenth of it.
const LIMIT_BYTES: usize = 1 << 30;

type Entries = HashMap<Vec<u8>, Vec<u8>>;

/// The store that wasmtime asks before it compiles a function.
#[derive(Debug)]
pub struct Functions {
    directory: PathBuf,
    key: [u8; 32],
    known: OnceLock<Entries>,
    fresh: RwLock<Entries>,
}

impl Functions {
    pub fn new(directory: PathBuf, key: [u8; 32]) -> Functions {
        Functions {
            directory,
            key,
            known: OnceLock::new(),
            fresh: RwLock::default(),
        }
    }

    fn known(&self) -> &Entries {
        self.known.get_or_init(|| {
            std::fs::read(self.directory.join(FILE))
                .ok()
                .and_then(|contents| open_sealed(&self.key, FILE, contents))
                .and_then(|contents| parse(&contents))
                .unwrap_or_default()
        })
    }

    /// Writes the file if functions were compiled since it was read.
    pub fn save(&self) {
        let fresh = self
            .fresh
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if fresh.is_empty() {
            return;
        }
        let known = self.known();
        let size = |entries: &Entries| entries.values().map(Vec::len).sum::<usize>();
        let keep_known = size(known) + size(&fresh) < LIMIT_BYTES;
        let old = known
            .iter()
            .filter(|(key, _)| keep_known && !fresh.contains_key(*key));
        let mut contents = Vec::new();
        for (key, value) in old.chain(fresh.iter()) {
            for part in [key, value] {
                contents.extend((part.len() as u32).to_le_bytes());
                contents.extend(part);
            }
        }
        if let Err(error) = write_sealed(&self.directory, &self.key, FILE, &[&contents]) {
            tracing::warn!(%error, "compiled functions could not be cached");
        }
    }
}

impl wasmtime::CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        if let Some(value) = self.known().get(key) {
            return Some(Cow::Borrowed(value));
        }
        let fresh = self.fresh.read().ok()?;
        fresh.get(key).map(|value| Cow::Owned(value.clone()))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let Ok(mut fresh) = self.fresh.write() else {
            return false;
        };
        fresh.insert(key.to_owned(), value);
        true
    }
}

fn parse(mut contents: &[u8]) -> Option<Entries> {
    let mut entries = Entries::new();
    while !contents.is_empty() {
        let (key, rest) = part(contents)?;
        let (value, rest) = part(rest)?;
        entries.insert(key.to_owned(), value.to_owned());
        contents = rest;
    }
    Some(entries)
}

fn part(contents: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = contents.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}
