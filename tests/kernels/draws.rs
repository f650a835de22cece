//! Numbers without a pattern, the same in each run.

pub struct Draws(pub u32);

impl Draws {
    /// From minus one to one.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn many(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// Whether two sums of the same values are: their steps may be rounded once or twice.
pub fn agree(got: f32, expected: f32) -> bool {
    (got - expected).abs() <= 1e-5 * (1.0 + expected.abs())
}
