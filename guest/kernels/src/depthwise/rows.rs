//! A depthwise convolution of an image whose channels lie one after the other, row by row.

use std::ops::Range;
use std::slice;

use super::depthwise;
use super::image::{Depthwise, Values};
use crate::floats::elementwise::Operator;

impl Depthwise {
    /// # Safety
    /// As for `run`.
    pub(super) unsafe fn planes(&self, values: &Values) {
        // As one image of one channel for each.
        let plane = Depthwise {
            channels: 1,
            ..*self
        };
        let count = |[down, across]: [usize; 2]| down * across;
        for channel in 0..self.channels {
            // SAFETY: as for this function.
            unsafe {
                let values = Values {
                    image: values.image.add(channel * count(self.image)),
                    weights: values.weights.add(channel * count(self.window)),
                    bias: values.bias.add(channel),
                    output: values.output.add(channel * count(self.outputs)),
                    limits: values.limits,
                };
                plane.rows(&values);
            }
        }
    }

    unsafe fn rows(&self, values: &Values) {
        let [down, across] = self.window;
        let inner = self.inner();
        let mut offsets = Vec::with_capacity(down * across);
        // SAFETY: as for `run`.
        let (weights, bias) = unsafe {
            let weights = slice::from_raw_parts(values.weights, down * across);
            (weights, *values.bias)
        };
        for row in 0..self.outputs[0] {
            let down = self.taps(0, row);
            // SAFETY: as for `run`; all taps of the inner columns are in the image.
            unsafe {
                let output = values.output.add(row * self.outputs[1]);
                let output = slice::from_raw_parts_mut(output, self.outputs[1]);
                for col in (0..inner.start).chain(inner.end..output.len()) {
                    output[col] = self.value(values, weights, [row, col], down.clone());
                }
                if down.is_empty() {
                    output[inner.clone()].fill(bias);
                } else if !inner.is_empty() {
                    offsets.clear();
                    let taps =
                        (0..down.len()).flat_map(|down| (0..across).map(move |tap| (down, tap)));
                    offsets.extend(taps.map(|(down, tap)| {
                        (down * self.down() + tap * self.dilations[1]) as isize
                    }));
                    let first =
                        self.start([row, inner.start]) + (down.start * self.down()) as isize;
                    depthwise(
                        values.image.offset(first),
                        output[inner.start..].as_mut_ptr(),
                        &weights[down.start * across..down.end * across],
                        &offsets,
                        bias,
                        inner.len(),
                        self.steps[1] as isize,
                    );
                }
                if let Some([least, most]) = values.limits {
                    Operator::Max.by_one(output, least);
                    Operator::Min.by_one(output, most);
                }
            }
        }
    }

    /// Of a window with some taps outside of the image.
    unsafe fn value(
        &self,
        values: &Values,
        weights: &[f32],
        [row, col]: [usize; 2],
        down: Range<usize>,
    ) -> f32 {
        let across = self.taps(1, col);
        let start = self.start([row, col]);
        // SAFETY: as for `run`; these taps are in the image.
        unsafe {
            let mut sum = *values.bias;
            for down in down {
                for tap in across.clone() {
                    let place = (down * self.down() + tap * self.dilations[1]) as isize;
                    sum +=
                        *values.image.offset(start + place) * weights[down * self.window[1] + tap];
                }
            }
            sum
        }
    }
}
