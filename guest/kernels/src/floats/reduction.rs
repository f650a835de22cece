//! One value of `f32` from all along an axis.

use super::elementwise::Operator;
use super::four::{Four, each, fold};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    Sum,
    MeanOfSquares,
    Max,
    Min,
}

/// The axis, what lies before it, and what behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Along {
    pub outer: usize,
    pub len: usize,
    pub inner: usize,
}

impl Along {
    /// The axes from `first` to `last` of a shape as one.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn axes(shape: &[usize], first: usize, last: usize) -> Along {
        let size = |axes: &[usize]| axes.iter().product();
        Along {
            outer: size(&shape[..first]),
            len: size(&shape[first..=last]),
            inner: size(&shape[last + 1..]),
        }
    }

    fn check(self, values: usize, reduced: usize) {
        assert_eq!(values, self.outer * self.len * self.inner, "values");
        assert_eq!(reduced, self.outer * self.inner, "values without the axis");
    }
}

impl Reduction {
    /// Writes what there is without the axis.
    ///
    /// # Panics
    /// If there are not as many values as it says.
    pub fn write(self, values: &[f32], along: Along, reduced: &mut [f32]) {
        along.check(values.len(), reduced.len());
        let mut squares = Vec::new();
        let values = match self {
            Reduction::MeanOfSquares => {
                squares.extend_from_slice(values);
                each(&mut squares, |value| value.mul(value));
                &squares
            }
            _ => values,
        };
        if along.len == 0 {
            reduced.fill(self.start());
        } else if along.inner == 1 {
            let rows = values.chunks_exact(along.len);
            for (reduced, row) in reduced.iter_mut().zip(rows) {
                *reduced = self.row(row);
            }
        } else {
            let blocks = values.chunks_exact((along.len * along.inner).max(1));
            for (reduced, block) in reduced.chunks_exact_mut(along.inner.max(1)).zip(blocks) {
                self.lines(block, reduced);
            }
        }
        if self == Reduction::MeanOfSquares {
            let share = 1.0 / along.len as f32;
            Operator::Mul.by_one(reduced, share);
        }
    }

    /// What there is of nothing.
    fn start(self) -> f32 {
        match self {
            Reduction::Sum | Reduction::MeanOfSquares => 0.0,
            Reduction::Max => f32::NEG_INFINITY,
            Reduction::Min => f32::INFINITY,
        }
    }

    pub(crate) fn row(self, row: &[f32]) -> f32 {
        match self {
            Reduction::Sum | Reduction::MeanOfSquares => fold(row, self.start(), Four::add),
            Reduction::Max => fold(row, self.start(), Four::max),
            Reduction::Min => fold(row, self.start(), Four::min),
        }
    }

    /// Of lines as long as `reduced`, one after the other.
    fn lines(self, lines: &[f32], reduced: &mut [f32]) {
        let operator = match self {
            Reduction::Sum | Reduction::MeanOfSquares => Operator::Add,
            Reduction::Max => Operator::Max,
            Reduction::Min => Operator::Min,
        };
        reduced.fill(self.start());
        for line in lines.chunks_exact(reduced.len()) {
            operator.by_many(reduced, line);
        }
    }
}

/// Which value along an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The least one, and not the greatest.
    pub of_least: bool,
    /// Of several the last.
    pub last: bool,
}

