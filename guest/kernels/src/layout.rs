//! The same values of `f32` in another order, or within others.

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
                    item.copy_from_slice(&values[from..from + inner]);
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

/// Writes values of this `shape` into a larger one, `before[axis]` places from the beginning of each axis. What lies around
/// them stays as it is.
///
/// # Panics
/// If the shapes have not as many axes, or the one does not fit into the other.
pub fn place(values: &[f32], shape: &[usize], before: &[usize], to: &mut [f32], within: &[usize]) {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "values");
    assert_eq!(to.len(), within.iter().product::<usize>(), "places");
    assert!(shape.len() == within.len() && shape.len() == before.len());
    let (Some((&len, outer)), Some((_, outer_before))) = (shape.split_last(), before.split_last())
    else {
        to.copy_from_slice(values);
        return;
    };
    for (number, line) in values.chunks_exact(len.max(1)).enumerate() {
        let (mut rest, mut at, mut stride) = (number, before[outer.len()], within[outer.len()]);
        for (axis, size) in outer.iter().enumerate().rev() {
            at += (rest % size + outer_before[axis]) * stride;
            rest /= size;
            stride *= within[axis];
        }
        to[at..at + len].copy_from_slice(line);
    }
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
        let mut got = vec![0.0; 2 * 3 * 4];
        place(
            &[1.0, 2.0, 3.0, 4.0],
            &[2, 1, 2],
            &[0, 1, 1],
            &mut got,
            &[2, 3, 4],
        );
        let mut expected = [0.0; 24];
        expected[5..7].copy_from_slice(&[1.0, 2.0]);
        expected[17..19].copy_from_slice(&[3.0, 4.0]);
        assert_eq!(got, expected);
        let mut one = [0.0];
        place(&[5.0], &[], &[], &mut one, &[]);
        assert_eq!(one, [5.0]);
        place(&[], &[2, 0], &[0, 1], &mut [9.0, 9.0, 9.0, 9.0], &[2, 2]);
    }
}
