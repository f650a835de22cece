//! What pushing and pulling show.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use modelet_store::Digest;
use modelet_store::transfer::{Progress, nobody};

use crate::inspect;

/// Runs to the end what waits for others.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("nothing can be waited for")?.block_on(work)
}

pub fn told(digest: Digest, bytes: u64, is_signed: bool) -> String {
    let signed = if is_signed { "signed" } else { "not signed" };
    format!("{digest}  {}, {signed}", inspect::size(bytes))
}

/// A bar on a terminal, and nothing elsewhere.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    pub fn start() -> Bar {
        if !io::stderr().is_terminal() {
            return Bar(None);
        }
        let template = "{spinner} [{bar:20}] {bytes} of {total_bytes}, {bytes_per_sec}";
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        Bar(Some(ProgressBar::new(0).with_style(style)))
    }

    pub fn progress(&self) -> Progress {
        let Some(bar) = self.0.clone() else {
            return nobody();
        };
        Arc::new(move |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
