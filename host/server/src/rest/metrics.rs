//! `/metrics` in Prometheus' text format, under Triton's names where the meaning is the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use modelet_policy::breaker::State as BreakerState;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{TEXT_FORMAT, TextEncoder};

use crate::app::App;
use crate::registry::Ready;
use crate::respond::error;
use crate::statistics::Hop;

/// A counter: its name, its meaning, and how to read it.
type Reading = (&'static str, &'static str, fn(&Ready) -> u64);

const COUNTERS: [Reading; 11] = [
    (
        "nv_inference_request_success",
        "Requests that were answered",
        |ready| ready.statistics.success.count(),
    ),
    (
        "nv_inference_request_failure",
        "Requests that failed",
        |ready| ready.statistics.fail.count(),
    ),
    (
        "nv_inference_count",
        "Inferences, a batch of n counting n",
        |ready| ready.statistics.inferences.load(Relaxed),
    ),
    (
        "nv_inference_exec_count",
        "Executions of the model",
        |ready| ready.statistics.executions.load(Relaxed),
    ),
    (
        "nv_inference_request_duration_us",
        "Microseconds from decoded request to answer",
        |ready| ready.statistics.success.nanoseconds() / 1000,
    ),
    (
        "nv_inference_queue_duration_us",
        "Microseconds of waiting for a turn",
        |ready| ready.statistics.queue.nanoseconds() / 1000,
    ),
    (
        "nv_inference_compute_input_duration_us",
        "Microseconds of decoding requests",
        |ready| ready.statistics.compute_input.nanoseconds() / 1000,
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "Microseconds inside the model",
        |ready| ready.statistics.compute_infer.nanoseconds() / 1000,
    ),
    (
        "nv_inference_compute_output_duration_us",
        "Microseconds of encoding answers",
        |ready| ready.statistics.compute_output.nanoseconds() / 1000,
    ),
    (
        "nv_cache_num_hits_per_model",
        "Requests answered with what was kept",
        |ready| ready.statistics.cache_hit.count(),
    ),
    (
        "nv_cache_num_misses_per_model",
        "Requests computed for want of a kept answer",
        |ready| ready.statistics.cache_miss.count(),
    ),
];

pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    match TextEncoder::new().encode_to_string(&families(&app)) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(failure) => error(StatusCode::INTERNAL_SERVER_ERROR, failure.to_string()),
    }
}

/// The counters of every loaded version at this moment.
fn families(app: &App) -> Vec<MetricFamily> {
    let ready = app.registry.all_ready();
    let mut families: Vec<_> = COUNTERS
        .iter()
        .map(|(name, help, read)| {
            let metrics = ready
                .iter()
                .map(|ready| counter(labels(ready), read(ready)));
            family(name, help, MetricType::COUNTER, metrics.collect())
        })
        .collect();
    let waiting = ready
        .iter()
        .map(|ready| gauge(labels(ready), ready.admission.waiting()));
    families.push(family(
        "nv_inference_pending_request_count",
        "Requests waiting for a turn of this version",
        MetricType::GAUGE,
        waiting.collect(),
    ));
    let breakers = ready.iter().filter_map(|ready| {
        let state = match ready.breaker.state()? {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen { .. } => 1,
            BreakerState::Open { .. } => 2,
        };
        Some(gauge(labels(ready), state))
    });
    families.push(family(
        "modelet_breaker_state",
        "0 closed, 1 half-open, 2 open",
        MetricType::GAUGE,
        breakers.collect(),
    ));
    let batches = ready.iter().filter(|ready| ready.batches.is_some());
    families.push(family(
        "modelet_batch_size",
        "Rows that one call answered, of versions whose requests are joined",
        MetricType::HISTOGRAM,
        batches.map(|ready| batch_sizes(ready)).collect(),
    ));
    families.extend(fallbacks(app));
    families.push(states(app));
    families.extend(rollouts(app));
    // A family without a metric cannot be written.
    families.retain(|family| !family.get_metric().is_empty());
    families
}

fn batch_sizes(ready: &Ready) -> Metric {
    let sizes = ready.statistics.batch_sizes();
    let (mut count, mut sum) = (0, 0);
    let mut buckets: Vec<Bucket> = Vec::new();
    // Powers of two, so that the buckets stay the same when further sizes come.
    let mut bounds = (0..=10).map(|power| 1_u64 << power).peekable();
    for (rows, calls, _) in sizes {
        while bounds.peek().is_some_and(|bound| *bound < rows) {
            buckets.extend(bounds.next().map(|bound| bucket(bound, count)));
        }
        count += calls;
        sum += rows * calls;
    }
    buckets.extend(bounds.map(|bound| bucket(bound, count)));
    let mut histogram = Histogram::default();
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum as f64);
    histogram.set_bucket(buckets);
    let mut metric = Metric::from_label(labels(ready));
    metric.set_histogram(histogram);
    metric
}

