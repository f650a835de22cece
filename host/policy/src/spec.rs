//! `model.toml`: what was typed, and what it means.

mod batching;
mod cache;
mod ensemble;
mod protection;
mod traffic;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::batching::Batching;
use crate::ensemble::Ensemble;
use crate::fallback::Fallback;
use crate::feedback::{self, Feedback};
use crate::guard::Guards;
use crate::names::{Labels, Version};
use crate::rollout::strategy::{self, Strategy};
use crate::routing::Traffic;
use crate::{breaker, units};

pub use cache::Cache;

/// WebAssembly addresses this much.
const MEMORY_LIMIT_BYTES: u64 = 4 << 30;

/// How one model is served. `None` leaves it to the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSpec {
    pub versions: Versions,
    pub labels: Labels,
    pub traffic: Traffic,
    pub fallback: Fallback,
    /// `None`: every request is let through.
    pub breaker: Option<breaker::Limits>,
    pub guards: Guards,
    /// Whether answers are remembered for labels and rewards to come back to.
    pub feedback: Option<Feedback>,
    /// How a new version takes over, where `start` does not say otherwise.
    pub strategy: Option<Strategy>,
    /// It has no versions of its own: these answer together, as version 1.
    pub ensemble: Option<Ensemble>,
    pub limits: Limits,
    /// Keep an instance between requests instead of starting a fresh one for each.
    pub reuse: bool,
    /// `None`: every request is computed.
    pub cache: Option<Cache>,
    /// `None`: one call for each request.
    pub batching: Option<Batching>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    pub serve: Serve,
    /// Answers calls that name no version; otherwise the highest that is ready does.
    pub default: Option<Version>,
}

/// Which of the versions that are there are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Serve {
    #[default]
    All,
    Latest,
    Only(Vec<Version>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: Option<u64>,
    /// The time for one inference.
    pub timeout: Option<Duration>,
    /// Calls at one time.
    pub concurrency: Option<usize>,
    /// Calls that may wait for one of those to end.
    pub queue: Option<usize>,
}

/// Everything that is wrong with a `model.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecErrors(pub Vec<String>);

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model.toml: {}", self.0.join("; "))
    }
}

