//! Which answers of a model may be given to a caller.

use crate::condition::{Condition, Names};

/// What is asked of every answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guards {
    /// No output holds NaN or an infinity.
    pub finite: bool,
    pub shapes: Vec<Shape>,
    pub ranges: Vec<Range>,
    pub confidence: Vec<Confidence>,
    /// Each holds, of the record `outputs`, which has a list of numbers for each output.
    pub conditions: Vec<Condition>,
}

/// An output has this many dimensions, and these sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub output: String,
    /// `None`: any size.
    pub sizes: Vec<Option<u64>>,
}

/// All values of an output lie in here.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    pub output: String,
    pub min: f64,
    pub max: f64,
}

/// The largest value of each row of an output is at least this: the certainty of a classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Confidence {
    pub output: String,
    pub at_least: f64,
}

/// Looks at outputs by name, shape and values.
pub fn with_numbers<'a, T>(
    outputs: impl Iterator<Item = (&'a str, &'a [u64], Vec<f64>)>,
    look: impl FnOnce(&[Numbers<'_>]) -> T,
) -> T {
    let outputs: Vec<_> = outputs.collect();
    let numbers = outputs.iter().map(|(name, shape, values)| Numbers {
        name,
        shape,
        values,
    });
    look(&numbers.collect::<Vec<_>>())
}

/// An output as numbers, row-major. One that holds no numbers has no values.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    pub name: &'a str,
    pub shape: &'a [u64],
    pub values: &'a [f64],
}

impl<'a> Numbers<'a> {
    /// Runs along the last dimension.
    fn rows(&self) -> impl Iterator<Item = &'a [f64]> {
        let columns = self.shape.last().map_or(1, |&size| size as usize);
        self.values.chunks(columns.max(1))
    }
}

impl Guards {
    pub fn is_empty(&self) -> bool {
        *self == Guards::default()
    }

