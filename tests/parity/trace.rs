//! A trace of made-up events through every part of policy that decides by arithmetic, and all that was
//! decided, as bytes.

use std::fmt::Write as _;
use std::time::Duration;

use modelet_policy::breaker::{Breaker, Limits};
use modelet_policy::fallback::Trigger;
use modelet_policy::names::Version;
use modelet_policy::rollout::evidence::{Evidence, Observation};
use modelet_policy::rollout::{Rollout, Seen};
use modelet_policy::routing::{Mirror, hash, route};
use modelet_policy::spec::ModelSpec;

const SPECS: [&str; 4] = [
    "[strategy.canary]\nsteps = [{ setWeight = 12.5 }, { pause = { duration = \"9s\" } }, { setWeight = 40 }, \
     { analysis = { metrics = [{ metric = \"latency\", quantile = 0.9, interval = \"1s\", count = 9 }, \
     { metric = \"error-rate\", failureCondition = \"result.canary > 0.3\" }] } }]",
    "strategy.abTest = { weight = 33, duration = \"1h\" }",
    "strategy.bandit = { algorithm = \"thompson\", interval = \"2s\", duration = \"40s\", arms = [1, 2, 3] }",
    "[strategy.shadow]\nmirror = 25\nanalysis = { metrics = [{ metric = \"disagreement\", limit = 0.4 }] }",
];

/// The same for the same seed, wherever it runs.
pub fn decide(seed: u64) -> Vec<u8> {
    let mut decided = String::new();
    let mut draws = Draws(seed);
    route_requests(&mut draws, &mut decided);
    break_and_mend(&mut draws, &mut decided);
    for spec in SPECS {
        roll_out(spec, &mut draws, &mut decided);
    }
    decided.into_bytes()
}

struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        hash("draws", &self.0.to_le_bytes())
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn version(number: u64) -> Version {
    Version::try_from(number).expect("the trace's versions begin at 1")
}

fn route_requests(draws: &mut Draws, decided: &mut String) {
    let mut spec = ModelSpec::default();
    for number in 1..=5 {
        let weight = draws.below(10_000) as u32;
        spec.traffic.weights.insert(version(number), weight);
    }
    let mirror = Mirror {
        version: version(5),
        parts: draws.below(10_000) as u32,
    };
    for _ in 0..2_000 {
        let key = draws.next();
        let ready = (1..=5).filter(|number| key >> number & 3 != 0).map(version);
        let routed = route(&spec, ready, |_| None, key);
        let _ = write!(decided, "{routed:?}{}", mirror.takes(key));
    }
}

fn break_and_mend(draws: &mut Draws, decided: &mut String) {
    let mut breaker = Breaker::new(Limits::default(), draws.next());
    let mut now = Duration::ZERO;
    for _ in 0..2_000 {
        now += Duration::from_millis(draws.below(2_000));
        if breaker.begin(now) {
            breaker.end(now, draws.below(3) > 0);
        }
        let _ = write!(decided, "{:?}", breaker.state());
    }
}

fn roll_out(spec: &str, draws: &mut Draws, decided: &mut String) {
    let spec = ModelSpec::parse(spec).expect("the trace's specs are right");
    let strategy = spec.strategy.expect("the trace's specs have strategies");
    let mut rollout = Rollout::start("trace".to_owned(), strategy, version(1), version(2), 0);
    let mut evidence = Evidence::default();
    for second in 0..60 {
        for _ in 0..40 {
            see(&mut evidence, &rollout, draws);
        }
        let said = rollout.tick(&Seen {
            now: second * 1000,
            evidence: &evidence,
            is_ready: &|_| true,
            sticky: false,
        });
        let written = serde_json::to_string(&rollout).expect("a rollout can be written down");
        let _ = write!(decided, "{said:?}{written}");
    }
}

fn see(evidence: &mut Evidence, rollout: &Rollout, draws: &mut Draws) {
    let is_canary = draws.below(10_000) < u64::from(rollout.weight);
    let version = version(1 + u64::from(is_canary));
    evidence.record(Observation {
        version,
        is_canary,
        share: rollout.weight,
        failed: (draws.below(50) == 0).then_some(Trigger::Trap),
        time: Duration::from_nanos(1_000_000 + draws.below(9_000_000)),
    });
    evidence
        .disagreement
        .add(draws.below(1_000) as f64 / 1_500.0);
    let arm = self::version(1 + draws.below(3));
    let reward = draws.below(100 + 50 * arm.number()) as f64 / 250.0;
    evidence.rewards.entry(arm).or_default().add(reward);
}
