//! From a repository to a folder that others host.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use modelet_bundle::{Web, Written, spin, web};

use crate::inspect;

/// Write a repository's models as a folder that runs elsewhere
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(clap::Subcommand)]
enum Kind {
    Web(WebArguments),
    Spin(SpinArguments),
}

/// A static site: models that run in the browser, and a page that shows them
#[derive(clap::Args)]
struct WebArguments {
    /// The repository, as `modelet serve` takes it
    repository: PathBuf,
    /// The folder to write: a new one, an empty one, or an earlier bundle
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// A server with the same models, to be asked where the browser fails, or first; `.` is the page's own
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// An application for Spin, and one component with all of it for other hosts of WASI HTTP
#[derive(clap::Args)]
struct SpinArguments {
    /// The repository, as `modelet serve` takes it
    repository: PathBuf,
    /// The folder to write: a new one, an empty one, or an earlier bundle
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub fn bundle(arguments: &Arguments) -> Result<()> {
    match &arguments.kind {
        Kind::Web(arguments) => {
            let options = Web {
                server: arguments.server.clone(),
            };
            let written = web(&arguments.repository, &arguments.output, &options)?;
            tell(&written, &arguments.output, "any file server can host it")
        }
        Kind::Spin(arguments) => {
            let written = spin(&arguments.repository, &arguments.output)?;
            tell(&written, &arguments.output, "`spin up` there serves it")
        }
    }
}

fn tell(written: &[Written], folder: &Path, how: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    for file in written {
        writeln!(out, "{:>9}  {}", inspect::size(file.bytes), file.path)?;
    }
    let total = written.iter().map(|file| file.bytes).sum();
    let (total, folder) = (inspect::size(total), folder.display());
    writeln!(out, "{total:>9}  in {folder}; {how}")?;
    Ok(())
}
