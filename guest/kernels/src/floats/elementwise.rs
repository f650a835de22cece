//! Operations on each two values of `f32`, of which the second may be the same for several.

mod runs;

use runs::Runs;

use super::four::{Four, both, copy, each, fill};

/// What becomes of a value and another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    /// The greater one; what is no number stays none, and makes none of the other.
    Max,
    /// The lesser one, likewise.
    Min,
}

impl Operator {
    /// Replaces each of `values`, which have this `shape`. `others` have as many axes, each as long or one.
    ///
    /// # Panics
    /// If there are fewer than their shapes say, or the shapes do not go together.
    pub fn apply(self, values: &mut [f32], shape: &[usize], others: &[f32], other_shape: &[usize]) {
        let runs = Runs::new(shape, other_shape);
        let mut values = values.chunks_exact_mut(runs.len.max(1));
        runs.for_each(|from| {
            let Some(values) = values.next() else {
                return;
            };
            match runs.is_of_one {
                true => self.by_one(values, others[from]),
                false => self.by_many(values, &others[from..from + runs.len]),
            }
        });
    }

    pub(crate) fn by_one(self, values: &mut [f32], other: f32) {
        let other = Four::splat(other);
        match self {
            Operator::Add => each(values, |value| value.add(other)),
            Operator::Sub => each(values, |value| value.sub(other)),
            Operator::Mul => each(values, |value| value.mul(other)),
            Operator::Div => each(values, |value| value.div(other)),
            Operator::Max => each(values, |value| value.max(other)),
            Operator::Min => each(values, |value| value.min(other)),
        }
    }

    pub(crate) fn by_many(self, values: &mut [f32], others: &[f32]) {
        match self {
            Operator::Add => both(values, others, Four::add),
            Operator::Sub => both(values, others, Four::sub),
            Operator::Mul => both(values, others, Four::mul),
            Operator::Div => both(values, others, Four::div),
            Operator::Max => both(values, others, Four::max),
            Operator::Min => both(values, others, Four::min),
        }
    }
}

/// Writes `from` wherever it belongs in `shape`: its axes are as many, each as long or one.
///
/// # Panics
/// As [`Operator::apply`].
pub fn spread(values: &mut [f32], shape: &[usize], from: &[f32], from_shape: &[usize]) {
    let runs = Runs::new(shape, from_shape);
    let mut values = values.chunks_exact_mut(runs.len.max(1));
    runs.for_each(|at| match (values.next(), runs.is_of_one) {
        (Some(values), true) => fill(values, from[at]),
        (Some(values), false) => copy(values, &from[at..at + runs.len]),
        (None, _) => {}
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATORS: [Operator; 6] = [
        Operator::Add,
        Operator::Sub,
        Operator::Mul,
        Operator::Div,
        Operator::Max,
        Operator::Min,
    ];

    fn plainly(operator: Operator, value: f32, other: f32) -> f32 {
        match operator {
            Operator::Add => value + other,
            Operator::Sub => value - other,
            Operator::Mul => value * other,
            Operator::Div => value / other,
            Operator::Max => value.max(other),
            Operator::Min => value.min(other),
        }
    }

    /// Where the value at `index` of `shape` lies among those of `of`.
    fn place(mut index: usize, shape: &[usize], of: &[usize]) -> usize {
        let (mut place, mut stride) = (0, 1);
        for (size, own) in shape.iter().zip(of).rev() {
            place += (index % size).min(own - 1) * stride;
            stride *= own;
            index /= size;
        }
        place
    }

    fn draws(count: usize) -> Vec<f32> {
        (0..count)
            .map(|index| (index * 37 % 23) as f32 - 11.5)
            .collect()
    }

    #[test]
    fn each_value_meets_the_one_that_belongs_to_it() {
        let shapes: [&[usize]; 6] = [&[], &[5], &[3, 7], &[2, 1, 9], &[2, 3, 4], &[1, 2, 2, 17]];
        let mut count = 0;
        for shape in shapes {
            for ones in 0..1 << shape.len() {
                let axes = shape.iter().enumerate();
                let other: Vec<usize> = axes
                    .map(|(axis, size)| if ones >> axis & 1 == 1 { 1 } else { *size })
                    .collect();
                let values = draws(shape.iter().product());
                let others = draws(other.iter().product());
                for operator in OPERATORS {
                    let mut got = values.clone();
                    operator.apply(&mut got, shape, &others, &other);
                    for (index, got) in got.into_iter().enumerate() {
                        let with = others[place(index, shape, &other)];
                        let expected = plainly(operator, values[index], with);
                        assert_eq!(got, expected, "{operator:?} {shape:?} {other:?} {index}");
                        count += 1;
                    }
                }
                let mut got = values.clone();
                spread(&mut got, shape, &others, &other);
                for (index, got) in got.into_iter().enumerate() {
                    assert_eq!(got, others[place(index, shape, &other)]);
                }
            }
        }
        assert!(count > 1000);
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        Operator::Add.apply(&mut [], &[0, 3], &[1.0, 2.0, 3.0], &[1, 3]);
        spread(&mut [], &[2, 0], &[], &[2, 0]);
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for operator in [Operator::Max, Operator::Min] {
            let mut values = [f32::NAN, 1.0, 1.0];
            operator.apply(&mut values, &[3], &[1.0, f32::NAN, 2.0], &[3]);
            assert!(values[0].is_nan() && values[1].is_nan() && !values[2].is_nan());
            let mut values = [f32::NAN, 1.0];
            operator.apply(&mut values, &[2], &[f32::NAN], &[1]);
            assert!(values.iter().all(|value| value.is_nan()));
        }
    }
}
