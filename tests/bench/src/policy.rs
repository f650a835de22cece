//! What decisions cost, and how soon they are made.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use modelet_policy::breaker::{Breaker, Limits};
use modelet_policy::fallback::Trigger;
use modelet_policy::names::Version;
use modelet_policy::rollout::evidence::{Evidence, Observation};
use modelet_policy::rollout::{Phase, Rollout, Seen};
use modelet_policy::routing::{hash, route, unit};
use modelet_policy::spec::ModelSpec;

use crate::Bench;
use crate::load::closed_loop;
use crate::process::{Server, modelet};
use crate::serving::{ROW, infer};
use crate::table::{Table, quantile, time};

const DECISIONS: u32 = 10_000_000;

/// A canary at a tenth of the requests.
const CANARY: &str = "[strategy.canary]\nsteps = [{ setWeight = 10 }, { pause = {} }]";

pub fn measure(table: &mut Table) -> Result<()> {
    decisions(table)?;
    simulation(table)?;
    let mut counts = Vec::new();
    for seed in 0..201 {
        counts.push(requests_until_abort(seed)?);
    }
    counts.sort_unstable();
    table.row(
        "requests to both arms until a canary that fails half of them at 10 % is aborted, median of 201",
        counts[100].to_string(),
        "≤ 200",
    );
    Ok(())
}

fn version(number: u64) -> Result<Version> {
    Version::try_from(number).context("versions begin at 1")
}

/// Ten versions with equal weights and a breaker each, and a key for each request.
fn decisions(table: &mut Table) -> Result<()> {
    let weights: Vec<String> = (1..=10).map(|number| format!("{number} = 10")).collect();
    let spec = format!("[traffic]\nweights = {{ {} }}", weights.join(", "));
    let spec = ModelSpec::parse(&spec)?;
    let mut breakers = Vec::new();
    for number in 1..=10 {
        breakers.push((version(number)?, Breaker::new(Limits::default(), number)));
    }
    let now = Duration::from_secs(1);
    let start = Instant::now();
    for number in 0..DECISIONS {
        let key = hash(&spec.traffic.salt, &number.to_le_bytes());
        let willing = breakers
            .iter()
            .filter(|(_, breaker)| breaker.is_willing(now))
            .map(|(version, _)| *version);
        black_box(route(&spec, willing, |_| None, key));
    }
    let each = start.elapsed().as_nanos() as f64 / f64::from(DECISIONS);
    table.row(
        "a routing decision, 10 versions with breakers, sticky key",
        format!("{each:.0} ns"),
        "≤ 200 ns",
    );
    Ok(())
}

