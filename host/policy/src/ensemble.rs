//! Models that answer together.
//!
//! An ensemble is a model without a file of its own: its members are asked, and this says what their
//! answers are together. Values are plain; whoever asks the members knows their tensors.

use std::collections::BTreeMap;

use crate::guard::Confidence;
use crate::names::{ModelName, Version};

/// Who is asked and how the answers become one.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    pub combine: Combine,
    pub members: Vec<Member>,
    pub missing: Missing,
    /// The outputs it has; empty: all that can be combined.
    pub outputs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub model: ModelName,
    /// `None`: the one that the model chooses for itself.
    pub version: Option<Version>,
    /// Above 0.
    pub weight: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Combine {
    /// Floats are averaged by weight; of everything else the majority is taken.
    Average,
    /// Each element is what most members by weight say; floats are left out.
    Vote,
    /// The members' outputs, row by row one after the other, are the one input of another model.
    Stacking(Member),
    /// One after the other is asked until one is certain enough.
    Cascade(Confidence),
}

/// What happens when a member has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nor has the ensemble.
    Fail,
    /// The others answer, if there are at least so many.
    Skip { minimum: usize },
}

impl Ensemble {
    /// Whether `answered` members are enough.
    pub fn is_enough(&self, answered: usize) -> bool {
        match (&self.combine, self.missing) {
            // Later members of a cascade need not be asked.
            (Combine::Cascade(_), _) => answered > 0,
            (_, Missing::Fail) => answered == self.members.len(),
            (_, Missing::Skip { minimum }) => answered >= minimum,
        }
    }

    /// Whether a member that has no answer can be done without.
    pub fn may_skip(&self) -> bool {
        matches!(self.missing, Missing::Skip { .. })
    }

    /// Every model that is asked, the combiner included.
    pub fn models(&self) -> impl Iterator<Item = &Member> {
        let combiner = match &self.combine {
            Combine::Stacking(combiner) => Some(combiner),
            _ => None,
        };
        self.members.iter().chain(combiner)
    }

    /// Whether an output of this name is one of the ensemble's.
    pub fn has_output(&self, name: &str) -> bool {
        self.outputs.is_empty() || self.outputs.iter().any(|output| output == name)
    }
}

/// The average of each element. All answers have the same length; there is at least one.
pub fn average(answers: &[(f64, &[f64])]) -> Vec<f64> {
    let total: f64 = answers.iter().map(|(weight, _)| weight).sum();
    let length = answers.first().map_or(0, |(_, values)| values.len());
    (0..length)
        .map(|at| {
            let weighted = answers.iter().map(|(weight, values)| weight * values[at]);
            weighted.sum::<f64>() / total
        })
        .collect()
}

/// For each element the place of an answer that says what most say. Of values with the same weight
/// that of the earlier member wins. All answers have the same length; there is at least one.
pub fn majority(answers: &[(f64, Vec<&[u8]>)]) -> Vec<usize> {
    let length = answers.first().map_or(0, |(_, elements)| elements.len());
    let winner = |at: usize| {
        let mut votes: BTreeMap<&[u8], f64> = BTreeMap::new();
        for (weight, elements) in answers {
            *votes.entry(elements[at]).or_default() += weight;
        }
        let votes_of = |place: usize| votes[answers[place].1[at]];
        (1..answers.len()).fold(0, |best, place| match votes_of(place) > votes_of(best) {
            true => place,
            false => best,
        })
    };
    (0..length).map(winner).collect()
}

/// The rows of all answers one after the other: `[a1, b1, a2, b2, …]` of rows `a` and `b`. Each comes
/// with the length of its rows; all have the same number of rows.
pub fn side_by_side(answers: &[(usize, &[f64])]) -> Vec<f64> {
    let rows = answers
        .iter()
        .map(|(columns, values)| values.len() / (*columns).max(1))
        .min();
    let mut joined = Vec::new();
    for row in 0..rows.unwrap_or(0) {
        for (columns, values) in answers {
            joined.extend_from_slice(&values[row * columns..(row + 1) * columns]);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_average_is_weighted() {
        let (a, b) = (&[1.0, 0.0][..], &[0.0, 1.0][..]);
        assert_eq!(average(&[(1.0, a), (1.0, b)]), [0.5, 0.5]);
        assert_eq!(average(&[(3.0, a), (1.0, b)]), [0.75, 0.25]);
        assert!(average(&[(1.0, a), (1.0, &[f64::NAN, 0.0])])[0].is_nan());
    }

    #[test]
    fn the_majority_is_by_weight_and_the_first_wins_a_tie() {
        let say = |weight: f64, words: &[&'static str]| {
            (weight, words.iter().map(|word| word.as_bytes()).collect())
        };
        let votes = [
            say(1.0, &["a", "a"]),
            say(1.0, &["b", "a"]),
            say(1.0, &["b", "c"]),
        ];
        assert_eq!(majority(&votes), [1, 0]);
        let votes = [say(2.5, &["a"]), say(1.0, &["b"]), say(1.0, &["b"])];
        assert_eq!(majority(&votes), [0]);
        let votes = [say(1.0, &["a"]), say(1.0, &["b"])];
        assert_eq!(majority(&votes), [0]);
    }

    #[test]
    fn rows_are_put_side_by_side() {
        let joined = side_by_side(&[(2, &[1.0, 2.0, 3.0, 4.0]), (1, &[9.0, 8.0])]);
        assert_eq!(joined, [1.0, 2.0, 9.0, 3.0, 4.0, 8.0]);
        assert!(side_by_side(&[(0, &[])]).is_empty());
    }

    #[test]
    fn a_rule_says_who_may_be_missing() {
        let member = |model: &str| Member {
            model: model.parse().unwrap(),
            version: None,
            weight: 1.0,
        };
        let mut ensemble = Ensemble {
            combine: Combine::Average,
            members: vec![member("a"), member("b"), member("c")],
            missing: Missing::Fail,
            outputs: Vec::new(),
        };
        assert!(ensemble.is_enough(3) && !ensemble.is_enough(2));
        ensemble.missing = Missing::Skip { minimum: 2 };
        assert!(ensemble.is_enough(2) && !ensemble.is_enough(1));
    }

    proptest! {
        #[test]
        fn an_average_lies_between(
            rows in prop::collection::vec((0.01_f64..10.0, -1e6_f64..1e6), 1..8),
        ) {
            let answers: Vec<_> = rows.iter().map(|(weight, value)| (*weight, std::slice::from_ref(value))).collect();
            let found = average(&answers)[0];
            let (low, high) = rows.iter().fold((f64::MAX, f64::MIN), |(l, h), (_, v)| (l.min(*v), h.max(*v)));
            prop_assert!(low - 1e-6 <= found && found <= high + 1e-6);
        }
    }
}