impl std::error::Error for SpecErrors {}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Typed {
    versions: TypedVersions,
    labels: BTreeMap<String, u64>,
    traffic: traffic::Typed,
    fallback: protection::TypedFallback,
    breaker: Option<protection::TypedBreaker>,
    guards: protection::TypedGuards,
    feedback: Option<feedback::Typed>,
    strategy: strategy::Typed,
    ensemble: Option<ensemble::Typed>,
    limits: TypedLimits,
    instances: TypedInstances,
    cache: Option<cache::Typed>,
    batching: Option<batching::Typed>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TypedVersions {
    serve: Option<TypedServe>,
    default: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TypedServe {
    Word(String),
    List(Vec<u64>),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TypedLimits {
    memory: Option<String>,
    timeout: Option<String>,
    concurrency: Option<usize>,
    queue: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TypedInstances {
    reuse: bool,
}

impl ModelSpec {
    /// Reads a `model.toml`. The error lists everything that is wrong at once, except where the
    /// text is not TOML or has unknown keys: then it says where.
    pub fn parse(text: &str) -> Result<ModelSpec, SpecErrors> {
        ModelSpec::read(toml::Deserializer::parse(text).map_err(unreadable)?)
    }

    /// Reads what a `model.toml` holds from another format that has its keys. Errors as
    /// [`ModelSpec::parse`].
    pub fn read<'de>(format: impl Deserializer<'de>) -> Result<ModelSpec, SpecErrors> {
        let typed = Typed::deserialize(format).map_err(unreadable)?;
        let mut errors = Vec::new();
        let labels = traffic::labels(typed.labels, &mut errors);
        let spec = ModelSpec {
            versions: versions(typed.versions, &mut errors),
            traffic: traffic::traffic(typed.traffic, &labels, &mut errors),
            fallback: protection::fallback(typed.fallback, &labels, &mut errors),
            breaker: typed
                .breaker
                .map(|typed| protection::breaker(typed, &mut errors)),
            guards: protection::guards(typed.guards, &mut errors),
            feedback: typed
                .feedback
                .map(|typed| feedback::read(typed, &mut errors)),
            strategy: strategy::read(typed.strategy, &mut errors),
            ensemble: typed
                .ensemble
                .and_then(|typed| ensemble::read(typed, &mut errors)),
            labels,
            limits: limits(typed.limits, &mut errors),
            reuse: typed.instances.reuse,
            cache: typed.cache.map(|typed| cache::read(typed, &mut errors)),
            batching: typed
                .batching
                .map(|typed| batching::read(typed, &mut errors)),
        };
        if spec.batching.is_some() && spec.limits.queue == Some(0) {
            errors.push("batching lets requests wait, and limits.queue lets none".to_owned());
        }
        if errors.is_empty() {
            Ok(spec)
        } else {
            Err(SpecErrors(errors))
        }
    }
}

fn unreadable(error: impl fmt::Display) -> SpecErrors {
    SpecErrors(vec![error.to_string().trim().to_owned()])
}

fn versions(typed: TypedVersions, errors: &mut Vec<String>) -> Versions {
    let serve = match typed.serve {
        None => Serve::All,
        Some(TypedServe::Word(word)) if word == "all" => Serve::All,
        Some(TypedServe::Word(word)) if word == "latest" => Serve::Latest,
        Some(TypedServe::Word(word)) => {
            errors.push(format!(
                "versions.serve is \"all\", \"latest\" or a list, not {word:?}"
            ));
            Serve::All
        }
        Some(TypedServe::List(numbers)) if numbers.is_empty() => {
            errors.push("versions.serve lists no version".to_owned());
            Serve::All
        }
        Some(TypedServe::List(numbers)) => Serve::Only(
            numbers
                .into_iter()
                .filter_map(|number| version("versions.serve", number, errors))
                .collect(),
        ),
    };
    let default = typed
        .default
        .and_then(|number| version("versions.default", number, errors));
    if let (Serve::Only(served), Some(default)) = (&serve, default)
        && !served.contains(&default)
    {
        errors.push(format!(
            "versions.default is {default}, which versions.serve leaves out"
        ));
    }
    Versions { serve, default }
}

fn version(key: &str, number: u64, errors: &mut Vec<String>) -> Option<Version> {
    Version::try_from(number)
        .map_err(|error| errors.push(format!("{key}: {error}")))
        .ok()
}

fn limits(typed: TypedLimits, errors: &mut Vec<String>) -> Limits {
    let memory_bytes = typed.memory.and_then(|text| {
        let bytes = units::bytes(&text).filter(|bytes| (1..=MEMORY_LIMIT_BYTES).contains(bytes));
        if bytes.is_none() {
            errors.push(format!(
                "limits.memory is a size of at most 4GiB such as \"512MiB\", not {text:?}"
            ));
        }
        bytes
    });
    let timeout = typed.timeout.and_then(|text| {
        let time = units::duration(&text).filter(|time| !time.is_zero());
        if time.is_none() {
            errors.push(format!(
                "limits.timeout is a time such as \"30s\" or \"250ms\", not {text:?}"
            ));
        }
        time
    });
    if typed.concurrency == Some(0) {
        errors.push("limits.concurrency is at least 1".to_owned());
    }
    Limits {
        memory_bytes,
        timeout,
        concurrency: typed.concurrency,
        queue: typed.queue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::{Combine, Missing};
    use crate::fallback::{Target, Trigger};
    use crate::names::Which;
    use crate::routing::Sticky;

    fn check_errors(text: &str, expected: &[&str]) {
        let SpecErrors(errors) = ModelSpec::parse(text).unwrap_err();
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for (error, expected) in errors.iter().zip(expected) {
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(ModelSpec::parse(""), Ok(ModelSpec::default()));
    }

    #[test]
    fn every_key_is_read() {
        let spec = ModelSpec::parse(
            "[versions]\nserve = [1, 3]\ndefault = 3\n[limits]\nmemory = \"512MiB\"\n\
             timeout = \"30s\"\nconcurrency = 4\nqueue = 1\n[instances]\nreuse = true\n\
             [cache]\nsize = \"1MiB\"\nttl = \"10m\"\n\
             [batching]\nmax_batch_size = 8\nmax_queue_delay = \"2ms\"",
        );
        let version = |number| Version::try_from(number).unwrap();
        let expected = ModelSpec {
            versions: Versions {
                serve: Serve::Only(vec![version(1), version(3)]),
                default: Some(version(3)),
            },
            limits: Limits {
                memory_bytes: Some(512 << 20),
                timeout: Some(Duration::from_secs(30)),
                concurrency: Some(4),
                queue: Some(1),
            },
            reuse: true,
            cache: Some(Cache {
                size_bytes: 1 << 20,
                ttl: Some(Duration::from_secs(600)),
            }),
            batching: Some(Batching {
                max_batch_size: 8,
                max_queue_delay: Duration::from_millis(2),
            }),
            ..ModelSpec::default()
        };
        assert_eq!(spec, Ok(expected));
    }

    #[test]
    fn what_the_readme_shows_is_right() {
        let readme = include_str!("../../../README.md");
        let mut blocks = readme.split("```toml\n").skip(1);
        let shown = blocks.find(|block| block.starts_with("[versions]"));
        let (shown, _) = shown.unwrap().split_once("```").unwrap();
        let spec = ModelSpec::parse(shown).unwrap();
        assert_eq!(spec.traffic.weights.len(), 2);
        assert_eq!(spec.fallback.chain.len(), 4);
        let shown = readme.split("# repository/iris-ensemble/model.toml").nth(1);
        let (shown, _) = shown.unwrap().split_once("```").unwrap();
        assert!(ModelSpec::parse(shown).unwrap().ensemble.is_some());
        assert_eq!(spec.guards.confidence.len(), 1);
    }

    #[test]
    fn traffic_and_protection_are_read() {
        let spec = ModelSpec::parse(
            "[labels]\nstable = 1\ncanary = 2\n[traffic]\nweights = { stable = 99.5, 2 = 0.5 }\n\
             sticky = { header = \"X-User\" }\nsalt = \"a\"\n\
             [[traffic.match]]\nheader = \"X-Beta\"\nversion = \"canary\"\n\
             [fallback]\nchain = [{ version = \"stable\" }, { model = \"small\" }, { static = \"[]\" }]\n\
             on = [\"trap\", \"guard\"]\n[breaker]\nrate = 0.5\nopen = \"1s\"\n\
             [guards]\nfinite = true\n[[guards.range]]\noutput = \"y\"\nmin = 0\n\
             [[guards.confidence]]\noutput = \"p\"\nat_least = 0.6",
        )
        .unwrap();
        let version = |number| Version::try_from(number).unwrap();
        assert_eq!(spec.labels["canary"], version(2));
        let weights = [(version(1), 9950), (version(2), 50)];
        assert_eq!(spec.traffic.weights, weights.into());
        let sticky = Sticky::Header("x-user".to_owned());
        assert_eq!(spec.traffic.sticky, Some(sticky));
        assert_eq!(spec.traffic.rules[0].header, "x-beta");
        assert_eq!(spec.traffic.rules[0].version, Which::Version(version(2)));
        let chain = [
            Target::Version(Which::Version(version(1))),
            Target::Model {
                name: "small".parse().unwrap(),
                version: None,
            },
            Target::Static("[]".to_owned()),
        ];
        assert_eq!(spec.fallback.chain, chain);
        assert_eq!(spec.fallback.on, [Trigger::Trap, Trigger::Guard]);
        let breaker = spec.breaker.unwrap();
        assert_eq!((breaker.rate, breaker.consecutive), (Some(0.5), 5));
        assert_eq!(breaker.open, Duration::from_secs(1));
        assert!(spec.guards.finite);
        assert_eq!(spec.guards.ranges[0].max, f64::INFINITY);
        assert_eq!(spec.guards.confidence[0].at_least, 0.6);
    }

    #[test]
    fn remotes_retries_and_hedges_are_read() {
        let spec = ModelSpec::parse(
            "[fallback]\nchain = [{ version = \"stable\" }, { remote = \"http://b:80/x/\", model = \"m\", \
             version = 3, timeout = \"50ms\" }, { remote = \"https://c\" }]\n\
             retries = 2\nbackoff = \"1ms\"\nbudget = 0.1\nhedge = 0.95\n\
             [guards]\nconditions = [\"max(outputs.p) > 0.5\"]\n\
             [[guards.shape]]\noutput = \"p\"\nsizes = [-1, 3]",
        )
        .unwrap();
        let stable = Which::Label("stable".to_owned());
        assert_eq!(spec.fallback.chain[0], Target::Version(stable));
        let [_, Target::Remote(near), Target::Remote(far)] = &*spec.fallback.chain else {
            panic!("{:?}", spec.fallback.chain);
        };
        assert_eq!(near.url, "http://b:80/x");
        assert_eq!(near.version, Some(Version::try_from(3).unwrap()));
        assert_eq!(near.timeout, Duration::from_millis(50));
        assert_eq!((&far.model, far.timeout), (&None, Duration::from_secs(1)));
        assert_eq!(spec.fallback.retry.limit, 2);
        assert_eq!(spec.fallback.retry.budget, 0.1);
        assert_eq!(spec.fallback.hedge, Some(0.95));
        assert_eq!(spec.guards.shapes[0].sizes, [None, Some(3)]);
        assert_eq!(spec.guards.conditions.len(), 1);
    }

    #[test]
    fn ensembles_are_read() {
        let parse = |text: &str| ModelSpec::parse(text).map(|spec| spec.ensemble.unwrap());
        let members = "members = [{ model = \"a\" }, { model = \"b\", version = 2 }]";
        let average = parse(&format!("[ensemble]\ncombine = \"average\"\n{members}")).unwrap();
        assert_eq!(average.combine, Combine::Average);
        assert_eq!(average.members.len(), 2);
        assert_eq!(average.missing, Missing::Fail);
        let cascade = parse(&format!(
            "[ensemble]\ncombine = \"cascade\"\n{members}\nmissing = \"skip\"\nminimum = 2\n\
             outputs = [\"p\"]\nconfidence = {{ output = \"p\", at_least = 0.8 }}"
        ));
        let cascade = cascade.unwrap();
        assert_eq!(cascade.missing, Missing::Skip { minimum: 2 });
        assert!(matches!(cascade.combine, Combine::Cascade(_)));
    }

    #[test]
    fn mistakes_in_ensembles_are_told() {
        let check = |rest: &str, expected: &[&str]| {
            let members = "members = [{ model = \"a\" }, { model = \"b\" }]";
            check_errors(&format!("[ensemble]\n{members}\n{rest}"), expected);
        };
        check("combine = \"mean\"", &["\"mean\""]);
        check("combine = \"stacking\"", &["has a combiner"]);
        check("combine = \"cascade\"", &["has a confidence"]);
        check(
            "combine = \"vote\"\nmissing = \"skip\"\nminimum = 3",
            &["minimum"],
        );
        check(
            "combine = \"vote\"\nmissing = \"ignore\"",
            &["ensemble.missing"],
        );
        check_errors(
            "[ensemble]\ncombine = \"average\"\nmembers = [{ model = \"a/\", weight = 2 }]",
            &["know weights", "`/`"],
        );
        check_errors(
            "[ensemble]\ncombine = \"vote\"\nmembers = []",
            &["no model"],
        );
    }

    #[test]
    fn mistakes_in_traffic_and_protection_are_told() {
        check_errors("[labels]\n1 = 2", &["would hide version 1"]);
        check_errors("[labels]\nnew = 0", &["labels.new"]);
        let weights = |text: &str| format!("[traffic]\nweights = {{ {text} }}");
        check_errors(&weights("1 = 90"), &["are 90 together"]);
        check_errors(&weights("1 = 101"), &["percentage"]);
        let elsewhere = format!("versions.serve = []\n{}", weights("1 = 90"));
        check_errors(&elsewhere, &["lists no version", "are 90 together"]);
        check_errors(
            &weights("1 = 0.001, 2 = 99.999"),
            &["percentage", "percentage"],
        );
        check_errors(&weights("new = 100"), &["`new` is neither"]);
        check_errors(
            "[fallback]\nchain = [{}, { version = 0 }, { model = \"a/b\" }, { version = 1, static = \"\" }]\n\
             on = [\"sadness\"]",
            &["knows trap", "each of", "fallback.chain", "`/`", "each of"],
        );
        check_errors(
            "[breaker]\nconsecutive = 0\nrate = 1.5\nof = 129\nopen = \"soon\"",
            &["consecutive", "at most 128", "rate", "open"],
        );
        check_errors(
            "[fallback]\nchain = [{ remote = \"ftp://a\" }, { remote = \"http://a?b\" }, \
             { version = 1, timeout = \"1s\" }, { remote = \"http://a\", timeout = \"soon\" }]\n\
             backoff = \"soon\"\nbudget = 2\nhedge = 1",
            &[
                "budget",
                "backoff",
                "hedge",
                "ftp",
                "a?b",
                "only a remote",
                "\"soon\"",
            ],
        );
        check_errors("[guards]\nconditions = [\"max(\"]", &["guards.conditions"]);
        check_errors("[[guards.range]]\noutput = \"y\"", &["a min or a max"]);
        check_errors("[traffic]\nsticky = { head = \"x\" }", &["head"]);
    }

    #[test]
    fn all_mistakes_come_at_once() {
        check_errors(
            "[versions]\nserve = [0, 2]\ndefault = 3\n[limits]\nmemory = \"5GiB\"\n\
             timeout = \"soon\"\nconcurrency = 0",
            &[
                "versions.serve",
                "leaves out",
                "limits.memory",
                "limits.timeout",
                "limits.concurrency",
            ],
        );
        check_errors("[versions]\nserve = \"newest\"", &["\"newest\""]);
        check_errors("[versions]\nserve = []", &["lists no version"]);
    }

    #[test]
    fn unknown_keys_are_named() {
        check_errors("[limits]\ntimeuot = \"1s\"", &["timeuot"]);
        check_errors("[limit]\n", &["limit"]);
        check_errors("limits = ", &["line 1"]);
    }
}
