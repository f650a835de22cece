//! One row for every model of the zoo, beside ONNX Runtime in process.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use modelet_builder::{Builder, Options};
use modelet_compiler::{Compiler, Config};
use modelet_protocol::golden;
use modelet_runtime::Limits;

use crate::Bench;
use crate::table::{Table, megabytes, quantile, time};

const ZOO: &str = "target/zoo";
/// The zoo's forest of fifty trees.
const FOREST: &str = "randomforestclassifier-zipmap-off";
const CALLS: usize = 200;

struct Measured {
    slug: String,
    fresh: Duration,
    warm: Duration,
    peer: Duration,
    /// Bytes of the artifact and of the ONNX file.
    artifact: usize,
    onnx: usize,
}

pub fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let peers = peers(bench)?;
    let builder = Builder::new(Some(bench.cache()))?;
    let compiler = Compiler::new(&Config {
        cache: Some(bench.cache()),
        max_instances: 4,
        ..Config::default()
    })?;
    let measured: Vec<Measured> = peers
        .iter()
        .map(|(slug, seconds)| one(&compiler, &builder, slug, Duration::from_secs_f64(*seconds)))
        .collect::<Result<_>>()?;
    let count = measured.len();
    for (kind, promise, of) in [
        (
            "a warm instance",
            "≤ 2",
            (|one: &Measured| one.warm) as fn(&Measured) -> Duration,
        ),
        ("a fresh instance", "", |one| one.fresh),
    ] {
        let mut ratios: Vec<f64> = measured
            .iter()
            .map(|one| of(one).as_secs_f64() / one.peer.as_secs_f64())
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| ratios[((count - 1) as f64 * part) as usize];
        table.row(
            format!("one row in {kind} ÷ ONNX Runtime in process, {count} models of the zoo"),
            format!("{:.2} median, {:.2} at 90 %", at(0.5), at(0.9)),
            promise,
        );
    }
    let forest = measured.iter().find(|one| one.slug == FOREST);
    let forest = forest.with_context(|| format!("{FOREST} is not in the zoo"))?;
    table.row(
        "a forest of 50 trees, one row in a warm instance (ONNX Runtime)",
        format!("{} ({})", time(forest.warm), time(forest.peer)),
        "≤ 5 µs",
    );
    sizes(table, &measured);
    Ok(())
}

/// What artifacts have beside their ONNX file.
fn sizes(table: &mut Table, measured: &[Measured]) {
    let beyond = |one: &Measured| one.artifact.saturating_sub(one.onnx);
    let mut sizes: Vec<_> = measured.iter().map(beyond).collect();
    sizes.sort_unstable();
    let (Some(median), Some(most)) = (sizes.get(sizes.len() / 2), sizes.last()) else {
        return;
    };
    table.row(
        format!("artifact − ONNX file, {} models of the zoo", sizes.len()),
        format!(
            "{} median, {} at most",
            megabytes(*median as u64),
            megabytes(*most as u64)
        ),
        "≤ 3 MB",
    );
}

fn peers(bench: &Bench) -> Result<BTreeMap<String, f64>> {
    ensure!(
        Path::new(ZOO).join("index.json").exists(),
        "{ZOO} has no models; `cargo xtask zoo` makes them"
    );
    let output = Command::new(&bench.python)
        .args(["tests/bench/zoo.py", ZOO])
        .output()
        .context("the peer does not start")?;
    ensure!(output.status.success(), "the peer failed");
    serde_json::from_slice(&output.stdout).context("the peer says something else")
}

fn one(compiler: &Compiler, builder: &Builder, slug: &str, peer: Duration) -> Result<Measured> {
    let folder = Path::new(ZOO).join(slug);
    let onnx = fs::read(folder.join("model.onnx"))?;
    let golden = fs::read(folder.join("golden.json"))?;
    let cases = golden::parse(&golden).map_err(|error| anyhow!("{slug}: {error}"))?;
    let row = &cases.first().context("no case")?.inputs;
    let options = Options {
        name: slug.to_owned(),
        ..Options::default()
    };
    let built = builder.build(&onnx, &options, &mut |_| ())?;
    let median = |reuse| -> Result<Duration> {
        let limits = Limits {
            memory_bytes: 1 << 30,
            reuse,
        };
        let modelet = compiler.load(&built.component, limits)?;
        let deadline = Instant::now() + Duration::from_secs(600);
        modelet.infer(row, &[], deadline)?;
        let mut times = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            let start = Instant::now();
            modelet.infer(row, &[], deadline)?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        Ok(quantile(&times, 0.5))
    };
    Ok(Measured {
        slug: slug.to_owned(),
        fresh: median(false)?,
        warm: median(true)?,
        peer,
        artifact: built.component.len(),
        onnx: onnx.len(),
    })
}
