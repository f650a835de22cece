//! Products of integers of eight bits, whose sums have 32: exact, and the same everywhere.
//!
//! Values are taken less their zero points, which needs nine bits. They are multiplied as 16 bits, two at a
//! time: an instruction multiplies eight and adds up neighbours. A sum that this adds to is there a cycle later, so
//! that eight of them wait for nothing, unlike sums of `f32`.

mod depthwise;
mod eight;
mod image;
mod levels;
mod output;
mod tile;
mod weights;

pub use depthwise::Taps;
pub use image::{Image, Windows};
pub use levels::{Bytes, Steps, add, quantize, range};
pub use output::{Levels, Output, To};
pub use weights::Weights;

use tile::{COLS, ROWS, Tile};

/// The right matrix: what a request brings, less its zero point.
#[derive(Clone, Copy)]
pub enum Columns<'a> {
    /// One column after the other.
    Lines(&'a [i16]),
    /// A column for each place of a convolution's output.
    Windows(&'a Image),
}

/// Multiplies, and stores each sum. A sum that needs more than 32 bits keeps the lower ones.
///
/// # Panics
/// If the columns are not as deep as the weights, or the output is too small.
pub fn product(weights: &Weights, columns: Columns<'_>, output: &mut Output<'_>) {
    match columns {
        Columns::Lines(values) if values.len() == weights.depth() => {
            for row in (0..weights.rows()).step_by(ROWS) {
                let sums = tile::column(weights, row / ROWS, values);
                let rows = ROWS.min(weights.rows() - row);
                output.column([row, 0], &sums[..rows]);
            }
        }
        Columns::Lines(values) => {
            let count = values.len() / weights.depth().max(1);
            let mut panel = vec![0; weights.pairs() * 2 * COLS];
            for col in (0..count).step_by(COLS) {
                let cols = COLS.min(count - col);
                let lines = &values[col * weights.depth()..][..cols * weights.depth()];
                tile::pack_lines(lines, weights.depth(), &mut panel);
                tiles(weights, &panel, col, cols, output);
            }
        }
        Columns::Windows(image) => {
            let mut panel = vec![0; weights.pairs() * 2 * COLS];
            let [rows, across] = image.outputs();
            for row in 0..rows {
                for col in (0..across).step_by(COLS) {
                    let cols = COLS.min(across - col);
                    image.pack([row, col], &mut panel);
                    tiles(weights, &panel, row * across + col, cols, output);
                }
            }
        }
    }
}

/// All rows of a panel of columns.
fn tiles(weights: &Weights, panel: &[i16], col: usize, cols: usize, output: &mut Output<'_>) {
    for row in (0..weights.rows()).step_by(ROWS) {
        let tile: Tile = tile::tile(weights, row / ROWS, panel);
        let rows = ROWS.min(weights.rows() - row);
        output.rows([row, col], &tile[..rows], cols);
    }
}
