//! What is served: written by `modelet bundle spin`, read by every instance of the gateway.

use std::collections::BTreeMap;
use std::time::Duration;

use modelet_policy::breaker::outcomes::Judge;
use modelet_policy::deployment::{self, Deployment};
use modelet_policy::names::{ModelName, Version};
use modelet_policy::rollout::kept::Kept;
use modelet_policy::rollout::strategy::Strategy;
use modelet_policy::spec::ModelSpec;
use modelet_policy::versions;
use modelet_protocol::Signature;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Modelets that one gateway can ask.
pub const SLOTS: u8 = 16;

/// For one call, where `model.toml` has no timeout.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the generated component says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    pub models: BTreeMap<ModelName, Model>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What `model.toml` holds.
    pub policy: Value,
    pub versions: BTreeMap<Version, Modelet>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modelet {
    /// Below [`SLOTS`].
    pub slot: u8,
    /// Of the artifact, lower-case hexadecimal.
    pub sha256: String,
    pub signature: Signature,
}

/// The models that are served, with what policy makes of them.
pub struct Served {
    /// Follows the rollouts.
    pub deployment: Deployment,
    /// As `model.toml` has them.
    declared: BTreeMap<ModelName, ModelSpec>,
    models: BTreeMap<ModelName, Model>,
}

impl Served {
    /// The error says what is wrong with the generated component.
    pub fn read(json: &str) -> Result<Served, String> {
        let told = |error: serde_json::Error| format!("the application cannot be read: {error}");
        let application: Application = serde_json::from_str(json).map_err(told)?;
        let mut deployment = Deployment::default();
        let mut declared = BTreeMap::new();
        for (name, model) in &application.models {
            let spec =
                ModelSpec::read(&model.policy).map_err(|errors| format!("{name}: {errors}"))?;
            let versions: Vec<Version> = model.versions.keys().copied().collect();
            deployment.insert(name.clone(), spec.clone(), versions, SEED);
            declared.insert(name.clone(), spec);
        }
        Ok(Served {
            deployment,
            declared,
            models: application.models,
        })
    }

    pub fn modelet(&self, model: &ModelName, version: Version) -> Option<&Modelet> {
        self.models.get(model)?.versions.get(&version)
    }

    /// What no other artifact has.
    pub fn digest(&self, model: &ModelName, version: Version) -> Option<&str> {
        self.modelet(model, version)?.sha256.get(..16)
    }

    /// The artifacts of the versions that are served, by what no other artifact has.
    pub fn artifacts(&self, model: &ModelName) -> BTreeMap<Version, String> {
        let digest = |version| Some((version, self.digest(model, version)?.to_owned()));
        let mut artifacts = BTreeMap::new();
        artifacts.extend(self.deployment.versions(model).filter_map(digest));
        artifacts
    }

    /// How versions that come later take over; `None` where they do so at once.
    pub fn strategy(&self, model: &ModelName) -> Option<&Strategy> {
        self.declared.get(model)?.strategy.as_ref()
    }

    /// The version that answers where nothing was rolled out yet.
    pub fn default(&self, model: &ModelName) -> Option<Version> {
        let spec = &self.declared.get(model)?.versions;
        versions::default(spec, self.deployment.versions(model))
    }

    /// Lets requests follow a rollout.
    pub fn follow(&mut self, model: &ModelName, kept: &Kept) {
        let Some(declared) = self.declared.get(model) else {
            return;
        };
        let spec = match kept.suits(|version| self.modelet(model, version).is_some()) {
            true => kept.rollout().applied_to(declared),
            // Its canary is not here: this instance is about to be replaced, or has just come back.
            false => {
                let mut spec = declared.clone();
                spec.versions.default = Some(kept.rollout().stable);
                spec
            }
        };
        self.deployment.change(model, spec);
    }

    /// The longest that a call of this model may take.
    pub fn timeout(&self, model: &ModelName) -> Duration {
        let spec = self.declared.get(model);
        let timeout = spec.and_then(|spec| spec.limits.timeout);
        timeout.unwrap_or(TIMEOUT)
    }

    /// How calls of a version are judged; `None` where no breaker looks at them.
    pub fn judge(&self, model: &ModelName, version: Version) -> Option<Judge> {
        let spec = self.deployment.spec(model)?;
        Some(Judge {
            limits: spec.breaker.clone()?,
            seed: deployment::breaker_seed(model, version, SEED),
            timeout: self.timeout(model),
        })
    }
}

/// The same for all instances, which are one host: they must come to the same decisions from what they
/// remember together.
const SEED: u64 = 0;

#[cfg(test)]
pub mod tests {
    use modelet_protocol::{Datatype, Dimension, TensorSpec};
    use serde_json::json;

    use super::*;

    /// Two models of one number each; `m` in versions 1 and 2, with this policy, and `other`.
    pub fn served(policy: &Value) -> Served {
        let number = |name: &str| TensorSpec {
            name: name.to_owned(),
            datatype: Datatype::Fp32,
            shape: vec![Dimension::Fixed(1)],
        };
        let signature = Signature {
            inputs: vec![number("x")],
            outputs: vec![number("y")],
        };
        let modelet = |slot: u8| json!({"slot": slot, "sha256": format!("{slot:064}"), "signature": signature});
        let application = json!({"models": {
            "m": {"policy": policy, "versions": {"1": modelet(0), "2": modelet(1)}},
            "other": {"policy": {}, "versions": {"1": modelet(2)}},
        }});
        Served::read(&application.to_string()).unwrap()
    }

    #[test]
    fn what_is_wrong_with_an_application_is_told() {
        let check = |json: &str, expected: &str| {
            let error = Served::read(json).err().unwrap();
            assert!(error.contains(expected), "{error}");
        };
        check("", "cannot be read");
        check(r#"{"models":{},"more":1}"#, "unknown field `more`");
        let policy = r#"{"models":{"m":{"policy":{"traffic":{"weight":1}},"versions":{}}}}"#;
        check(policy, "unknown field `weight`");
    }
}
