//! Where compiled code is kept when nobody says otherwise.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The option that every command which compiles has.
#[derive(clap::Args)]
pub struct Cache {
    /// Keep compiled code, and replicas of object stores, in this directory [default:
    /// $XDG_CACHE_HOME/modelet or ~/.cache/modelet]
    #[arg(long = "cache", value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Cache {
    /// The directory that was asked for, else the user's own. `None`, after a warning, where the
    /// user's own cannot be made: a read-only home is no reason not to run.
    pub fn directory(&self) -> Option<PathBuf> {
        self.directory.clone().or_else(of_the_user)
    }

    /// As [`Cache::directory`], with a configured directory before the user's own.
    pub fn directory_or(&self, configured: Option<&Path>) -> Option<PathBuf> {
        self.directory
            .clone()
            .or_else(|| configured.map(Path::to_owned))
            .or_else(of_the_user)
    }
}

fn of_the_user() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let directory = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))?
        .join("modelet");
    match fs::create_dir_all(&directory) {
        Ok(()) => Some(directory),
        Err(error) => {
            let _ = writeln!(
                io::stderr(),
                "warning: compiled code is not kept: {}: {error} (choose a place with --cache)",
                directory.display()
            );
            None
        }
    }
}
