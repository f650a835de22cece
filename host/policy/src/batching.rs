//! Which requests one call answers together, and when that call is due.

use std::time::Duration;

/// How a model's requests are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batching {
    /// The most rows of one call.
    pub max_batch_size: u64,
    /// How long a request that could run waits for others. Whatever it is, requests that have to wait
    /// for their turn do so together.
    pub max_queue_delay: Duration,
}

/// A tensor that a model declares: for each dimension its name, where requests choose its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared<'a> {
    pub name: &'a str,
    pub dimensions: Vec<Option<&'a str>>,
}

impl Batching {
    /// Whether a request of this many rows may be joined to others.
    pub fn takes(&self, rows: u64) -> bool {
        (1..=self.max_batch_size).contains(&rows)
    }

    /// Whether a request finds room beside those that wait.
    pub fn has_room(&self, waiting: u64, rows: u64) -> bool {
        waiting.saturating_add(rows) <= self.max_batch_size
    }

    pub fn is_full(&self, rows: u64) -> bool {
        rows >= self.max_batch_size
    }

    /// The rows of each call for a request of so many, where as many calls as are `free` may run: no more calls than
    /// whole batches would need, and as even as can be.
    pub fn divide(&self, rows: u64, free: usize) -> Vec<u64> {
        let calls = rows.div_ceil(self.max_batch_size).min(free as u64).max(1);
        let longer = rows % calls;
        (0..calls)
            .map(|call| rows / calls + u64::from(call < longer))
            .collect()
    }
}

/// Why requests of a model cannot be joined, if they cannot.
pub fn check(inputs: &[Declared<'_>], outputs: &[Declared<'_>]) -> Result<(), String> {
    let batch = inputs.first().and_then(|input| input.dimensions.first());
    let batch = batch.copied().flatten();
    for declared in inputs.iter().chain(outputs) {
        let mut dimensions = declared.dimensions.iter();
        let is_first = batch.is_some() && dimensions.next() == Some(&batch);
        if !is_first || dimensions.any(|other| *other == batch) {
            return Err(format!(
                "[batching] joins requests along the first dimension, which every input and output must \
                 leave open under the same name and have nowhere else; `{}` does not",
                declared.name
            ));
        }
    }
    match inputs.is_empty() {
        true => Err("[batching] joins inputs, and the model has none".to_owned()),
        false => Ok(()),
    }
}

/// Whether tensors of these shapes are one tensor with more rows.
pub fn may_join(one: &[u64], other: &[u64]) -> bool {
    one.len() == other.len() && one.get(1..) == other.get(1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared<'a>(name: &'a str, dimensions: &[Option<&'a str>]) -> Declared<'a> {
        Declared {
            name,
            dimensions: dimensions.to_vec(),
        }
    }

    #[test]
    fn every_tensor_has_the_rows_and_nothing_else_is_as_many() {
        let x = declared("x", &[Some("n"), None]);
        let y = declared("y", &[Some("n")]);
        assert_eq!(
            check(&[x.clone(), y.clone()], std::slice::from_ref(&y)),
            Ok(())
        );
        let longer = declared("z", &[Some("n"), Some("length")]);
        assert_eq!(check(&[longer], std::slice::from_ref(&y)), Ok(()));
        for (wrong, name) in [
            (declared("fixed", &[None, None]), "fixed"),
            (declared("scalar", &[]), "scalar"),
            (declared("other", &[Some("m")]), "other"),
            (declared("square", &[Some("n"), Some("n")]), "square"),
        ] {
            for refused in [
                check(&[x.clone(), wrong.clone()], &[]),
                check(std::slice::from_ref(&x), &[wrong]),
            ] {
                assert!(refused.unwrap_err().contains(name), "{name}");
            }
        }
        assert!(check(&[declared("fixed", &[None])], &[]).is_err());
        assert!(check(&[], &[]).is_err());
    }

    #[test]
    fn no_batch_is_larger_than_asked() {
        let batching = Batching {
            max_batch_size: 8,
            max_queue_delay: Duration::ZERO,
        };
        assert!(batching.takes(1) && batching.takes(8));
        assert!(!batching.takes(0) && !batching.takes(9));
        assert!(batching.has_room(6, 2) && !batching.has_room(6, 3));
        assert!(!batching.has_room(1, u64::MAX));
        assert!(batching.is_full(8) && !batching.is_full(7));
    }

    #[test]
    fn rows_are_divided_evenly_among_those_who_are_free() {
        let batching = Batching {
            max_batch_size: 8,
            max_queue_delay: Duration::ZERO,
        };
        for (rows, free, expected) in [
            (0, 4, vec![0]),
            (9, 0, vec![9]),
            (9, 1, vec![9]),
            (9, 4, vec![5, 4]),
            (100, 3, vec![34, 33, 33]),
            (17, 64, vec![6, 6, 5]),
        ] {
            assert_eq!(batching.divide(rows, free), expected, "{rows}, {free}");
        }
    }

    #[test]
    fn only_the_first_dimension_may_differ() {
        assert!(may_join(&[1, 3], &[7, 3]));
        assert!(!may_join(&[1, 3], &[1, 4]));
        assert!(!may_join(&[1], &[1, 4]));
        assert!(may_join(&[1], &[2]));
    }
}
