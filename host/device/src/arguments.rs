//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use modelet_policy::units;

/// Serve compiled modelets without a compiler: the Open Inference Protocol over HTTP, or a JSON request
/// per line
#[derive(Parser)]
#[command(name = "modelet-device", version, max_term_width = 100)]
pub struct Arguments {
    /// Repositories of compiled modelets (MODEL/VERSION/model.cwasm), or single files, as `modelet
    /// compile` writes them
    #[arg(required = true, value_name = "DIR|FILE")]
    pub paths: Vec<PathBuf>,
    /// Answer HTTP here
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Answer a request per line of standard input with a line on standard output
    #[arg(long, conflicts_with = "listen")]
    pub stdio: bool,
    /// Inferences at one time [default: one per processor]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub concurrency: Option<usize>,
    /// Requests that wait for their turn; over it: 503 at once
    #[arg(long, default_value = "16", value_name = "N")]
    pub queue: usize,
    /// Connections at one time; others wait to be accepted
    #[arg(long, default_value = "32", value_name = "N", value_parser = at_least_one)]
    pub connections: usize,
    /// The largest request
    #[arg(long, default_value = "8MiB", value_name = "SIZE", value_parser = size)]
    pub body: u64,
    /// Memory of one instance of a model whose model.toml has no limit
    #[arg(long, default_value = "256MiB", value_name = "SIZE", value_parser = size)]
    pub memory: u64,
    /// From a request's headers to its answer, fallbacks included
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = time)]
    pub timeout: Duration,
}

impl Arguments {
    pub fn concurrency(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        self.concurrency.unwrap_or_else(processors)
    }

    /// The largest request, in bytes that can be addressed here.
    pub fn body_bytes(&self) -> usize {
        usize::try_from(self.body).unwrap_or(usize::MAX)
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=1024).contains(number));
    number.ok_or_else(|| "a whole number from 1 to 1024".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    units::bytes(text).ok_or_else(|| "a size, such as 8MiB".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| "a time, such as 500ms or 60s".to_owned())
}
