//! Which version a request goes to.
//!
//! Weights are kept by weighted rendezvous hashing: every version draws a score from the request's key,
//! and the highest wins. To change one weight moves keys to or from that version only, and a version
//! that is out loses its own keys only. Source: Schindelhauer and Schomaker, "Weighted distributed
//! hash tables", SPAA 2005, the logarithmic method.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::names::{Version, Which};
use crate::spec::ModelSpec;
use crate::versions;

/// All weights of a model together, which are parts of ten thousand.
pub const WHOLE: u32 = 10_000;

/// How requests that name no version are shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Parts of [`WHOLE`]. Empty: the default version takes all.
    pub weights: BTreeMap<Version, u32>,
    /// What makes requests of the same caller go to the same version.
    pub sticky: Option<Sticky>,
    /// Another salt shares the same keys out anew.
    pub salt: String,
    /// Looked at in order, before the weights.
    pub rules: Vec<Rule>,
    pub mirror: Option<Mirror>,
}

/// A version that answers some requests too, and nobody sees what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub version: Version,
    /// Of [`WHOLE`].
    pub parts: u32,
}

impl Mirror {
    /// Whether the request with this key is one of them.
    pub fn takes(&self, key_hash: u64) -> bool {
        // Of another draw than the weights', so that mirrored keys are not those of one version.
        unit(mix(!key_hash)) * f64::from(WHOLE) < f64::from(self.parts)
    }
}

/// Where the key of a request is found. Where it is missing, the request's own id is the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    Header(String),
    Cookie(String),
    /// One of the request's parameters.
    Parameter(String),
    /// The address of the caller.
    Client,
}

/// Requests with this header go to this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// In lower case.
    pub header: String,
    /// `None`: whatever it says.
    pub value: Option<String>,
    pub version: Which,
}

/// Why a version was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Rule,
    Weight,
    Default,
}

/// The number that decides about a request: equal on every host for an equal salt and key.
pub fn hash(salt: &str, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, xxh3_64_with_seed(salt.as_bytes(), 0))
}

/// The version for a request that names none. `ready` are the versions that could answer; `header`
/// looks up a header by its name in lower case. `None` where no version may be asked.
pub fn route<'a>(
    spec: &ModelSpec,
    ready: impl Iterator<Item = Version> + Clone,
    header: impl Fn(&str) -> Option<&'a str>,
    key_hash: u64,
) -> Option<(Version, Why)> {
    let matches = |rule: &&Rule| match (header(&rule.header), &rule.value) {
        (Some(found), Some(wanted)) => found == wanted,
        (found, None) => found.is_some(),
        (None, Some(_)) => false,
    };
    let is_ready = |version| ready.clone().any(|ready| ready == version);
    let rule = spec.traffic.rules.iter().find(matches);
    let ruled = rule.and_then(|rule| rule.version.version(&spec.labels));
    if let Some(version) = ruled.filter(|version| is_ready(*version)) {
        return Some((version, Why::Rule));
    }
    if spec.traffic.weights.is_empty() {
        let default = versions::default(&spec.versions, ready)?;
        return Some((default, Why::Default));
    }
    let weighted = ready.filter_map(|version| {
        let weight = *spec.traffic.weights.get(&version)?;
        (weight > 0).then_some((version, weight))
    });
    Some((weighted_choice(weighted, key_hash)?, Why::Weight))
}

fn weighted_choice(
    weighted: impl Iterator<Item = (Version, u32)>,
    key_hash: u64,
) -> Option<Version> {
    let mut best: Option<(f64, Version)> = None;
    for (version, weight) in weighted {
        let (weight, draw) = (
            f64::from(weight),
            unit(mix(key_hash ^ mix(version.number()))),
        );
        // A logarithm costs more than all else here, and -ln(x) > 2 (1 - x) / (1 + x) shows of most
        // versions that they cannot win.
        let cannot_win = |(score, _)| weight * (1.0 + draw) < 2.0 * (1.0 - draw) * score;
        if best.is_some_and(cannot_win) {
            continue;
        }
        // In software and not by the processor: the same bits in every host.
        let score = weight / -libm::log(draw);
        if best.is_none_or(|(highest, _)| score >= highest) {
            best = Some((score, version));
        }
    }
    best.map(|(_, version)| version)
}

