//! A modelet compiled ahead for one kind of machine, in a file that is mapped and not read.
//!
//! ```text
//! machine code, as wasmtime writes it │ what it was made of, JSON │ length │ SHA-256 │ MAGIC
//! ```
//!
//! wasmtime wants the file's beginning, so what is ours comes at the end. The digest is over all before
//! it: it finds what was damaged on its way. It finds no forgery, for whoever can write the file can
//! write the digest: compiled code is trusted like any other program that is installed.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use modelet_artifact::Facts;
use rustix::fs::Advice;
use rustix::mm::{Advice as MapAdvice, madvise};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, Linker};

use crate::{Engine, Limits, LoadError, Modelet, Target};

/// The last bytes of every such file; another layout has others.
const MAGIC: [u8; 8] = *b"modelet1";

const DIGEST_BYTES: usize = 32;

/// The length, the digest and the magic.
const END_BYTES: usize = 4 + DIGEST_BYTES + MAGIC.len();

/// Nothing that is known of a modelet is longer.
const ABOUT_LIMIT_BYTES: u64 = 16 << 20;

/// Read at one time, so that checking a file takes no memory of its size.
const READ_BYTES: usize = 64 << 10;

/// A compiled file that is whole and for this machine, but not mapped yet.
#[derive(Debug)]
pub struct Precompiled {
    file: File,
    target: Target,
    modelet: Facts,
}

/// What stands behind the machine code.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    target: String,
    /// Of the modelet that was compiled.
    modelet: Facts,
}

/// Why a file is not run.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("it is a modelet that is not compiled; {how}", how = how())]
    NotCompiled,
    #[error("it is no compiled modelet, or its end is missing; {how}", how = how())]
    Foreign,
    #[error("it is damaged; copy it here again, or {how}", how = how())]
    Damaged,
    #[error("it is compiled for {0}, and this machine is {here}; {how}", here = Target::HERE, how = how())]
    Target(String),
    #[error(
        "it is compiled by another version of `modelet`, or for a processor that has more than this one \
         ({0}); {how}", how = how()
    )]
    Engine(String),
}

fn how() -> String {
    let here = Target::HERE;
    format!("write it anew with `modelet compile model.wasm --target {here} --output model.cwasm`")
}

/// The file of `code`, which wasmtime compiled for `target`.
pub fn seal(code: Vec<u8>, target: Target, modelet: &Facts) -> Vec<u8> {
    let about = About {
        target: target.to_string(),
        modelet: modelet.clone(),
    };
    let about = serde_json::to_vec(&about).expect("strings and numbers always serialise");
    let length = u32::try_from(about.len()).expect("a section of a component is below 4 GiB");
    let mut file = code;
    file.extend(about);
    file.extend(length.to_le_bytes());
    let digest = Sha256::digest(&file);
    file.extend(digest);
    file.extend(MAGIC);
    file
}

impl Precompiled {
    /// Checks a file from its first byte to its last.
    pub fn open(path: &Path) -> Result<Precompiled, Refused> {
        let mut file = File::open(path)?;
        let (length, digest) = end(&mut file)?;
        let hashed = file.metadata()?.len() - (DIGEST_BYTES + MAGIC.len()) as u64;
        if hash(&mut file, hashed)? != digest {
            return Err(Refused::Damaged);
        }
        // What was read for the digest need not stay: hardly any of it will be used. That it stays
        // anyway where the kernel takes no advice is no error.
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
        let About { target, modelet } = about(&mut file, hashed - 4, length)?;
        match target
            .parse()
            .ok()
            .filter(|target| Target::runs_here(*target))
        {
            Some(target) => Ok(Precompiled {
                file,
                target,
                modelet,
            }),
            None => Err(Refused::Target(target)),
        }
    }

    pub fn target(&self) -> Target {
        self.target
    }

    /// What the modelet says about itself that was compiled.
    pub fn modelet(&self) -> &Facts {
        &self.modelet
    }

    /// Maps the code. `engine` is for the file's target.
    pub fn load(self, engine: &Engine, limits: Limits) -> Result<Modelet, LoadError> {
        let engine = engine.wasmtime();
        // The file that was checked, whatever has its name by now.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        // SAFETY: the file is whole and says that `modelet compile` wrote it, which is trusted as is
        // said above; wasmtime itself compares its version and all settings. That nobody writes into the
        // file while it is mapped is asked of whoever installs it: files are replaced, not rewritten.
        let component = unsafe { Component::deserialize_file(engine, path) };
        let component = component.map_err(|error| Refused::Engine(format!("{error:#}")))?;
        read_sparingly(&component);
        Modelet::new(&Linker::new(engine), &component, self.modelet, limits, ())
    }
}

/// Lets the kernel read and map single pages of the code: a call runs a little here and a little there,
/// and around each of those places it would take hundreds of kilobytes into memory that nobody runs.
fn read_sparingly(component: &Component) {
    let image = component.image_range();
    let bytes = image.end.addr() - image.start.addr();
    // A kernel that takes no advice only needs more memory.
    // SAFETY: the range is the component's own mapping, and advice on how it is read changes nothing
    // that is in it.
    let _ = unsafe { madvise(image.start.cast_mut().cast(), bytes, MapAdvice::Random) };
}

/// How long the description is, and the digest of all that comes before the digest.
fn end(file: &mut File) -> Result<(u32, [u8; DIGEST_BYTES]), Refused> {
    let mut beginning = [0; 4];
    let is_modelet = file.read_exact(&mut beginning).is_ok() && beginning == *b"\0asm";
    let mut end = [0; END_BYTES];
    let is_long_enough = file.metadata()?.len() >= END_BYTES as u64;
    if is_long_enough {
        file.seek(SeekFrom::End(-(END_BYTES as i64)))?;
        file.read_exact(&mut end)?;
    }
    let (length, rest) = end
        .split_first_chunk()
        .expect("the end is longer than 4 bytes");
    let (digest, magic) = rest.split_first_chunk().expect("a digest is next");
    match () {
        () if is_modelet => Err(Refused::NotCompiled),
        () if magic != MAGIC => Err(Refused::Foreign),
        () => Ok((u32::from_le_bytes(*length), *digest)),
    }
}

fn hash(file: &mut File, bytes: u64) -> io::Result<[u8; DIGEST_BYTES]> {
    file.rewind()?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; READ_BYTES]);
    let mut rest = file.take(bytes);
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// The description that ends at `end`.
fn about(file: &mut File, end: u64, length: u32) -> Result<About, Refused> {
    let length = u64::from(length);
    let begin = end.checked_sub(length).ok_or(Refused::Foreign)?;
    if length > ABOUT_LIMIT_BYTES {
        return Err(Refused::Foreign);
    }
    file.seek(SeekFrom::Start(begin))?;
    let mut json = Vec::new();
    file.take(length).read_to_end(&mut json)?;
    serde_json::from_slice(&json).map_err(|_| Refused::Foreign)
}
