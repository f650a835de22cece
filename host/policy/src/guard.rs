//! Which answers of a model may be given to a caller.

/// What is asked of every answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guards {
    /// No output holds NaN or an infinity.
    pub finite: bool,
    pub ranges: Vec<Range>,
    pub confidence: Vec<Confidence>,
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

/// An output as numbers, row by row. `columns` is the size of its last dimension.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    pub name: &'a str,
    pub columns: usize,
    pub values: &'a [f64],
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
        }
        for range in &self.ranges {
            let inside = |value: &f64| (range.min..=range.max).contains(value);
            for output in outputs.iter().filter(|output| output.name == range.output) {
                if let Some(value) = output.values.iter().find(|value| !inside(value)) {
                    return Err(format!("output `{}` has the value {value}", output.name));
                }
            }
        }
        for confidence in &self.confidence {
            for output in outputs
                .iter()
                .filter(|output| output.name == confidence.output)
            {
                confidence.check(output)?;
            }
        }
        Ok(())
    }
}

impl Confidence {
    fn check(&self, output: &Numbers<'_>) -> Result<(), String> {
        for row in output.values.chunks(output.columns.max(1)) {
            // NaN is never the largest.
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if largest < self.at_least {
                let name = output.name;
                return Err(format!(
                    "output `{name}` has a row whose largest value is {largest}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guards: &Guards, values: &[f64]) -> Result<(), String> {
        let output = Numbers {
            name: "p",
            columns: 2,
            values,
        };
        guards.check(&[output])
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
