//! Compiled code on disk, trusted only if this host wrote it, and bounded.
//!
//! wasmtime runs whatever it deserialises, so an entry must be known to be our own. Each carries a
//! keyed hash over its name and its contents, and the key lies beside the entries, readable by
//! their owner alone. What does not verify is compiled again and overwritten.

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

mod room;

use room::{Entry, most_bytes, surplus};

const TAG_BYTES: usize = 32;

/// Ends the name of a compiled module's entry.
pub const MODULE: &str = ".cwasm";

/// The entry that holds functions.
pub const FUNCTIONS: &str = "functions";

/// What a file's blocks are counted in, whatever the disk has.
const BLOCK_BYTES: u64 = 512;

/// What is looked at as a whole for being zeros: some of a disk's blocks.
const HOLE_BYTES: usize = 64 << 10;

/// A directory of compiled code, or none.
#[derive(Clone, Debug, Default)]
pub struct CodeCache {
    place: Option<Arc<Place>>,
}

#[derive(Debug)]
struct Place {
    directory: PathBuf,
    key: [u8; 32],
}

impl CodeCache {
    /// Opens or makes the directory. The error names the path.
    pub fn open(directory: &Path) -> io::Result<CodeCache> {
        let place = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .and_then(|()| key(&directory.join("key")))
            .map(|key| Place {
                directory: directory.to_owned(),
                key,
            })
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!(
                        "the code cache {} cannot be used: {error}",
                        directory.display()
                    ),
                )
            })?;
        Ok(CodeCache {
            place: Some(Arc::new(place)),
        })
    }

    /// What was written under `name`, if this host wrote it: a file that holds the code and then the tag.
    pub fn open_entry(&self, name: &str) -> Option<fs::File> {
        let place = self.place.as_ref()?;
        let mut file = fs::File::open(place.directory.join(name)).ok()?;
        let is_sealed = is_sealed(&place.key, name, &mut file);
        used(name, &file, is_sealed.is_ok_and(|sealed| sealed)).then_some(file)
    }

    /// What was written under `name`, if this host wrote it.
    pub fn read_entry(&self, name: &str) -> Option<Vec<u8>> {
        let place = self.place.as_ref()?;
        let mut file = fs::File::open(place.directory.join(name)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let tag = bytes.split_off(bytes.len().checked_sub(TAG_BYTES)?);
        let expected = begin_tag(&place.key, name).update(&bytes).finalize();
        let is_sealed = <[u8; TAG_BYTES]>::try_from(tag).is_ok_and(|tag| expected == tag);
        used(name, &file, is_sealed).then_some(bytes)
    }

    /// Keeps `code` under `name`. A failure is logged: the entry is only a copy.
    pub fn write(&self, name: &str, code: &[u8]) {
        let Some(place) = &self.place else { return };
        if let Err(error) = write_sealed(&place.directory, &place.key, name, code) {
            tracing::warn!(name, %error, "compiled code could not be cached");
        }
    }

    /// Removes what nobody needed for long, and what is more than the disk should hold; not entries that are in use
    /// here. What another process has mapped stays until it is not.
    pub fn make_room(&self, is_in_use: impl Fn(&str) -> bool) {
        let Some(place) = &self.place else { return };
        let Ok(disk) = rustix::fs::statvfs(&place.directory) else {
            return;
        };
        let entries = entries(&place.directory, is_in_use).collect();
        let most = most_bytes(disk.f_blocks.saturating_mul(disk.f_frsize));
        for entry in surplus(entries, SystemTime::now(), most) {
            // Another process may have been faster, and who may not remove it has the room to keep it.
            let _ = fs::remove_file(entry.path);
        }
    }
}

/// Notes that an entry was used, if it is our own; says so if not.
fn used(name: &str, entry: &fs::File, is_own: bool) -> bool {
    if is_own {
        // An entry whose time cannot be set is only removed sooner.
        let _ = entry.set_modified(SystemTime::now());
    } else {
        tracing::warn!(
            name,
            "a cache entry is not what this host wrote; compiling again"
        );
    }
    is_own
}

/// Of what lies in a directory. What cannot be looked at is left alone.
fn entries(directory: &Path, is_in_use: impl Fn(&str) -> bool) -> impl Iterator<Item = Entry> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(move |file| {
        let name = file.file_name().into_string().ok()?;
        let about = file.metadata().ok()?;
        (about.is_file() && is_entry(&name)).then_some(Entry {
            path: file.path(),
            is_in_use: is_in_use(&name),
            used: about.modified().ok()?,
            bytes: about.blocks() * BLOCK_BYTES,
        })
    })
}

