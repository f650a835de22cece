//! What is to be done so that what is here is what is there.

use std::collections::BTreeMap;
use std::fmt;

use modelet_policy::names::{ModelName, Version};
use serde::{Deserialize, Serialize};

/// A repository, by texts that change whenever an object does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub models: BTreeMap<ModelName, Model>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    pub spec: Option<String>,
    pub versions: BTreeMap<Version, Tags>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags {
    pub artifact: String,
    pub signature: Option<String>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Spec(ModelName),
    /// The artifact, and its signature.
    Version(ModelName, Version),
    /// Of an artifact that is here: it came, changed or went.
    Signature(ModelName, Version),
    DropSpec(ModelName),
    DropVersion(ModelName, Version),
    /// When all of it is gone.
    DropModel(ModelName),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Spec(model) => write!(f, "model.toml of {model} came"),
            Step::Version(model, version) => write!(f, "{model}/{version} came"),
            Step::Signature(model, version) => {
                write!(f, "the signature of {model}/{version} changed")
            }
            Step::DropSpec(model) => write!(f, "model.toml of {model} is gone"),
            Step::DropVersion(model, version) => write!(f, "{model}/{version} is gone"),
            Step::DropModel(model) => write!(f, "{model} is gone"),
        }
    }
}

impl Model {
    pub fn is_empty(&self) -> bool {
        self.spec.is_none() && self.versions.is_empty()
    }
}

impl Snapshot {
    /// Forgets what is not really here.
    pub fn retain(
        &mut self,
        has_spec: impl Fn(&ModelName) -> bool,
        has_version: impl Fn(&ModelName, Version) -> bool,
    ) {
        for (name, model) in &mut self.models {
            model.spec = model.spec.take().filter(|_| has_spec(name));
            model
                .versions
                .retain(|version, _| has_version(name, *version));
        }
        self.models.retain(|_, model| !model.is_empty());
    }

    /// After a step towards `there`.
    pub fn note(&mut self, step: &Step, there: &Snapshot) {
        let spec = |name: &ModelName| there.models.get(name)?.spec.clone();
        match step {
            Step::Spec(name) => self.models.entry(name.clone()).or_default().spec = spec(name),
            Step::Version(name, version) | Step::Signature(name, version) => {
                if let Some(tags) = there.tags(name, *version) {
                    let model = self.models.entry(name.clone()).or_default();
                    model.versions.insert(*version, tags.clone());
                }
            }
            Step::DropSpec(name) => {
                if let Some(model) = self.models.get_mut(name) {
                    model.spec = None;
                }
            }
            Step::DropVersion(name, version) => {
                if let Some(model) = self.models.get_mut(name) {
                    model.versions.remove(version);
                }
            }
            Step::DropModel(name) => drop(self.models.remove(name)),
        }
    }

    /// Whether a step towards `there` would bring what this has.
    pub fn has(&self, step: &Step, there: &Snapshot) -> bool {
        match step {
            Step::Version(name, version) => {
                let tags = self.tags(name, *version);
                tags.is_some() && tags == there.tags(name, *version)
            }
            _ => false,
        }
    }

    fn tags(&self, name: &ModelName, version: Version) -> Option<&Tags> {
        self.models.get(name)?.versions.get(&version)
    }
}

