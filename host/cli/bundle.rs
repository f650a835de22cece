//! From a repository to a folder that others host.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Result;
use modelet_bundle::{Web, web};

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

pub fn bundle(arguments: &Arguments) -> Result<()> {
    let Kind::Web(arguments) = &arguments.kind;
    let options = Web {
        server: arguments.server.clone(),
    };
    let written = web(&arguments.repository, &arguments.output, &options)?;
    let mut out = io::stdout().lock();
    for file in &written {
        writeln!(out, "{:>9}  {}", inspect::size(file.bytes), file.path)?;
    }
    let total = written.iter().map(|file| file.bytes).sum();
    writeln!(
        out,
        "{:>9}  in {}; any file server can host it",
        inspect::size(total),
        arguments.output.display()
    )?;
    Ok(())
}
