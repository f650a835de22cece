//! How long `serve` takes until it is ready.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{serve, serve_from};
use crate::Bench;
use crate::table::{Table, time};

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    for (known, cache) in [
        (None, "nothing"),
        (Some("iris"), "another modelet of this engine"),
    ] {
        let what = format!("`serve` until ready, its cache knows {cache}: mobilenet");
        table.row(what, time(unseen(bench, known)?), "≤ 1 s");
    }
    for (name, promise) in [
        ("iris", "≤ 200 ms"),
        ("mobilenet", "≤ 200 ms"),
        ("large", ""),
    ] {
        let what = format!("restart of `serve` with cached code until ready: {name}");
        table.row(what, time(restart(bench, name)?), promise);
    }
    Ok(())
}

/// The median of three starts, each with a cache that has seen `known` at most.
fn unseen(bench: &Bench, known: Option<&str>) -> Result<Duration> {
    let cache = bench.folder.join("unseen");
    let mut times = Vec::new();
    for _ in 0..3 {
        if cache.exists() {
            std::fs::remove_dir_all(&cache).context("target/bench/unseen stays")?;
        }
        if let Some(known) = known {
            drop(serve_from(bench, known, &cache)?);
        }
        let start = Instant::now();
        let server = serve_from(bench, "mobilenet", &cache)?;
        times.push(start.elapsed());
        drop(server);
    }
    times.sort_unstable();
    Ok(times[1])
}

/// The median of five.
fn restart(bench: &Bench, name: &str) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let server = serve(bench, name)?;
        times.push(start.elapsed());
        drop(server);
    }
    times.sort_unstable();
    Ok(times[2])
}