/// Whether a file is an entry, or was to become one. Whatever else somebody keeps there is not ours to remove.
fn is_entry(name: &str) -> bool {
    let name = match name.strip_prefix('.') {
        Some(unfinished) => unfinished.rsplit_once('.').map_or("", |(name, _)| name),
        None => name,
    };
    name == FUNCTIONS || name.ends_with(MODULE)
}

/// Whether `file` ends with our tag of this name and of what comes before it.
fn is_sealed(key: &[u8; 32], name: &str, file: &mut fs::File) -> io::Result<bool> {
    let Some(length) = file.metadata()?.len().checked_sub(TAG_BYTES as u64) else {
        return Ok(false);
    };
    let mut hasher = begin_tag(key, name);
    hasher.update_reader(Read::take(&mut *file, length))?;
    let mut tag = [0; TAG_BYTES];
    file.read_exact(&mut tag)?;
    Ok(hasher.finalize() == tag)
}

/// Writes `code` and its tag, in one step: a reader sees the old entry or the new one.
fn write_sealed(directory: &Path, key: &[u8; 32], name: &str, code: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(format!(".{name}.{}", std::process::id()));
    let written = create_private(&unfinished).and_then(|mut file| {
        write_sparse(&mut file, code)?;
        let tag = begin_tag(key, name).update(code).finalize();
        file.write_all(tag.as_bytes())?;
        fs::rename(&unfinished, directory.join(name))
    });
    if written.is_err() {
        // The entry is only a copy; what is left of it may not even exist.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn begin_tag(key: &[u8; 32], name: &str) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    hasher
}

/// Leaves out what is all zeros, as most of a large model's memory may be: such parts take no room on a disk.
fn write_sparse(file: &mut fs::File, bytes: &[u8]) -> io::Result<()> {
    for part in bytes.chunks(HOLE_BYTES) {
        if part.iter().all(|byte| *byte == 0) {
            file.seek_relative(part.len() as i64)?;
        } else {
            file.write_all(part)?;
        }
    }
    Ok(())
}

fn create_private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// The host's own key, made on first use.
fn key(path: &Path) -> io::Result<[u8; 32]> {
    if !path.exists() {
        let mut fresh = [0; 32];
        fs::File::open("/dev/urandom")?.read_exact(&mut fresh)?;
        let unfinished = path.with_extension(std::process::id().to_string());
        create_private(&unfinished)?.write_all(&fresh)?;
        // A link fails where another process was first; its key is then the one.
        let linked = fs::hard_link(&unfinished, path);
        fs::remove_file(&unfinished)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    fs::read(path)?.try_into().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "its key file does not hold 32 bytes; remove the directory to begin anew",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The code of a model with a hundred megabytes of weights took three times as much of the disk.
    #[test]
    fn zeros_take_no_room() {
        let directory = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(directory.path()).unwrap();
        let mut code = vec![0; 100 * HOLE_BYTES + 1];
        code[0] = 1;
        code[50 * HOLE_BYTES] = 2;
        cache.write("sparse", &code);
        assert_eq!(cache.read_entry("sparse"), Some(code));
        let file = cache.open_entry("sparse").unwrap().metadata().unwrap();
        assert!(file.blocks() * 512 < 10 * HOLE_BYTES as u64, "{file:?}");
    }

    #[test]
    fn what_nobody_used_for_long_makes_room_and_the_rest_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let cache = CodeCache::open(directory.path()).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(60 * 24 * 60 * 60);
        for name in ["held.cwasm", "used.cwasm", "unused.cwasm", FUNCTIONS] {
            cache.write(name, b"code");
        }
        fs::create_dir(path("folder.cwasm")).unwrap();
        let theirs = ["functions.rs", ".cwasm.toml", "notes"];
        for name in [".unfinished.cwasm.7", ".functions.7"]
            .iter()
            .chain(&theirs)
        {
            fs::write(path(name), "").unwrap();
        }
        for file in directory.path().read_dir().unwrap() {
            let file = fs::File::open(file.unwrap().path()).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        assert!(cache.open_entry("used.cwasm").is_some());
        cache.make_room(|name| name == "held.cwasm");
        for (name, stays) in [
            ("held.cwasm", true),
            ("used.cwasm", true),
            ("unused.cwasm", false),
            (FUNCTIONS, false),
            (".unfinished.cwasm.7", false),
            (".functions.7", false),
            ("key", true),
            ("folder.cwasm", true),
            (theirs[0], true),
            (theirs[1], true),
            (theirs[2], true),
        ] {
            assert_eq!(path(name).exists(), stays, "{name}");
        }
    }
}
