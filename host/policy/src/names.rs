//! Names of models and numbers of versions, checked on the way in.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const NAME_LIMIT: usize = 128;

/// The name of a model: what stands in a URL and names a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

/// Why a text does not name a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("a model's name is empty")]
    Empty,
    #[error("a model's name has at most {NAME_LIMIT} characters, this one has {0}")]
    TooLong(usize),
    #[error("a model's name begins with a letter, a digit or `_`, not with `{0}`")]
    Beginning(char),
    #[error("`{0}` cannot be in a model's name: letters, digits, `.`, `_` and `-` can")]
    Character(char),
}

impl ModelName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = text.chars().next().ok_or(InvalidName::Empty)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(other) = text.chars().find(|&c| !allowed(c)) {
            return Err(InvalidName::Character(other));
        }
        // A leading dot hides a folder and a leading dash looks like an option.
        if matches!(first, '.' | '-') {
            return Err(InvalidName::Beginning(first));
        }
        if text.len() > NAME_LIMIT {
            return Err(InvalidName::TooLong(text.len()));
        }
        Ok(ModelName(text.to_owned()))
    }
}

impl TryFrom<String> for ModelName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> String {
        name.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a version: a positive integer, larger for newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Version(u64);

/// Why a text or number is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version is a whole number from 1 on, written without leading zeros, not `{0}`")]
pub struct InvalidVersion(pub String);

impl Version {
    pub fn number(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Version {
    type Error = InvalidVersion;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        match number {
            0 => Err(InvalidVersion("0".to_owned())),
            _ => Ok(Version(number)),
        }
    }
}

impl From<Version> for u64 {
    fn from(version: Version) -> u64 {
        version.0
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        match text.parse() {
            Ok(number) if digits => Ok(Version(number)),
            _ => Err(InvalidVersion(text.to_owned())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names for versions.
pub type Labels = BTreeMap<String, Version>;

/// Labels that a rollout gives to the versions it is about.
pub const ROLLOUT_LABELS: [&str; 3] = ["stable", "canary", "preview"];

/// A version by its number, or by a label of a rollout, which comes to stand for another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    Version(Version),
    Label(String),
}

impl Which {
    /// `None` where the label stands for no version at this moment.
    pub fn version(&self, labels: &Labels) -> Option<Version> {
        match self {
            Which::Version(version) => Some(*version),
            Which::Label(label) => labels.get(label).copied(),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Version(version) => version.fmt(f),
            Which::Label(label) => f.write_str(label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_folders_and_urls_pass() {
        for name in ["iris", "mobilenet-v2", "a.b_c", "_x", "7"] {
            assert_eq!(name.parse::<ModelName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_could_escape_or_hide_are_refused() {
        for (name, expected) in [
            ("", InvalidName::Empty),
            ("..", InvalidName::Beginning('.')),
            (".git", InvalidName::Beginning('.')),
            ("-rf", InvalidName::Beginning('-')),
            ("a/b", InvalidName::Character('/')),
            ("a b", InvalidName::Character(' ')),
            ("modèle", InvalidName::Character('è')),
        ] {
            assert_eq!(name.parse::<ModelName>(), Err(expected), "{name}");
        }
        assert_eq!(
            "a".repeat(129).parse::<ModelName>(),
            Err(InvalidName::TooLong(129))
        );
    }

    #[test]
    fn versions_have_one_way_to_be_written() {
        assert_eq!("12".parse::<Version>().unwrap().number(), 12);
        for text in [
            "",
            "0",
            "01",
            "+1",
            "-1",
            "1.0",
            "v1",
            "99999999999999999999",
        ] {
            assert_eq!(
                text.parse::<Version>(),
                Err(InvalidVersion(text.to_owned()))
            );
        }
    }
}
