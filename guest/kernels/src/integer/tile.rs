//! Four rows and eight columns at a time.

#[cfg(target_arch = "wasm32")]
use std::arch::wasm32::*;

use super::weights::{ABOVE_BYTE, ABOVE_WORD, Panels, Weights};

pub const ROWS: usize = 4;
pub const COLS: usize = 8;

pub type Tile = [[i32; COLS]; ROWS];

/// Writes a panel of up to eight columns: for each pair of values both of each column. An odd depth is filled up with
/// zeros; of columns that are not there the panel keeps what it had.
pub fn pack_lines(lines: &[i16], depth: usize, panel: &mut [i16]) {
    for (col, line) in lines.chunks_exact(depth).enumerate() {
        let mut pairs = line.chunks_exact(2);
        let mut to = panel.chunks_exact_mut(2 * COLS);
        for (pair, to) in pairs.by_ref().zip(to.by_ref()) {
            to[2 * col..2 * col + 2].copy_from_slice(pair);
        }
        if let ([last], Some(to)) = (pairs.remainder(), to.next()) {
            to[2 * col..2 * col + 2].copy_from_slice(&[*last, 0]);
        }
    }
}

/// The products of the weights' panel number `index` and a panel of columns.
pub fn tile(weights: &Weights, index: usize, panel: &[i16]) -> Tile {
    let pairs = weights.pairs();
    assert_eq!(panel.len(), pairs * 2 * COLS, "a panel of another depth");
    match weights.panels() {
        Panels::Bytes(bytes) => of_bytes(&bytes[index * pairs * 2 * ROWS..], pairs, panel),
        Panels::Words(words) => of_words(&words[index * pairs * 2 * ROWS..], pairs, panel),
    }
}

/// The products of the weights' panel number `index` and a single column.
pub fn column(weights: &Weights, index: usize, values: &[i16]) -> [i32; ROWS] {
    let start = index * weights.pairs() * 2 * ROWS;
    let len = weights.pairs() * 2 * ROWS;
    match weights.panels() {
        Panels::Bytes(bytes) => column_of_bytes(&bytes[start..][..len], values),
        Panels::Words(words) => column_of(&words[start..][..len], ABOVE_WORD, values),
    }
}

fn column_of<T: Copy + Into<i32>>(panel: &[T], above: i16, values: &[i16]) -> [i32; ROWS] {
    let mut sums = [0i32; ROWS];
    for (weights, values) in panel.chunks_exact(2 * ROWS).zip(values.chunks(2)) {
        for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(2)) {
            for (weight, value) in weights.iter().zip(values) {
                let weight = (*weight).into() - i32::from(above);
                *sum = sum.wrapping_add(weight * i32::from(*value));
            }
        }
    }
    sums
}

#[cfg(not(target_arch = "wasm32"))]
fn column_of_bytes(panel: &[u8], values: &[i16]) -> [i32; ROWS] {
    column_of(panel, ABOVE_BYTE, values)
}

#[cfg(not(target_arch = "wasm32"))]
fn of_bytes(weights: &[u8], pairs: usize, panel: &[i16]) -> Tile {
    plainly(weights, ABOVE_BYTE, pairs, panel)
}

#[cfg(not(target_arch = "wasm32"))]
fn of_words(weights: &[i16], pairs: usize, panel: &[i16]) -> Tile {
    plainly(weights, ABOVE_WORD, pairs, panel)
}

#[cfg(not(target_arch = "wasm32"))]
fn plainly<T: Copy + Into<i32>>(weights: &[T], above: i16, pairs: usize, panel: &[i16]) -> Tile {
    let mut sums = Tile::default();
    let weights = weights.chunks_exact(2 * ROWS);
    for (weights, values) in weights.zip(panel.chunks_exact(2 * COLS)).take(pairs) {
        for (sums, weights) in sums.iter_mut().zip(weights.chunks_exact(2)) {
            let [first, second] = [weights[0], weights[1]].map(|it| it.into() - i32::from(above));
            for (sum, values) in sums.iter_mut().zip(values.chunks_exact(2)) {
                let [left, right] = [values[0], values[1]].map(i32::from);
                *sum = sum.wrapping_add(first * left + second * right);
            }
        }
    }
    sums
}