    /// Why these outputs may not be given. An output that was not asked for is not missed.
    pub fn check(&self, outputs: &[Numbers<'_>]) -> Result<(), String> {
        for output in outputs {
            let finite = output.values.iter().all(|value| value.is_finite());
            if self.finite && !finite {
                return Err(format!("output `{}` is not finite", output.name));
            }
            let concerns = |name: &str| name == output.name;
            for shape in self.shapes.iter().filter(|it| concerns(&it.output)) {
                shape.check(output)?;
            }
            for range in self.ranges.iter().filter(|it| concerns(&it.output)) {
                range.check(output)?;
            }
            for confidence in self.confidence.iter().filter(|it| concerns(&it.output)) {
                confidence.check(output)?;
            }
        }
        self.check_conditions(outputs)
    }

    /// One that is neither true nor false of these outputs keeps them back too.
    fn check_conditions(&self, outputs: &[Numbers<'_>]) -> Result<(), String> {
        if self.conditions.is_empty() {
            return Ok(());
        }
        let lists: Vec<_> = outputs.iter().map(|it| (it.name, it.values)).collect();
        let names = Names::default().lists("outputs", &lists);
        for condition in &self.conditions {
            if !condition.holds(&names)? {
                return Err(format!("the condition {condition:?} does not hold"));
            }
        }
        Ok(())
    }
}

impl Shape {
    fn check(&self, output: &Numbers<'_>) -> Result<(), String> {
        let fits = |(size, found): (&Option<u64>, &u64)| size.is_none_or(|size| size == *found);
        let same_rank = self.sizes.len() == output.shape.len();
        if same_rank && self.sizes.iter().zip(output.shape).all(fits) {
            return Ok(());
        }
        let Numbers { name, shape, .. } = output;
        Err(format!("output `{name}` has the shape {shape:?}"))
    }
}

impl Range {
    fn check(&self, output: &Numbers<'_>) -> Result<(), String> {
        let inside = |value: &&f64| (self.min..=self.max).contains(*value);
        match output.values.iter().find(|value| !inside(value)) {
            Some(value) => Err(format!("output `{}` has the value {value}", output.name)),
            None => Ok(()),
        }
    }
}

impl Confidence {
    fn check(&self, output: &Numbers<'_>) -> Result<(), String> {
        match self.least(output).filter(|least| *least < self.at_least) {
            Some(least) => Err(format!(
                "output `{}` has a row whose largest value is {least}",
                output.name
            )),
            None => Ok(()),
        }
    }

    /// Whether an answer is as certain as this asks; one without the output is not.
    pub fn is_met(&self, outputs: &[Numbers<'_>]) -> bool {
        let output = outputs.iter().find(|output| output.name == self.output);
        output.is_some_and(|output| self.check(output).is_ok())
    }

    /// The largest value of the row in which that is smallest; `None` of no rows.
    fn least(&self, output: &Numbers<'_>) -> Option<f64> {
        // NaN is never the largest.
        let largest = |row: &[f64]| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        output.rows().map(largest).min_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guards: &Guards, values: &[f64]) -> Result<(), String> {
        let output = Numbers {
            name: "p",
            shape: &[values.len() as u64 / 2, 2],
            values,
        };
        guards.check(&[output])
    }

    #[test]
    fn a_shape_leaves_open_what_it_does_not_say() {
        let guards = |sizes: &[Option<u64>]| Guards {
            shapes: vec![Shape {
                output: "p".to_owned(),
                sizes: sizes.to_vec(),
            }],
            ..Guards::default()
        };
        assert!(check(&guards(&[None, Some(2)]), &[0.0; 6]).is_ok());
        for sizes in [&[None, Some(3)][..], &[Some(2), None], &[None], &[None; 3]] {
            let refused = check(&guards(sizes), &[0.0; 6]).unwrap_err();
            assert!(refused.contains("[3, 2]"), "{refused}");
        }
    }

    #[test]
    fn conditions_are_over_the_outputs() {
        let guards = |text: &str| Guards {
            conditions: vec![Condition::try_from(text.to_owned()).unwrap()],
            ..Guards::default()
        };
        let certain = guards("max(outputs.p) >= 0.6 && len(outputs[\"p\"]) == 2");
        assert!(check(&certain, &[0.7, 0.3]).is_ok());
        let refused = check(&certain, &[0.5, 0.5]).unwrap_err();
        assert!(refused.contains("does not hold"), "{refused}");
        let senseless = guards("outputs.missing > 1");
        assert!(check(&senseless, &[0.5, 0.5]).is_err());
    }

    #[test]
    fn what_is_not_finite_is_kept_back_where_asked() {
        let guards = Guards {
            finite: true,
            ..Guards::default()
        };
        assert!(check(&guards, &[0.0, 1.0]).is_ok());
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(check(&guards, &[0.0, odd]).is_err());
            assert!(check(&Guards::default(), &[0.0, odd]).is_ok());
        }
    }

    #[test]
    fn a_range_holds_its_ends_and_no_nan() {
        let guards = Guards {
            ranges: vec![Range {
                output: "p".to_owned(),
                min: 0.0,
                max: 1.0,
            }],
            ..Guards::default()
        };
        assert!(check(&guards, &[0.0, 1.0]).is_ok());
        for odd in [-0.1, 1.1, f64::NAN] {
            assert!(check(&guards, &[0.5, odd]).is_err(), "{odd}");
        }
    }

    #[test]
    fn every_row_must_be_certain_enough() {
        let guards = Guards {
            confidence: vec![Confidence {
                output: "p".to_owned(),
                at_least: 0.6,
            }],
            ..Guards::default()
        };
        assert!(check(&guards, &[0.1, 0.9, 0.6, 0.4]).is_ok());
        assert!(check(&guards, &[0.1, 0.9, 0.5, 0.5]).is_err());
        assert!(check(&guards, &[f64::NAN, f64::NAN]).is_err());
        assert!(check(&guards, &[]).is_ok());
    }
}
