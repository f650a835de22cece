//! Which versions of a model are served, and which one answers when none is named.

use crate::names::Version;
use crate::spec::{Serve, Versions};

/// Those of the `present` versions that are served.
pub fn served(spec: &Versions, present: impl IntoIterator<Item = Version>) -> Vec<Version> {
    let mut present: Vec<Version> = present.into_iter().collect();
    present.sort();
    match &spec.serve {
        Serve::All => present,
        Serve::Latest => present.split_off(present.len().saturating_sub(1)),
        Serve::Only(wanted) => {
            present.retain(|version| wanted.contains(version));
            present
        }
    }
}

/// The version that answers calls which name none: the declared one, else the highest that is ready.
/// A declared version that is not ready is not replaced by another.
pub fn default(spec: &Versions, ready: impl IntoIterator<Item = Version>) -> Option<Version> {
    let mut ready = ready.into_iter();
    match spec.default {
        Some(declared) => ready.find(|version| *version == declared),
        None => ready.max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(numbers: &[u64]) -> Vec<Version> {
        numbers
            .iter()
            .map(|&number| Version::try_from(number).unwrap())
            .collect()
    }

    fn check(serve: Serve, present: &[u64], expected: &[u64]) {
        let spec = Versions {
            serve,
            default: None,
        };
        assert_eq!(served(&spec, versions(present)), versions(expected));
    }

    #[test]
    fn served_versions_follow_the_spec() {
        check(Serve::All, &[3, 1], &[1, 3]);
        check(Serve::Latest, &[3, 10, 1], &[10]);
        check(Serve::Latest, &[], &[]);
        check(Serve::Only(versions(&[1, 9])), &[3, 1], &[1]);
    }

    #[test]
    fn the_highest_ready_version_answers_unless_one_is_declared() {
        let mut spec = Versions::default();
        assert_eq!(
            default(&spec, versions(&[1, 3, 2])).map(Version::number),
            Some(3)
        );
        assert_eq!(default(&spec, vec![]), None);
        spec.default = Some(versions(&[2])[0]);
        assert_eq!(
            default(&spec, versions(&[1, 2, 3])).map(Version::number),
            Some(2)
        );
        assert_eq!(default(&spec, versions(&[1, 3])), None);
    }
}
