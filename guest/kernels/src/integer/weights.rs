//! The left matrix, which is there when a model is loaded.

use super::tile::ROWS;

/// Weights less their zero points. Panels of four rows have the first two values of each row, then the next two of
/// each, and so on; what the last panel has more than there are rows is zero, and so is what makes an odd depth even.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    rows: usize,
    depth: usize,
    panels: Panels,
}

/// Each value is stored above what it is: small numbers side by side would look like addresses, and keep in a modelet
/// what they seem to refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Panels {
    Bytes(Vec<u8>),
    /// Where a weight less its zero point does not fit into eight bits.
    Words(Vec<i16>),
}

/// So much above.
pub(super) const ABOVE_BYTE: i16 = 1 << 7;
pub(super) const ABOVE_WORD: i16 = 1 << 14;

impl Weights {
    /// `value` has the row, then the depth.
    pub fn new(rows: usize, depth: usize, value: impl Fn(usize, usize) -> i16) -> Weights {
        let pairs = depth.div_ceil(2);
        let mut words = vec![0; rows.next_multiple_of(ROWS) * 2 * pairs];
        for row in 0..rows {
            for at in 0..depth {
                let panel = (row / ROWS * pairs + at / 2) * ROWS;
                words[(panel + row % ROWS) * 2 + at % 2] = value(row, at);
            }
        }
        let bytes: Result<Vec<u8>, _> = words
            .iter()
            .map(|word| u8::try_from(*word + ABOVE_BYTE))
            .collect();
        Weights {
            rows,
            depth,
            panels: match bytes {
                Ok(bytes) => Panels::Bytes(bytes),
                Err(_) => Panels::Words(words.into_iter().map(|word| word + ABOVE_WORD).collect()),
            },
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn pairs(&self) -> usize {
        self.depth.div_ceil(2)
    }

    pub(super) fn panels(&self) -> &Panels {
        &self.panels
    }
}
