//! What each version has done: the numbers behind the statistics extension and `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use modelet_policy::names::ModelName;
use serde_json::{Value, json};

/// How often something happened and how long it took in sum.
#[derive(Debug, Default)]
pub struct Tally {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Tally {
    pub fn add(&self, time: Duration) {
        self.count.fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    pub fn nanoseconds(&self) -> u64 {
        self.nanoseconds.load(Relaxed)
    }

    fn json(&self) -> Value {
        json!({"count": self.count(), "ns": self.nanoseconds()})
    }
}

/// What was done for requests beside asking the version that they were routed to.
#[derive(Debug, Default)]
pub struct Fallbacks {
    counts: Mutex<BTreeMap<(ModelName, Hop), u64>>,
}

/// A step away from the version that was asked first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hop {
    /// Somebody else answered; `reason` is why the first did not.
    Answered { reason: &'static str, to: String },
    /// Somebody else was asked and failed; `reason` is why.
    Failed { reason: &'static str, to: String },
    /// The same target was asked again.
    Retry,
    /// Another was asked beside it.
    Hedge,
}

impl Fallbacks {
    pub fn count(&self, model: &ModelName, hop: Hop) {
        *self.lock().entry((model.clone(), hop)).or_default() += 1;
    }

    pub fn all(&self) -> BTreeMap<(ModelName, Hop), u64> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ModelName, Hop), u64>> {
        // A number that is one too small is all that a panic could leave.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters of one version of one model.
#[derive(Debug, Default)]
pub struct Statistics {
    pub success: Tally,
    pub fail: Tally,
    pub queue: Tally,
    pub compute_input: Tally,
    pub compute_infer: Tally,
    pub compute_output: Tally,
    /// Answered with what was kept; the time is that of looking.
    pub cache_hit: Tally,
    /// Computed because nothing was kept; the time is that of computing too.
    pub cache_miss: Tally,
    /// By rows, the calls of versions whose requests are joined.
    batches: Mutex<BTreeMap<u64, Tally>>,
    /// Rows: a request with a batch of eight counts eight.
    pub inferences: AtomicU64,
    pub executions: AtomicU64,
    /// Milliseconds since 1970.
    last_inference_ms: AtomicU64,
}

impl Statistics {
    /// A call ran and took `infer`; `rows` is the size of its batch.
    pub fn executed(&self, rows: u64, infer: Duration) {
        self.compute_infer.add(infer);
        self.inferences.fetch_add(rows, Relaxed);
        self.executions.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
        self.last_inference_ms.store(now, Relaxed);
    }

    /// A call answered requests of these many rows together, and took `infer`.
    pub fn executed_together(&self, rows: &[u64], infer: Duration) {
        let all = rows.iter().sum();
        self.executed(all, infer);
        // To each request it was as long.
        rows.iter()
            .skip(1)
            .for_each(|_| self.compute_infer.add(infer));
        self.batches().entry(all).or_default().add(infer);
    }

    /// By rows: how many calls there were, and how many nanoseconds they took.
    pub fn batch_sizes(&self) -> Vec<(u64, u64, u64)> {
        let batches = self.batches();
        let of = |(rows, tally): (&u64, &Tally)| (*rows, tally.count(), tally.nanoseconds());
        batches.iter().map(of).collect()
    }

    fn batches(&self) -> MutexGuard<'_, BTreeMap<u64, Tally>> {
        // A number that is one too small is all that a panic could leave.
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn last_inference_ms(&self) -> u64 {
        self.last_inference_ms.load(Relaxed)
    }

    /// The entry of the statistics extension.
    pub fn json(&self, model: &str, version: &str) -> Value {
        let none = json!({"count": 0, "ns": 0});
        let batch = |(rows, count, nanoseconds)| {
            json!({
                "batch_size": rows,
                "compute_input": none,
                "compute_infer": {"count": count, "ns": nanoseconds},
                "compute_output": none,
            })
        };
        let batches: Vec<_> = self.batch_sizes().into_iter().map(batch).collect();
        json!({
            "name": model,
            "version": version,
            "last_inference": self.last_inference_ms(),
            "inference_count": self.inferences.load(Relaxed),
            "execution_count": self.executions.load(Relaxed),
            "inference_stats": {
                "success": self.success.json(),
                "fail": self.fail.json(),
                "queue": self.queue.json(),
                "compute_input": self.compute_input.json(),
                "compute_infer": self.compute_infer.json(),
                "compute_output": self.compute_output.json(),
                "cache_hit": self.cache_hit.json(),
                "cache_miss": self.cache_miss.json(),
            },
            "response_stats": {},
            "batch_stats": batches,
            "memory_usage": [],
        })
    }
}