/// All that policy does for a request of a model that is rolled out: route, breaker, evidence, and a
/// tick for every thousand.
fn simulation(table: &mut Table) -> Result<()> {
    let mut story = Story::begin(0.0)?;
    let start = Instant::now();
    for number in 0..DECISIONS {
        story.request(number)?;
        if number % 1000 == 0 {
            story.tick(u64::from(number));
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    table.row(
        "simulation of 10,000,000 requests through policy, one core",
        format!("{elapsed:.1} s"),
        "≤ 10 s",
    );
    Ok(())
}

/// A rollout and what it has seen.
struct Story {
    seed: f64,
    rollout: Rollout,
    spec: ModelSpec,
    breakers: [(Version, Breaker); 2],
    evidence: Evidence,
    /// Of the canary.
    error_rate: f64,
}

impl Story {
    fn begin(error_rate: f64) -> Result<Story> {
        let declared = ModelSpec::parse(CANARY)?;
        let strategy = declared.strategy.clone().context("the spec has one")?;
        let (stable, canary) = (version(1)?, version(2)?);
        let breaker = || Breaker::new(Limits::default(), 1);
        let mut story = Story {
            seed: 0.0,
            rollout: Rollout::start("bench".to_owned(), strategy, stable, canary, 0),
            spec: declared,
            breakers: [(stable, breaker()), (canary, breaker())],
            evidence: Evidence::default(),
            error_rate,
        };
        story.tick(0);
        story.spec = story.rollout.applied_to(&story.spec);
        Ok(story)
    }

    fn request(&mut self, number: u32) -> Result<()> {
        let now = Duration::from_millis(number.into());
        let key = hash(&self.spec.traffic.salt, &number.to_le_bytes());
        let willing = self.breakers.iter();
        let willing = willing.filter(|(_, breaker)| breaker.is_willing(now));
        let willing = willing.map(|(version, _)| *version);
        let (chosen, _) = route(&self.spec, willing, |_| None, key).context("one is willing")?;
        let is_canary = chosen == self.rollout.canary;
        let draw = unit(hash("fate", &(f64::from(number) + self.seed).to_le_bytes()));
        let failed = is_canary && draw < self.error_rate;
        let breaker = &mut self.breakers[usize::from(is_canary)].1;
        if breaker.begin(now) {
            breaker.end(now, failed);
        }
        self.evidence.record(Observation {
            version: chosen,
            is_canary,
            share: self.rollout.weight,
            failed: failed.then_some(Trigger::Trap),
            time: Duration::from_micros(100),
        });
        Ok(())
    }

    fn tick(&mut self, now: u64) {
        self.rollout.tick(&Seen {
            now,
            evidence: &self.evidence,
            is_ready: &|_| true,
            sticky: false,
        });
    }
}

/// One request a millisecond, and a look every fifty: as often as a server looks whose canary fails.
fn requests_until_abort(seed: u32) -> Result<u32> {
    let mut story = Story::begin(0.5)?;
    story.seed = f64::from(seed) * 1e6;
    for number in 1..DECISIONS {
        story.request(number + seed * 10_000)?;
        if number % 50 == 0 {
            story.tick(number.into());
            if matches!(story.rollout.phase, Phase::Degraded) {
                return Ok(number);
            }
        }
    }
    anyhow::bail!("it was never aborted")
}

/// The same model without and with all that policy can do to a request, asked in turn.
pub fn served(bench: &Bench, table: &mut Table) -> Result<()> {
    let plain = serve(bench, "plain", "")?;
    let full = format!(
        "fallback.chain = [{{ version = \"stable\" }}]\nbreaker = {{ rate = 0.5 }}\n\
         traffic.sticky = {{ header = \"x-user\" }}\n{CANARY}"
    );
    let full = serve(bench, "full", &full)?;
    let request = infer(ROW);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..7 {
        for (server, times) in [&plain, &full].into_iter().zip(&mut times) {
            let load = closed_loop(&server.address, &request, 1, Duration::from_secs(2))?;
            times.push(load.quantile(0.5));
        }
    }
    let [plain, full] = times.map(|mut times| {
        times.sort_unstable();
        quantile(&times, 0.5)
    });
    let over = full.as_secs_f64() - plain.as_secs_f64();
    table.row(
        "overhead of policy on a served request, p50, 7 turns of 2 s each",
        format!("{:.1} µs ({} − {})", over * 1e6, time(full), time(plain)),
        "≤ 5 µs",
    );
    Ok(())
}

/// A repository with two versions of iris and this `model.toml`; where that has a strategy, version 2 is
/// being rolled out.
fn serve(bench: &Bench, name: &str, spec: &str) -> Result<Server> {
    let repository = bench.folder.join(name);
    let artifact = bench.artifact(bench.model("iris")?);
    if repository.exists() {
        std::fs::remove_dir_all(&repository)?;
    }
    std::fs::create_dir_all(repository.join("iris/1"))?;
    std::fs::copy(&artifact, repository.join("iris/1/model.wasm"))?;
    std::fs::write(repository.join("iris/model.toml"), spec)?;
    let admin = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let admin = admin.to_string();
    let mut serve = modelet()?;
    serve
        .arg("serve")
        .arg(&repository)
        .args(["--admin", &admin]);
    let server = Server::start(serve.arg("--cache").arg(bench.cache()))?;
    std::fs::create_dir_all(repository.join("iris/2"))?;
    std::fs::copy(&artifact, repository.join("iris/2/model.wasm"))?;
    if !spec.is_empty() {
        start_rollout(&admin)?;
    }
    Ok(server)
}

/// Tries until the version is there to be rolled out.
fn start_rollout(admin: &str) -> Result<()> {
    let admin = format!("http://{admin}");
    let start = Instant::now();
    loop {
        let mut rollout = modelet()?;
        rollout.args(["rollout", "start", "iris", "2", "--admin", &admin]);
        match crate::process::run(&mut rollout) {
            Err(error) if start.elapsed() > Duration::from_secs(30) => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
            Ok(()) => return Ok(()),
        }
    }
}