/// What comes, before what goes: a version that is replaced by another is not missed in between. Of what
/// comes the spec is first, so that it decides about the versions.
pub fn plan(there: &Snapshot, here: &Snapshot) -> Vec<Step> {
    let none = Model::default();
    let mut steps = Vec::new();
    for (name, model) in &there.models {
        let known = here.models.get(name).unwrap_or(&none);
        if model.spec.is_some() && model.spec != known.spec {
            steps.push(Step::Spec(name.clone()));
        }
        for (version, tags) in &model.versions {
            match known.versions.get(version) {
                Some(known) if known == tags => {}
                Some(known) if known.artifact == tags.artifact => {
                    steps.push(Step::Signature(name.clone(), *version));
                }
                _ => steps.push(Step::Version(name.clone(), *version)),
            }
        }
    }
    for (name, model) in &here.models {
        let wanted = there.models.get(name).unwrap_or(&none);
        if wanted.spec.is_none() && model.spec.is_some() {
            steps.push(Step::DropSpec(name.clone()));
        }
        let gone = |version: &&Version| !wanted.versions.contains_key(version);
        let gone = model.versions.keys().filter(gone);
        steps.extend(gone.map(|version| Step::DropVersion(name.clone(), *version)));
        if wanted.is_empty() {
            steps.push(Step::DropModel(name.clone()));
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `MODEL=SPEC` and `MODEL/VERSION=ARTIFACT[+SIGNATURE]`.
    fn snapshot(entries: &[&str]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for entry in entries {
            let (place, tag) = entry.split_once('=').unwrap();
            let (name, version) = place.split_once('/').unwrap_or((place, ""));
            let model = snapshot.models.entry(name.parse().unwrap()).or_default();
            let (artifact, signature) = match tag.split_once('+') {
                Some((artifact, signature)) => (artifact, Some(signature.to_owned())),
                None => (tag, None),
            };
            let artifact = artifact.to_owned();
            match version.parse() {
                Ok(version) => {
                    let tags = Tags {
                        artifact,
                        signature,
                    };
                    model.versions.insert(version, tags);
                }
                Err(_) => model.spec = Some(artifact),
            }
        }
        snapshot
    }

    fn check(there: &[&str], here: &[&str], expected: &[&str]) {
        let (there, mut here) = (snapshot(there), snapshot(here));
        let steps = plan(&there, &here);
        let shown: Vec<String> = steps.iter().map(Step::to_string).collect();
        assert_eq!(shown, expected);
        for step in &steps {
            here.note(step, &there);
        }
        assert_eq!(here, there);
        assert_eq!(plan(&there, &here), []);
        let text = serde_json::to_string(&here).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), here);
    }

    #[test]
    fn what_differs_is_taken_and_nothing_else() {
        check(&[], &[], &[]);
        check(
            &["iris=a", "iris/1=a", "iris/2=b+s"],
            &[],
            &["model.toml of iris came", "iris/1 came", "iris/2 came"],
        );
        check(&["iris/1=a", "iris/2=b"], &["iris/1=a"], &["iris/2 came"]);
        check(&["iris/1=b"], &["iris/1=a"], &["iris/1 came"]);
        check(&["iris=b"], &["iris=a"], &["model.toml of iris came"]);
    }

    #[test]
    fn a_signature_comes_and_goes_without_its_artifact() {
        let changed = ["the signature of iris/1 changed"];
        check(&["iris/1=a+s"], &["iris/1=a"], &changed);
        check(&["iris/1=a"], &["iris/1=a+s"], &changed);
    }

    #[test]
    fn what_is_gone_goes_after_what_came() {
        check(
            &["iris/2=a"],
            &["iris=s", "iris/1=a"],
            &[
                "iris/2 came",
                "model.toml of iris is gone",
                "iris/1 is gone",
            ],
        );
        check(
            &["wine/1=a"],
            &["iris=s", "iris/1=a"],
            &[
                "wine/1 came",
                "model.toml of iris is gone",
                "iris/1 is gone",
                "iris is gone",
            ],
        );
    }

    #[test]
    fn what_is_refused_is_taken_when_it_has_changed() {
        let (bad, better) = (snapshot(&["iris/1=bad"]), snapshot(&["iris/1=good"]));
        let step = &plan(&bad, &Snapshot::default())[0];
        let mut refused = Snapshot::default();
        assert!(!refused.has(step, &bad));
        refused.note(step, &bad);
        assert!(refused.has(step, &bad));
        assert!(!refused.has(step, &better));
    }
}
