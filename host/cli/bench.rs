//! How fast a modelet answers in this process, without a server around it.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use modelet_protocol::Tensor;
use modelet_runtime::Modelet;

use crate::cache::Cache;
use crate::{input, run};

/// Measure how long a modelet takes to load, to start and to answer
#[derive(clap::Args)]
pub struct Arguments {
    /// The modelet, as written by `modelet build`
    modelet: PathBuf,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// The request, as for `modelet run` [default: zeros, as few as the model answers]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    cache: Cache,
}

pub fn bench(arguments: &Arguments) -> Result<()> {
    let bytes = crate::inspect::read(&arguments.modelet)?;
    let compiler = run::compiler(&arguments.cache)?;
    let start = Instant::now();
    let fresh = run::load(&compiler, &bytes, &arguments.modelet, false)?;
    let loaded = start.elapsed();
    let reused = run::load(&compiler, &bytes, &arguments.modelet, true)?;
    let inputs = inputs(arguments, &fresh)?;
    let budget = Duration::from_secs(arguments.seconds) / 2;
    // The first call of all also pays for reading the file's pages.
    call(&fresh, &inputs)?;
    call(&reused, &inputs)?;
    let first = measure(budget, || call(&fresh, &inputs))?;
    let warm = measure(budget, || call(&reused, &inputs))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{:34} {:>12} {:>12} {:>9}", "", "p50", "p99", "calls")?;
    writeln!(out, "{:34} {:>12}", "load", text(loaded))?;
    for (name, times) in [
        ("call in a fresh instance", &first),
        ("call in an instance used before", &warm),
    ] {
        let (p50, p99) = (quantile(times, 0.50), quantile(times, 0.99));
        writeln!(
            out,
            "{name:34} {:>12} {:>12} {:>9}",
            text(p50),
            text(p99),
            times.len()
        )?;
    }
    Ok(())
}

fn inputs(arguments: &Arguments, modelet: &Modelet) -> Result<Vec<Tensor>> {
    let signature = &modelet.facts().metadata.signature;
    match &arguments.input {
        Some(path) => Ok(input::read(path, signature)?.inputs),
        None => signature
            .zeros()
            .find(|zeros| call(modelet, zeros).is_ok())
            .or_else(|| signature.zeros().next())
            .context("its inputs are too large to be made up; give it some with --input"),
    }
}

fn call(modelet: &Modelet, inputs: &[Tensor]) -> Result<()> {
    modelet
        .infer(inputs, &[], run::deadline())
        .context("the model does not answer this input; give it one with --input")?;
    Ok(())
}

/// Sorted times of as many calls as the budget has room for, and of one at least.
fn measure(budget: Duration, call: impl Fn() -> Result<()>) -> Result<Vec<Duration>> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || start.elapsed() < budget {
        let call_start = Instant::now();
        call()?;
        times.push(call_start.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// The smallest time that at least `share` of all are not above.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn text(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.1} µs"),
        1e3..1e6 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_times_measured() {
        let times: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        for (share, millis) in [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)] {
            assert_eq!(quantile(&times, share), Duration::from_millis(millis));
        }
        assert_eq!(quantile(&times[..1], 0.99), Duration::from_millis(1));
    }

    #[test]
    fn times_have_their_unit() {
        assert_eq!(text(Duration::from_nanos(29_300)), "29.3 µs");
        assert_eq!(text(Duration::from_micros(33_120)), "33.12 ms");
        assert_eq!(text(Duration::from_millis(1500)), "1.50 s");
    }
}
