//! `[cache]`: answers that are kept for who asks the same again.

use std::time::Duration;

use serde::Deserialize;

use crate::units;

/// How much is kept of a version's answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// All kept answers of one version together.
    pub size_bytes: u64,
    /// How long an answer is given again. `None`: as long as there is room for it.
    pub ttl: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typed {
    size: String,
    ttl: Option<String>,
}

pub fn read(typed: Typed, errors: &mut Vec<String>) -> Cache {
    let size_bytes = units::bytes(&typed.size).filter(|bytes| *bytes > 0);
    if size_bytes.is_none() {
        let size = &typed.size;
        errors.push(format!(
            "cache.size is a size such as \"64MiB\", not {size:?}"
        ));
    }
    let ttl = typed.ttl.and_then(|text| {
        let time = units::duration(&text).filter(|time| !time.is_zero());
        if time.is_none() {
            errors.push(format!(
                "cache.ttl is a time such as \"10m\" or \"30s\", not {text:?}"
            ));
        }
        time
    });
    Cache {
        size_bytes: size_bytes.unwrap_or_default(),
        ttl,
    }
}