impl Position {
    /// Writes where along the axis that value is. What is no number is never it.
    ///
    /// # Panics
    /// As [`Reduction::write`].
    pub fn write(self, values: &[f32], along: Along, places: &mut [i64]) {
        along.check(values.len(), places.len());
        let start = match self.of_least {
            true => f32::INFINITY,
            false => f32::NEG_INFINITY,
        };
        for (number, place) in places.iter_mut().enumerate() {
            let (block, behind) = (number / along.inner, number % along.inner);
            let first = block * along.len * along.inner + behind;
            let (mut at, mut best) = (0, start);
            for step in 0..along.len {
                let value = values[first + step * along.inner];
                let is_better = match self.of_least {
                    true => value < best,
                    false => value > best,
                };
                if is_better || (self.last && value == best) {
                    (at, best) = (step, value);
                }
            }
            *place = at as i64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDUCTIONS: [Reduction; 4] = [
        Reduction::Sum,
        Reduction::MeanOfSquares,
        Reduction::Max,
        Reduction::Min,
    ];

    fn along(outer: usize, len: usize, inner: usize) -> Along {
        Along { outer, len, inner }
    }

    /// Whole numbers, whose sums are the same in each order.
    fn draws(count: usize) -> Vec<f32> {
        (0..count)
            .map(|index| (index * 37 % 23) as f32 - 11.0)
            .collect()
    }

    fn of(reduction: Reduction, values: &[f32], along: Along) -> Vec<f32> {
        let mut reduced = vec![7.0; along.outer * along.inner];
        reduction.write(values, along, &mut reduced);
        reduced
    }

    fn positions(values: &[f32], along: Along, of_least: bool, last: bool) -> Vec<i64> {
        let mut places = vec![-1; along.outer * along.inner];
        Position { of_least, last }.write(values, along, &mut places);
        places
    }

    fn plainly(reduction: Reduction, values: impl Iterator<Item = f32> + Clone) -> f32 {
        match reduction {
            Reduction::Sum => values.sum(),
            Reduction::MeanOfSquares => {
                let count = values.clone().count() as f32;
                values.map(|value| value * value).sum::<f32>() * (1.0 / count)
            }
            Reduction::Max => values.fold(f32::NEG_INFINITY, f32::max),
            Reduction::Min => values.fold(f32::INFINITY, f32::min),
        }
    }

    #[test]
    fn rows_and_lines_become_what_they_should() {
        for len in [1, 2, 3, 15, 16, 17, 63, 64, 65, 200] {
            for (outer, inner) in [(1, 1), (3, 1), (1, 5), (2, 16), (2, 3)] {
                let values = draws(outer * len * inner);
                for reduction in REDUCTIONS {
                    let got = of(reduction, &values, along(outer, len, inner));
                    assert_eq!(got.len(), outer * inner);
                    for (number, got) in got.into_iter().enumerate() {
                        let first = number / inner * len * inner + number % inner;
                        let line = values[first..].iter().copied().step_by(inner).take(len);
                        assert_eq!(got, plainly(reduction, line), "{reduction:?} {len} {inner}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_is_not_forgotten() {
        for len in [3, 99] {
            for at in [0, 1, len - 1] {
                let mut values = vec![1.0; len];
                values[at] = f32::NAN;
                for reduction in REDUCTIONS {
                    assert!(of(reduction, &values, along(1, len, 1))[0].is_nan());
                    assert!(of(reduction, &values, along(1, len / 3, 3))[at % 3].is_nan());
                }
            }
        }
    }

    #[test]
    fn of_nothing_there_is_the_start() {
        assert_eq!(of(Reduction::Sum, &[], along(2, 0, 1)), [0.0, 0.0]);
        let least = of(Reduction::Max, &[], along(1, 0, 2));
        assert_eq!(least, [f32::NEG_INFINITY; 2]);
        assert!(of(Reduction::Sum, &[], along(0, 3, 1)).is_empty());
        assert!(of(Reduction::Sum, &[], along(2, 3, 0)).is_empty());
    }

    #[test]
    fn the_first_or_the_last_of_the_greatest() {
        let values = [1.0, 3.0, f32::NAN, 3.0, -1.0, -1.0];
        let rows = along(1, 6, 1);
        assert_eq!(positions(&values, rows, false, false), [1]);
        assert_eq!(positions(&values, rows, false, true), [3]);
        assert_eq!(positions(&values, rows, true, false), [4]);
        assert_eq!(positions(&values, rows, true, true), [5]);
        let columns = along(1, 2, 2);
        assert_eq!(
            positions(&[1.0, 5.0, 2.0, 4.0], columns, false, false),
            [1, 0]
        );
    }

    #[test]
    fn axes_side_by_side_are_one() {
        assert_eq!(Along::axes(&[2, 3, 4, 5], 1, 2), along(2, 12, 5));
        assert_eq!(Along::axes(&[2, 3], 0, 1), along(1, 6, 1));
    }
}