/// Products of a panel in steps of a pair: `$load` reads both weights of each row from an address, stored so much
/// above what they are.
#[cfg(target_arch = "wasm32")]
macro_rules! tile_in_steps {
    ($weights:expr, $above:expr, $pairs:expr, $panel:expr, $load:expr) => {{
        let mut sums = [[i32x4_splat(0); 2]; ROWS];
        let mut weights = $weights.as_ptr();
        let mut columns = $panel.as_ptr().cast::<v128>();
        let mut left = $pairs;
        'all: loop {
            sixteen_times!({
                if left == 0 {
                    break 'all;
                }
                left -= 1;
                // SAFETY: the panels have as many pairs of each row and column.
                unsafe {
                    let pairs = i16x8_sub($load(weights), i16x8_splat($above));
                    let spread = [
                        i32x4_shuffle::<0, 0, 0, 0>(pairs, pairs),
                        i32x4_shuffle::<1, 1, 1, 1>(pairs, pairs),
                        i32x4_shuffle::<2, 2, 2, 2>(pairs, pairs),
                        i32x4_shuffle::<3, 3, 3, 3>(pairs, pairs),
                    ];
                    let values = [v128_load(columns), v128_load(columns.add(1))];
                    for (sums, pair) in sums.iter_mut().zip(spread) {
                        sums[0] = i32x4_add(sums[0], i32x4_dot_i16x8(pair, values[0]));
                        sums[1] = i32x4_add(sums[1], i32x4_dot_i16x8(pair, values[1]));
                    }
                    weights = weights.add(2 * ROWS);
                    columns = columns.add(2);
                }
            });
        }
        // SAFETY: as many integers of 32 bits.
        unsafe { std::mem::transmute::<[[v128; 2]; ROWS], Tile>(sums) }
    }};
}

/// Apart from what follows, which would take registers from the loop.
#[cfg(target_arch = "wasm32")]
#[inline(never)]
fn of_bytes(weights: &[u8], pairs: usize, panel: &[i16]) -> Tile {
    let weights = &weights[..pairs * 2 * ROWS];
    tile_in_steps!(weights, ABOVE_BYTE, pairs, panel, i16x8_load_extend_u8x8)
}

#[cfg(target_arch = "wasm32")]
#[inline(never)]
fn of_words(weights: &[i16], pairs: usize, panel: &[i16]) -> Tile {
    let weights = &weights[..pairs * 2 * ROWS];
    tile_in_steps!(weights, ABOVE_WORD, pairs, panel, |from: *const i16| {
        v128_load(from.cast())
    })
}

/// Four pairs in a step, with sums of their own.
#[cfg(target_arch = "wasm32")]
#[inline(never)]
fn column_of_bytes(panel: &[u8], values: &[i16]) -> [i32; ROWS] {
    const PAIRS: usize = 4;

    let steps = values.len() / (2 * PAIRS);
    let mut sums = [i32x4_splat(0); PAIRS];
    let mut weights = panel[..steps * PAIRS * 2 * ROWS].as_ptr();
    let mut from = values.as_ptr().cast::<v128>();
    let mut left = steps;
    'all: loop {
        sixteen_times!({
            if left == 0 {
                break 'all;
            }
            left -= 1;
            // SAFETY: there are as many pairs.
            unsafe {
                let pairs = v128_load(from);
                let spread = [
                    i32x4_shuffle::<0, 0, 0, 0>(pairs, pairs),
                    i32x4_shuffle::<1, 1, 1, 1>(pairs, pairs),
                    i32x4_shuffle::<2, 2, 2, 2>(pairs, pairs),
                    i32x4_shuffle::<3, 3, 3, 3>(pairs, pairs),
                ];
                for (index, pair) in spread.into_iter().enumerate() {
                    let of_rows = i16x8_load_extend_u8x8(weights.add(2 * ROWS * index));
                    let of_rows = i16x8_sub(of_rows, i16x8_splat(ABOVE_BYTE));
                    sums[index] = i32x4_add(sums[index], i32x4_dot_i16x8(pair, of_rows));
                }
                weights = weights.add(PAIRS * 2 * ROWS);
                from = from.add(1);
            }
        });
    }
    let sum = i32x4_add(i32x4_add(sums[0], sums[1]), i32x4_add(sums[2], sums[3]));
    // SAFETY: as many integers of 32 bits.
    let sums: [i32; ROWS] = unsafe { std::mem::transmute(sum) };
    let rest = column_of(
        &panel[steps * PAIRS * 2 * ROWS..],
        ABOVE_BYTE,
        &values[steps * PAIRS * 2..],
    );
    [0, 1, 2, 3].map(|row| sums[row].wrapping_add(rest[row]))
}
