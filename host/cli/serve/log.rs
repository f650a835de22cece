//! The log: lines on standard error. Those of requests are written a few at a time.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::settings::LogFormat;

/// How long a line of a request waits at most.
const DELAY: Duration = Duration::from_millis(100);

/// With more than this nothing waits.
const MOST_BYTES: usize = 32 << 10;

/// Until it is dropped.
pub struct Log(Lines);

/// Starts it; `RUST_LOG` chooses the level.
pub fn start(format: LogFormat) -> Result<Log> {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .from_env()
        .context("RUST_LOG cannot be understood")?;
    let lines = Lines::default();
    let late = lines.clone();
    thread::Builder::new()
        .name("modelet-log".to_owned())
        .spawn(move || late.keep_writing())
        .context("the log's thread does not start")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines.clone())
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(Log(lines))
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.write_all();
    }
}

/// Lines that are not written yet.
#[derive(Clone, Default)]
struct Lines {
    waiting: Arc<(Mutex<Vec<u8>>, Condvar)>,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        // Half a line, at worst.
        self.waiting
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self) {
        write(&mut self.lock());
    }

    /// For ever.
    fn keep_writing(&self) {
        loop {
            let waiting = self.lock();
            let is_empty = |waiting: &mut Vec<u8>| waiting.is_empty();
            let waiting = self.waiting.1.wait_while(waiting, is_empty);
            drop(waiting);
            thread::sleep(DELAY);
            self.write_all();
        }
    }
}

/// Nobody can be told that standard error is not there.
fn write(waiting: &mut Vec<u8>) {
    let _ = io::stderr().write_all(waiting);
    waiting.clear();
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            lines: self,
            is_urgent: true,
        }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line<'a> {
        Line {
            lines: self,
            is_urgent: event.target() != modelet_server::REQUEST_LOG,
        }
    }
}

struct Line<'a> {
    lines: &'a Lines,
    is_urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut waiting = self.lines.lock();
        let is_first = waiting.is_empty();
        waiting.extend_from_slice(bytes);
        if self.is_urgent || waiting.len() > MOST_BYTES {
            write(&mut waiting);
        } else if is_first {
            self.lines.waiting.1.notify_one();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
