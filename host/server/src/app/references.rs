//! What a `model.toml` names that is not there. It is told and not refused: it may be on its way.

use std::path::PathBuf;

use modelet_policy::fallback::Target;
use modelet_policy::names::{ModelName, Version, Which};
use modelet_policy::spec::{ModelSpec, Serve};
use modelet_store::{ModelEntry, Problem};

use super::Wanted;

/// Every reference of every model to a model or a version that no repository has.
pub fn dangling(wanted: &Wanted) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, entry) in wanted {
        let Ok(spec) = &entry.spec else { continue };
        let mut missing = of_others(spec, wanted);
        if spec.ensemble.is_none() {
            missing.extend(of_itself(spec, entry));
        }
        let path = PathBuf::from(name.as_str()).join("model.toml");
        problems.extend(missing.into_iter().map(|reason| Problem {
            path: path.clone(),
            reason,
        }));
    }
    problems
}

fn of_itself(spec: &ModelSpec, entry: &ModelEntry) -> Vec<String> {
    let weights = spec.traffic.weights.iter();
    let weights = weights.filter(|(_, parts)| **parts > 0);
    let mut named: Vec<(&str, Version)> = weights
        .map(|(version, _)| ("traffic.weights", *version))
        .collect();
    let rules = spec.traffic.rules.iter();
    let rules = rules.filter_map(|rule| number(&rule.version));
    named.extend(rules.map(|version| ("traffic.match", version)));
    let chain = spec.fallback.chain.iter();
    let chain = chain.filter_map(|target| match target {
        Target::Version(which) => number(which),
        _ => None,
    });
    named.extend(chain.map(|version| ("fallback.chain", version)));
    if let Serve::Only(versions) = &spec.versions.serve {
        named.extend(versions.iter().map(|version| ("versions.serve", *version)));
    }
    let default = spec.versions.default.iter();
    named.extend(default.map(|version| ("versions.default", *version)));
    named.retain(|(_, version)| !entry.versions.contains_key(version));
    let told = named.into_iter();
    told.map(|(key, version)| format!("{key} names version {version}, which is not there"))
        .collect()
}

/// A rollout's label stands for a version only while there is a rollout.
fn number(which: &Which) -> Option<Version> {
    match which {
        Which::Version(version) => Some(*version),
        Which::Label(_) => None,
    }
}

fn of_others(spec: &ModelSpec, wanted: &Wanted) -> Vec<String> {
    let chain = spec.fallback.chain.iter();
    let chain = chain.filter_map(|target| match target {
        Target::Model { name, version } => Some((name, *version)),
        _ => None,
    });
    let missing = |(name, version): (&ModelName, Option<Version>)| match wanted.get(name) {
        None => Some(format!(
            "fallback.chain names model {name}, which is not there"
        )),
        Some(other) => {
            let version = version.filter(|version| !other.versions.contains_key(version))?;
            Some(format!(
                "fallback.chain names version {version} of model {name}, which is not there"
            ))
        }
    };
    chain.filter_map(missing).collect()
}

#[cfg(test)]
mod tests {
    use modelet_store::Repository;

    use super::*;

    /// What dangles when the model `m`, in version 1, has this `model.toml` beside the model `other`.
    fn check(spec: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        for model in ["m", "other"] {
            let version = folder.path().join(model).join("1");
            std::fs::create_dir_all(&version).unwrap();
            std::fs::write(version.join("model.wasm"), "").unwrap();
        }
        std::fs::write(folder.path().join("m/model.toml"), spec).unwrap();
        let listing = Repository::open(folder.path()).unwrap().scan().unwrap();
        let problems = dangling(&listing.models);
        for entry in listing.models.values() {
            assert_eq!(entry.spec.as_ref().err(), None);
        }
        let reasons: Vec<_> = problems.iter().map(|problem| &*problem.reason).collect();
        assert_eq!(reasons, expected, "{spec}");
    }

    #[test]
    fn what_is_there_is_no_problem() {
        check("", &[]);
        check(
            "versions.default = 1\nlabels = { later = 7 }\ntraffic.weights = { 1 = 100 }\n\
             fallback.chain = [{ version = 1 }, { version = \"canary\" }, \
             { model = \"other\", version = 1 }, { model = \"other\" }]",
            &[],
        );
    }

    #[test]
    fn what_is_not_there_is_told() {
        check(
            "versions.default = 2\nversions.serve = [1, 2]\ntraffic.weights = { 1 = 90, 4 = 10 }\n\
             fallback.chain = [{ version = 5 }, { model = \"nobody\" }, \
             { model = \"other\", version = 6 }]\n\
             [[traffic.match]]\nheader = \"x\"\nversion = 7",
            &[
                "fallback.chain names model nobody, which is not there",
                "fallback.chain names version 6 of model other, which is not there",
                "traffic.weights names version 4, which is not there",
                "traffic.match names version 7, which is not there",
                "fallback.chain names version 5, which is not there",
                "versions.serve names version 2, which is not there",
                "versions.default names version 2, which is not there",
            ],
        );
    }
}
