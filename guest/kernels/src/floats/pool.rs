//! The greatest value in each window of an image of `f32`.

use super::elementwise::Operator;
use super::four::{copy, fill};
use super::layout::every;

/// Of images whose rows' values are neighbours. Sizes and steps are down, then across.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool {
    pub image: [usize; 2],
    /// What a window sees above and before the image, where nothing is.
    pub before: [usize; 2],
    pub window: [usize; 2],
    pub steps: [usize; 2],
    pub dilations: [usize; 2],
    pub outputs: [usize; 2],
}

impl MaxPool {
    /// Of as many images as there are.
    ///
    /// # Panics
    /// If there are not as many outputs.
    pub fn write(&self, images: &[f32], to: &mut [f32]) {
        let [height, width] = self.image;
        let [rows, cols] = self.outputs;
        let images = images.chunks_exact((height * width).max(1));
        let outputs = to.chunks_exact_mut((rows * cols).max(1));
        assert_eq!(images.len(), outputs.len(), "images and their outputs");
        // A row with its borders, as far as windows reach.
        let reach = cols * self.steps[1] + self.window[1] * self.dilations[1];
        let mut row = vec![f32::NEG_INFINITY; reach.max(self.before[1] + width)];
        let mut picked = vec![0.0; cols];
        for (image, to) in images.zip(outputs) {
            for (number, to) in to.chunks_exact_mut(cols.max(1)).enumerate() {
                self.down(image, number, &mut row[self.before[1]..][..width]);
                self.across(&row, &mut picked, to);
            }
        }
    }

    /// Over the rows that the windows of one row of outputs see.
    fn down(&self, image: &[f32], number: usize, row: &mut [f32]) {
        let mut is_first = true;
        for tap in 0..self.window[0] {
            let place = number * self.steps[0] + tap * self.dilations[0];
            let line = place
                .checked_sub(self.before[0])
                .filter(|line| *line < self.image[0]);
            let Some(line) = line else { continue };
            let line = &image[line * row.len()..][..row.len()];
            match is_first {
                true => copy(row, line),
                false => Operator::Max.by_many(row, line),
            }
            is_first = false;
        }
        if is_first {
            fill(row, f32::NEG_INFINITY);
        }
    }

    fn across(&self, row: &[f32], picked: &mut [f32], to: &mut [f32]) {
        fill(to, f32::NEG_INFINITY);
        for tap in 0..self.window[1] {
            every(&row[tap * self.dilations[1]..], self.steps[1], picked);
            Operator::Max.by_many(to, picked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_output_is_the_greatest_of_its_window() {
        let mut count = 0;
        for window in [[1, 2], [2, 2], [3, 3], [2, 5]] {
            for (steps, dilations) in [([1, 1], [1, 1]), ([2, 2], [1, 1]), ([3, 2], [2, 1])] {
                for (image, before) in [([3, 5], [0, 0]), ([7, 20], [1, 1]), ([9, 6], [2, 1])] {
                    let outputs = [0, 1].map(|axis: usize| {
                        let places: usize = image[axis] + before[axis] + 1;
                        let reach = (window[axis] - 1) * dilations[axis] + 1;
                        places.saturating_sub(reach) / steps[axis] + 1
                    });
                    let pool = MaxPool {
                        image,
                        before,
                        window,
                        steps,
                        dilations,
                        outputs,
                    };
                    is_right(&pool);
                    count += 1;
                }
            }
        }
        assert_eq!(count, 36);
    }

    fn is_right(pool: &MaxPool) {
        let [height, width] = pool.image;
        let images: Vec<f32> = (0..2 * height * width)
            .map(|index| (index * 37 % 101) as f32 - 50.0)
            .collect();
        let [rows, cols] = pool.outputs;
        let mut got = vec![7.0; 2 * rows * cols];
        pool.write(&images, &mut got);
        for (index, got) in got.into_iter().enumerate() {
            let (image, at) = (index / (rows * cols), index % (rows * cols));
            let at = [at / cols, at % cols];
            let mut expected = f32::NEG_INFINITY;
            for tap in 0..pool.window[0] * pool.window[1] {
                let taps = [tap / pool.window[1], tap % pool.window[1]];
                let place = [0, 1].map(|axis| {
                    let place = at[axis] * pool.steps[axis] + taps[axis] * pool.dilations[axis];
                    place
                        .checked_sub(pool.before[axis])
                        .filter(|place| *place < pool.image[axis])
                });
                if let [Some(row), Some(col)] = place {
                    expected = expected.max(images[(image * height + row) * width + col]);
                }
            }
            assert_eq!(got, expected, "{pool:?} at {at:?}");
        }
    }
}