/// A number strictly between 0 and 1.
pub fn unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// Spreads every bit over all others. Source: the finaliser of SplitMix64, Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", OOPSLA 2014.
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(number: u64) -> Version {
        Version::try_from(number).unwrap()
    }

    fn spec(weights: &[(u64, u32)]) -> ModelSpec {
        let weights = weights
            .iter()
            .map(|&(number, weight)| (version(number), weight));
        ModelSpec {
            traffic: Traffic {
                weights: weights.collect(),
                ..Traffic::default()
            },
            ..ModelSpec::default()
        }
    }

    fn of(spec: &ModelSpec, ready: &[u64], key: u64) -> Option<u64> {
        let ready = ready.iter().map(|&number| version(number));
        let routed = route(spec, ready, |_| None, hash("", &key.to_le_bytes()));
        routed.map(|(version, _)| version.number())
    }

    #[test]
    fn a_weight_is_its_share_of_the_keys() {
        const KEYS: u64 = 1_000_000;
        for percent in [1, 5, 10] {
            let spec = spec(&[(1, WHOLE - percent * 100), (2, percent * 100)]);
            let second = (0..KEYS).filter(|&key| of(&spec, &[1, 2], key) == Some(2));
            let (share, found) = (f64::from(percent) / 100.0, second.count() as f64);
            let error = (KEYS as f64 * share * (1.0 - share)).sqrt();
            let off = (found - KEYS as f64 * share).abs() / error;
            assert!(off < 3.0, "{percent} %: {found}, {off} standard errors");
        }
    }

    #[test]
    fn a_weight_that_moves_moves_only_the_keys_it_must() {
        let before = spec(&[(1, 5000), (2, 3000), (3, 2000)]);
        let after = spec(&[(1, 5000), (2, 3000), (3, 4000)]);
        for key in 0..100_000 {
            let (was, is) = (of(&before, &[1, 2, 3], key), of(&after, &[1, 2, 3], key));
            assert!(was == is || is == Some(3), "{key}: {was:?} to {is:?}");
        }
    }

    #[test]
    fn a_version_that_is_out_loses_its_own_keys_only() {
        let spec = spec(&[(1, 5000), (2, 3000), (3, 2000)]);
        for key in 0..100_000 {
            let (was, is) = (of(&spec, &[1, 2, 3], key), of(&spec, &[1, 3], key));
            assert!(was == Some(2) || was == is, "{key}: {was:?} to {is:?}");
            assert_ne!(is, Some(2));
        }
        assert_eq!(of(&spec, &[], 7), None);
        assert_eq!(of(&spec, &[4], 7), None, "it has no weight");
    }

    #[test]
    fn a_key_is_decided_the_same_for_ever() {
        assert_eq!(hash("", b"anna"), 0x5c4c_fd42_396d_d6fb);
        assert_eq!(hash("salt", b"anna"), 0xe23f_bec3_9127_f356);
    }

    #[test]
    fn rules_come_before_weights_if_their_version_is_ready() {
        let mut spec = spec(&[(1, WHOLE)]);
        spec.traffic.rules = vec![
            Rule {
                header: "x-beta".to_owned(),
                value: Some("yes".to_owned()),
                version: Which::Version(version(2)),
            },
            Rule {
                header: "x-any".to_owned(),
                value: None,
                version: Which::Label("canary".to_owned()),
            },
        ];
        let check = |spec: &ModelSpec, header: (&str, &'static str), ready: &[u64], expected| {
            let ready = ready.iter().map(|&number| version(number));
            let found = |name: &str| (name == header.0).then_some(header.1);
            let (chosen, why) = route(spec, ready, found, 1).unwrap();
            assert_eq!((chosen.number(), why), expected, "{header:?}");
        };
        check(&spec, ("x-beta", "yes"), &[1, 2, 3], (2, Why::Rule));
        check(&spec, ("x-beta", "no"), &[1, 2, 3], (1, Why::Weight));
        check(&spec, ("x-beta", "yes"), &[1, 3], (1, Why::Weight));
        // The label of a rollout stands for nothing before there is one.
        check(&spec, ("x-any", ""), &[1, 2, 3], (1, Why::Weight));
        spec.labels.insert("canary".to_owned(), version(3));
        check(&spec, ("x-any", ""), &[1, 2, 3], (3, Why::Rule));
    }

    #[test]
    fn without_weights_the_default_version_takes_all() {
        let spec = ModelSpec::default();
        for key in 0..100 {
            assert_eq!(of(&spec, &[1, 2], key), Some(2));
        }
    }

    proptest! {
        #[test]
        fn only_ready_versions_with_a_weight_are_chosen(
            weights in prop::collection::vec(0_u32..=WHOLE, 1..12),
            ready in prop::collection::vec(1_u64..14, 0..14),
            key: u64,
        ) {
            let numbered: Vec<_> = (1..).zip(weights.iter().copied()).collect();
            let chosen = of(&spec(&numbered), &ready, key);
            let could = |number: &u64| numbered.iter().any(|(n, w)| n == number && *w > 0);
            prop_assert_eq!(chosen.is_some(), ready.iter().any(could));
            if let Some(chosen) = chosen {
                prop_assert!(ready.contains(&chosen) && could(&chosen));
            }
        }

        #[test]
        fn the_highest_score_wins_also_where_not_all_are_worked_out(
            weights in prop::collection::vec(1_u32..=WHOLE, 1..12),
            key: u64,
        ) {
            let key_hash = hash("", &key.to_le_bytes());
            let score = |&(number, weight): &(u64, u32)| {
                f64::from(weight) / -libm::log(unit(mix(key_hash ^ mix(number))))
            };
            let numbered: Vec<_> = (1..).zip(weights.iter().copied()).collect();
            let highest = numbered.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
            let ready: Vec<_> = numbered.iter().map(|(number, _)| *number).collect();
            prop_assert_eq!(of(&spec(&numbered), &ready, key), highest.map(|(number, _)| *number));
        }
    }
}
