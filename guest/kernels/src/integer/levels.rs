//! Values as levels of eight bits, and levels as values.

use super::eight::{Eight, Level, Limits};
use super::tile::COLS;

/// The levels of a tensor.
#[derive(Clone, Copy)]
pub enum Bytes<'a> {
    Unsigned(&'a [u8]),
    Signed(&'a [i8]),
}

impl Bytes<'_> {
    pub fn len(&self) -> usize {
        match self {
            Bytes::Unsigned(values) => values.len(),
            Bytes::Signed(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of them.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn part(&self, start: usize, len: usize) -> Self {
        match self {
            Bytes::Unsigned(values) => Bytes::Unsigned(&values[start..][..len]),
            Bytes::Signed(values) => Bytes::Signed(&values[start..][..len]),
        }
    }

    /// Less a zero point.
    pub fn less(&self, zero: i16) -> Vec<i16> {
        let mut values = vec![0; self.len()];
        self.write_less(zero, &mut values);
        values
    }

    /// Into the first places of `to`.
    ///
    /// # Panics
    /// If there are not as many places.
    pub(super) fn write_less(&self, zero: i16, to: &mut [i16]) {
        match self {
            Bytes::Unsigned(values) => write_less(values, zero, to),
            Bytes::Signed(values) => write_less(values, zero, to),
        }
    }

    /// Each second one apart, as if there were `before` others before them.
    ///
    /// # Panics
    /// If there are not as many places.
    pub(super) fn part_less(&self, zero: i16, before: usize, even: &mut [i16], odd: &mut [i16]) {
        match self {
            Bytes::Unsigned(values) => part_less(values, zero, before, even, odd),
            Bytes::Signed(values) => part_less(values, zero, before, even, odd),
        }
    }

    #[inline(always)]
    pub(super) fn at(&self, index: usize) -> i16 {
        match self {
            Bytes::Unsigned(values) => values[index].into(),
            Bytes::Signed(values) => values[index].into(),
        }
    }
}

/// Eight at a time; the last eight may begin among those that are there already.
#[inline(always)]
fn write_less<T: Level>(values: &[T], zero: i16, to: &mut [i16]) {
    let to = &mut to[..values.len()];
    for (values, to) in values.as_chunks().0.iter().zip(to.as_chunks_mut().0) {
        *to = T::eight_less(values, zero);
    }
    if let (Some(values), Some(to)) = (values.last_chunk(), to.last_chunk_mut()) {
        *to = T::eight_less(values, zero);
    } else {
        for (to, value) in to.iter_mut().zip(values) {
            *to = (*value).into() - zero;
        }
    }
}

#[inline(always)]
fn part_less<T: Level>(values: &[T], zero: i16, before: usize, even: &mut [i16], odd: &mut [i16]) {
    // What comes first, and what is one after it.
    let (first, second) = match before % 2 {
        0 => (&mut even[before / 2..], &mut odd[before / 2..]),
        _ => (&mut odd[before / 2..], &mut even[before / 2 + 1..]),
    };
    let first = &mut first[..values.len().div_ceil(2)];
    let second = &mut second[..values.len() / 2];
    let (pairs, last) = values.as_chunks::<2>();
    let (sixteens, pairs) = pairs.as_chunks::<COLS>();
    let whole = sixteens.len() * COLS;
    let firsts = first.as_chunks_mut::<COLS>().0;
    let seconds = second.as_chunks_mut::<COLS>().0;
    for ((pairs, first), second) in sixteens.iter().zip(firsts).zip(seconds) {
        for index in 0..COLS {
            first[index] = pairs[index][0].into() - zero;
            second[index] = pairs[index][1].into() - zero;
        }
    }
    for (index, pair) in (whole..).zip(pairs) {
        first[index] = pair[0].into() - zero;
        second[index] = pair[1].into() - zero;
    }
    if let [last] = last {
        first[values.len() / 2] = (*last).into() - zero;
    }
}

/// A level is so many steps from a zero point as a value is, ties to even, and within limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    pub zero: i32,
    /// Of levels, which fit into eight bits.
    pub limits: [i32; 2],
}

/// The levels of values, in steps of `scale`. What is no number is zero.
///
/// # Panics
/// If there is not as much room as values.
pub fn quantize(values: &[f32], scale: f32, steps: &Steps, to: &mut [u8]) {
    assert_eq!(values.len(), to.len(), "levels of other values");
    let limits = Limits::of(steps);
    for (values, to) in values.chunks(COLS).zip(to.chunks_mut(COLS)) {
        let mut eight = [0.0; COLS];
        for (to, value) in eight.iter_mut().zip(values) {
            let value = value / scale;
            *to = if value.is_nan() { 0.0 } else { value };
        }
        to.copy_from_slice(&Eight::of(&eight).levels(&limits)[..to.len()]);
    }
}

/// The least and the greatest of some values and zero.
#[inline(never)]
pub fn range(values: &[f32]) -> [f32; 2] {
    let mut least = [0f32; COLS];
    let mut most = [0f32; COLS];
    let mut eights = values.chunks_exact(COLS);
    let one = |(least, most): (&mut f32, &mut f32), value: &f32| {
        *least = if *value < *least { *value } else { *least };
        *most = if *value > *most { *value } else { *most };
    };
    for eight in eights.by_ref() {
        for (limits, value) in least.iter_mut().zip(&mut most).zip(eight) {
            one(limits, value);
        }
    }
    for (limits, value) in least.iter_mut().zip(&mut most).zip(eights.remainder()) {
        one(limits, value);
    }
    [
        least.into_iter().fold(0.0, f32::min),
        most.into_iter().fold(0.0, f32::max),
    ]
}

/// Adds what levels less their zero points stand for, each times its factor, in steps of the result's scale.
///
/// # Panics
/// If they are not as many.
#[inline(never)]
pub fn add(operands: [(Bytes<'_>, i16, f32); 2], steps: &Steps, to: &mut [u8]) {
    let [
        (left, left_zero, left_factor),
        (right, right_zero, right_factor),
    ] = operands;
    assert!(
        left.len() == right.len() && left.len() == to.len(),
        "not as many"
    );
    let limits = Limits::of(steps);
    let (mut lefts, mut rights) = ([0i16; COLS], [0i16; COLS]);
    for (index, to) in to.chunks_mut(COLS).enumerate() {
        left.part(index * COLS, to.len())
            .write_less(left_zero, &mut lefts);
        right
            .part(index * COLS, to.len())
            .write_less(right_zero, &mut rights);
        let sums = Eight::sum([&lefts, &rights], [left_factor, right_factor]);
        to.copy_from_slice(&sums.levels(&limits)[..to.len()]);
    }
}