fn bucket(bound: u64, count: u64) -> Bucket {
    let mut bucket = Bucket::default();
    bucket.set_upper_bound(bound as f64);
    bucket.set_cumulative_count(count);
    bucket
}

fn fallbacks(app: &App) -> [MetricFamily; 4] {
    let (mut answered, mut failed) = (Vec::new(), Vec::new());
    let (mut retries, mut hedges) = (Vec::new(), Vec::new());
    for ((model, hop), count) in app.fallbacks.all() {
        let of = |reason, to: &str| {
            vec![
                label("model", model.as_str()),
                label("reason", reason),
                label("to", to),
            ]
        };
        let alone = || vec![label("model", model.as_str())];
        match hop {
            Hop::Answered { reason, to } => answered.push(counter(of(reason, &to), count)),
            Hop::Failed { reason, to } => failed.push(counter(of(reason, &to), count)),
            Hop::Retry => retries.push(counter(alone(), count)),
            Hop::Hedge => hedges.push(counter(alone(), count)),
        }
    }
    let counters = |name, meaning, metrics| family(name, meaning, MetricType::COUNTER, metrics);
    [
        counters(
            "modelet_fallbacks",
            "Requests that somebody else answered than the version asked first",
            answered,
        ),
        counters(
            "modelet_fallback_failures",
            "Times that somebody else was asked and failed too",
            failed,
        ),
        counters(
            "modelet_retries",
            "Times that the same target was asked again",
            retries,
        ),
        counters(
            "modelet_hedges",
            "Times that another was asked beside a version that took long",
            hedges,
        ),
    ]
}

fn rollouts(app: &App) -> Vec<MetricFamily> {
    let rollouts = &app.rollouts;
    let all = rollouts.all();
    let weights = all.iter().flat_map(|(model, live)| {
        let weights = live.saved.rollout.weights().into_iter();
        weights.map(|(version, parts)| {
            let version = version.to_string();
            let labels = vec![label("model", model.as_str()), label("version", &version)];
            gauge(labels, parts as usize)
        })
    });
    let leads = all.iter().map(|(model, live)| {
        let leads = usize::from(live.leads.load(Relaxed));
        gauge(vec![label("model", model.as_str())], leads)
    });
    let counts = &rollouts.predictions.counts;
    let feedback = [
        ("joined", &counts.joined),
        ("duplicate", &counts.duplicate),
        ("late", &counts.late),
        ("unknown", &counts.unknown),
        ("dropped", &counts.dropped),
    ];
    let feedback =
        feedback.map(|(became, count)| counter(vec![label("became", became)], count.load(Relaxed)));
    let dropped = rollouts.mirrors_dropped.load(Relaxed);
    let reachable = usize::from(rollouts.trouble().is_none());
    let (gauges, counters) = (MetricType::GAUGE, MetricType::COUNTER);
    vec![
        family(
            "modelet_state_reachable",
            "Whether the database of rollouts can be reached",
            gauges,
            vec![gauge(Vec::new(), reachable)],
        ),
        family(
            "modelet_rollout_weight",
            "Parts of ten thousand of the requests that a rollout sends to a version",
            gauges,
            weights.collect(),
        ),
        family(
            "modelet_rollout_leads",
            "Whether this node advances the model's rollout",
            gauges,
            leads.collect(),
        ),
        family(
            "modelet_mirrors_dropped",
            "Mirrored requests for which there was no place",
            counters,
            vec![counter(Vec::new(), dropped)],
        ),
        family(
            "modelet_feedback",
            "Labels and rewards that came back, and answers not remembered, by what became of them",
            counters,
            feedback.to_vec(),
        ),
    ]
}

fn states(app: &App) -> MetricFamily {
    let mut counts = BTreeMap::new();
    for entry in app.registry.index(false) {
        *counts.entry(entry.state).or_insert(0) += 1;
    }
    let metrics = counts
        .into_iter()
        .map(|(state, count)| gauge(vec![label("state", &state)], count));
    family(
        "modelet_versions",
        "Versions of models by state",
        MetricType::GAUGE,
        metrics.collect(),
    )
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(labels: Vec<LabelPair>, value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: Vec<LabelPair>, value: usize) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

fn labels(ready: &Ready) -> Vec<LabelPair> {
    vec![
        label("model", ready.model.as_str()),
        label("version", &ready.version.to_string()),
    ]
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
