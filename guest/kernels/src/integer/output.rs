//! What becomes of a sum.

use super::eight::{Eight, Limits};
use super::levels::Steps;
use super::tile::COLS;

/// Where sums go, and as what.
pub struct Output<'a> {
    pub to: To<'a>,
    /// From one row to the next, and from one column to the next, in values. One of the two is one.
    pub strides: [usize; 2],
}

pub enum To<'a> {
    /// As they are.
    Sums(&'a mut [i32]),
    /// Signed or not, as bytes.
    Levels(&'a mut [u8], Levels<'a>),
    /// Each times its row's factor.
    Values(&'a mut [f32], &'a [f32]),
}

/// Of a sum with its bias, times a finite multiplier.
#[derive(Clone, Copy)]
pub struct Levels<'a> {
    bias: &'a [f32],
    multipliers: &'a [f32],
    limits: Limits,
}

impl<'a> Levels<'a> {
    /// A bias, in steps of a sum, and a multiplier for each row.
    pub fn new(bias: &'a [f32], multipliers: &'a [f32], steps: &Steps) -> Levels<'a> {
        Levels {
            bias,
            multipliers,
            limits: Limits::of(steps),
        }
    }
}

impl Output<'_> {
    /// The first `cols` of the sums of each row, from a row and a column on.
    #[inline(always)]
    pub(super) fn rows(&mut self, [row, col]: [usize; 2], rows: &[[i32; COLS]], cols: usize) {
        let start = row * self.strides[0] + col * self.strides[1];
        let [down, stride] = self.strides;
        match &mut self.to {
            To::Sums(to) => {
                for (index, sums) in rows.iter().enumerate() {
                    put(&mut to[start + index * down..], stride, sums, cols);
                }
            }
            To::Levels(to, by) => {
                let bias = &by.bias[row..][..rows.len()];
                let multipliers = &by.multipliers[row..][..rows.len()];
                for (index, sums) in rows.iter().enumerate() {
                    let values = Eight::scaled(sums, bias[index], multipliers[index]);
                    let to = &mut to[start + index * down..];
                    put(to, stride, &values.levels(&by.limits), cols);
                }
            }
            To::Values(to, factors) => {
                let factors = &factors[row..][..rows.len()];
                for (index, sums) in rows.iter().enumerate() {
                    let values = Eight::scaled(sums, 0.0, factors[index]).values();
                    put(&mut to[start + index * down..], stride, &values, cols);
                }
            }
        }
    }

    /// The sums of some rows of one column.
    #[inline(always)]
    pub(super) fn column(&mut self, [row, col]: [usize; 2], sums: &[i32]) {
        for (index, sum) in sums.iter().enumerate() {
            self.rows([row + index, col], &[[*sum; COLS]], 1);
        }
    }
}

#[inline(always)]
fn put<T: Copy>(to: &mut [T], stride: usize, values: &[T; COLS], count: usize) {
    if stride == 1 && count == COLS {
        to[..COLS].copy_from_slice(values);
        return;
    }
    for (to, value) in to.iter_mut().step_by(stride).zip(&values[..count]) {
        *to = *value;
    }
}
