//! The same values of `f32` in another order, some of them, or all within others.

use super::four::{Four, copy, fill};
use super::reduction::Along;

/// Lines that are read side by side, so that what is read of a place in memory is used before it is gone.
const LINES: usize = 16;

/// For each of `outer` blocks, `rows` of `cols` items become `cols` of `rows`. An item is `inner` values.
///
/// # Panics
/// If there are fewer values than that, or another number of places.
pub fn transpose(values: &[f32], [outer, rows, cols, inner]: [usize; 4], to: &mut [f32]) {
    assert_eq!(values.len(), outer * rows * cols * inner, "values");
    assert_eq!(values.len(), to.len(), "places");
    let block = rows * cols * inner;
    if block == 0 {
        return;
    }
    for (values, to) in values.chunks_exact(block).zip(to.chunks_exact_mut(block)) {
        match inner {
            1 => lines(values, rows, cols, to),
            _ => {
                for (number, item) in to.chunks_exact_mut(inner).enumerate() {
                    let from = (number % rows * cols + number / rows) * inner;
                    copy(item, &values[from..from + inner]);
                }
            }
        }
    }
}

fn lines(values: &[f32], rows: usize, cols: usize, to: &mut [f32]) {
    for first in (0..rows).step_by(LINES) {
        let count = LINES.min(rows - first);
        for col in 0..cols {
            let to = &mut to[col * rows + first..][..count];
            for (row, place) in to.iter_mut().enumerate() {
                *place = values[(first + row) * cols + col];
            }
        }
    }
}

/// Values of this `shape` within a border of one value: `before[axis]` places of it from the beginning of each axis.
///
/// # Panics
/// If the shapes have not as many axes, or the one does not fit into the other.
pub fn pad(
    values: &[f32],
    shape: &[usize],
    before: &[usize],
    border: f32,
    to: &mut [f32],
    within: &[usize],
) {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "values");
    assert_eq!(to.len(), within.iter().product::<usize>(), "places");
    assert!(shape.len() == within.len() && shape.len() == before.len());
    let (Some((&len, outer)), Some((&width, outer_within))) =
        (shape.split_last(), within.split_last())
    else {
        copy(to, values);
        return;
    };
    let start = before[outer.len()];
    let mut lines = values.chunks_exact(len.max(1));
    for (number, place) in to.chunks_exact_mut(width.max(1)).enumerate() {
        let (mut rest, mut is_inside) = (number, true);
        for (axis, size) in outer_within.iter().enumerate().rev() {
            is_inside &= (before[axis]..before[axis] + outer[axis]).contains(&(rest % size));
            rest /= size;
        }
        match is_inside.then(|| lines.next()).flatten() {
            Some(line) => {
                fill(&mut place[..start], border);
                copy(&mut place[start..start + len], line);
                fill(&mut place[start + len..], border);
            }
            None => fill(place, border),
        }
    }
}

/// Every value along an axis that is a multiple of `step` from the `first` one.
///
/// # Panics
/// If there are not as many values as `along` says, or another number of places.
pub fn downsample(values: &[f32], along: Along, first: usize, step: usize, to: &mut [f32]) {
    let Along { outer, len, inner } = along;
    let count = len.saturating_sub(first).div_ceil(step);
    assert_eq!(values.len(), outer * len * inner, "values");
    assert_eq!(to.len(), outer * count * inner, "places");
    if to.is_empty() {
        return;
    }
    let blocks = values.chunks_exact(len * inner);
    for (block, to) in blocks.zip(to.chunks_exact_mut(count * inner)) {
        if inner == 1 {
            every(&block[first..], step, to);
            continue;
        }
        let lines = block.chunks_exact(inner).skip(first).step_by(step);
        for (line, to) in lines.zip(to.chunks_exact_mut(inner)) {
            copy(to, line);
        }
    }
}

/// As many of `values` as there are places, each a `step` from the one before.
pub(crate) fn every(values: &[f32], step: usize, to: &mut [f32]) {
    let mut done = 0;
    match step {
        1 => return copy(to, &values[..to.len()]),
        2 => {
            let pairs = to
                .as_chunks_mut()
                .0
                .iter_mut()
                .zip(values.as_chunks::<8>().0);
            for (to, values) in pairs {
                let [first, second] =
                    [0, 4].map(|at| Four::of(std::array::from_fn(|lane| values[at + lane])));
                *to = first.evens(second).values();
                done += to.len();
            }
        }
        _ => {}
    }
    let rest = to.iter_mut().enumerate().skip(done);
    rest.for_each(|(at, to)| *to = values[at * step]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|index| index as f32).collect()
    }

    #[test]
    fn rows_become_columns() {
        for rows in [1, 2, 16, 17, 40] {
            for (outer, cols, inner) in [(1, 1, 1), (2, 3, 1), (1, 33, 1), (2, 5, 3)] {
                let values = numbers(outer * rows * cols * inner);
                let mut got = vec![-1.0; values.len()];
                transpose(&values, [outer, rows, cols, inner], &mut got);
                for (index, got) in got.into_iter().enumerate() {
                    let (item, at) = (index / inner, index % inner);
                    let (block, item) = (item / (rows * cols), item % (rows * cols));
                    let (col, row) = (item / rows, item % rows);
                    let expected = ((block * rows + row) * cols + col) * inner + at;
                    assert_eq!(got, expected as f32);
                }
            }
        }
        transpose(&[], [2, 0, 3, 1], &mut []);
    }

    #[test]
    fn an_image_lies_within_a_larger_one() {
        let mut got = vec![-1.0; 2 * 3 * 4];
        let values = [1.0, 2.0, 3.0, 4.0];
        pad(&values, &[2, 1, 2], &[0, 1, 1], 7.0, &mut got, &[2, 3, 4]);
        let mut expected = [7.0; 24];
        expected[5..7].copy_from_slice(&[1.0, 2.0]);
        expected[17..19].copy_from_slice(&[3.0, 4.0]);
        assert_eq!(got, expected);
        let mut one = [0.0];
        pad(&[5.0], &[], &[], 7.0, &mut one, &[]);
        assert_eq!(one, [5.0]);
        let mut around_nothing = [0.0; 4];
        pad(&[], &[2, 0], &[0, 1], 7.0, &mut around_nothing, &[2, 2]);
        assert_eq!(around_nothing, [7.0; 4]);
    }

    #[test]
    fn some_along_an_axis_are_a_step_apart() {
        for (outer, len, inner) in [(1, 9, 1), (3, 40, 1), (2, 41, 1), (2, 7, 3), (1, 2, 1)] {
            for (first, step) in [(0, 1), (0, 2), (1, 2), (0, 3), (2, 5)] {
                let values = numbers(outer * len * inner);
                let kept: Vec<f32> = values
                    .chunks(inner)
                    .enumerate()
                    .filter(|(number, _)| {
                        (number % len)
                            .checked_sub(first)
                            .is_some_and(|at| at % step == 0)
                    })
                    .flat_map(|(_, item)| item.iter().copied())
                    .collect();
                let mut got = vec![-1.0; kept.len()];
                downsample(&values, Along { outer, len, inner }, first, step, &mut got);
                assert_eq!(got, kept, "{outer} {len} {inner}, {first} {step}");
            }
        }
    }
}
