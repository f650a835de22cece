//! What a decision costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use modelet_policy::breaker::{Breaker, Limits};
use modelet_policy::names::Version;
use modelet_policy::routing::{hash, route};
use modelet_policy::spec::ModelSpec;

use crate::table::Table;

const DECISIONS: u32 = 10_000_000;

/// Ten versions with equal weights and a breaker each, and a key for each request.
pub fn measure(table: &mut Table) -> Result<()> {
    let weights: Vec<String> = (1..=10).map(|number| format!("{number} = 10")).collect();
    let spec = format!("[traffic]\nweights = {{ {} }}", weights.join(", "));
    let spec = ModelSpec::parse(&spec)?;
    let mut breakers = Vec::new();
    for number in 1..=10 {
        let version = Version::try_from(number).context("versions begin at 1")?;
        breakers.push((version, Breaker::new(Limits::default(), number)));
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
    let elapsed = start.elapsed();
    let each = elapsed.as_nanos() as f64 / f64::from(DECISIONS);
    table.row(
        "a routing decision, 10 versions with breakers, sticky key",
        format!("{each:.0} ns"),
        "≤ 200 ns",
    );
    table.row(
        format!("{DECISIONS} decisions in a row"),
        format!("{:.1} s", elapsed.as_secs_f64()),
        "≤ 10 s",
    );
    Ok(())
}
