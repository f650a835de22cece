//! Matrix multiplication: each operation of a tile, each way a tile lies, and depths up to where all is
//! repeated.

use tract_linalg::Scaler;
use tract_linalg::mmm::{FusedKerSpec, OutputStoreKer, RoundingPolicy};

use crate::draws::{Draws, agree};

const ROWS: usize = 8;
const COLS: usize = 8;
const SIZE: isize = size_of::<f32>() as isize;

type Values = [f32; ROWS * COLS];

/// An operation, and what it does to the value in a row and a column.
type Case<'a> = (
    FusedKerSpec<f32>,
    Box<dyn Fn(f32, usize, usize) -> f32 + 'a>,
);

pub fn check() -> Result<String, String> {
    let mut draws = Draws(1);
    for depth in (0..=35).chain([64, 100, 257]) {
        product(&mut draws, depth)?;
    }
    let (rows, cols) = (draws.many(ROWS), draws.many(COLS));
    let other: Values = std::array::from_fn(|_| draws.next());
    let cases = cases(&rows, &cols, &other);
    for (number, (operation, expected)) in cases.iter().enumerate() {
        let start: Values = std::array::from_fn(|_| draws.next());
        let got = run(&start, &[*operation], [SIZE * COLS as isize, SIZE]);
        compare(&got, |row, col| expected(start[row * COLS + col], row, col))
            .map_err(|difference| format!("operation {number}: {difference}"))?;
    }
    stores(&mut draws)?;
    Ok(format!("{} operations", cases.len()))
}

/// What the operations make of a tile, and how they store it.
fn run(start: &Values, operations: &[FusedKerSpec<f32>], strides: [isize; 2]) -> Vec<f32> {
    let mut stored = vec![0f32; 4 * ROWS * COLS];
    let store = FusedKerSpec::Store(place(stored.as_mut_ptr(), strides));
    let load = FusedKerSpec::LoadTile(start.as_ptr(), start.as_ptr());
    let mut all = vec![load];
    all.extend(operations);
    all.extend([store, FusedKerSpec::Done, FusedKerSpec::Clear, store]);
    // SAFETY: everything the operations point to is as large as a tile.
    unsafe { modelet_kernels::gemm(&all) };
    stored
}

fn place(values: *mut f32, [row_byte_stride, col_byte_stride]: [isize; 2]) -> OutputStoreKer {
    OutputStoreKer {
        ptr: values.cast(),
        row_byte_stride,
        col_byte_stride,
        item_size: size_of::<f32>(),
    }
}

fn compare(got: &[f32], expected: impl Fn(usize, usize) -> f32) -> Result<(), String> {
    for row in 0..ROWS {
        for col in 0..COLS {
            let (got, expected) = (got[row * COLS + col], expected(row, col));
            if !agree(got, expected) {
                return Err(format!("row {row}, column {col}: {got}, not {expected}"));
            }
        }
    }
    Ok(())
}

fn product(draws: &mut Draws, depth: usize) -> Result<(), String> {
    let (a, b) = (draws.many(depth * ROWS), draws.many(depth * COLS));
    let start: Values = std::array::from_fn(|_| draws.next());
    let multiply = FusedKerSpec::AddMatMul {
        k: depth,
        pa: a.as_ptr().cast(),
        pb: b.as_ptr().cast(),
        packing: 0,
    };
    for (operations, kept) in [
        (vec![multiply], 1.0),
        (vec![FusedKerSpec::Clear, multiply], 0.0),
    ] {
        let got = run(&start, &operations, [SIZE * COLS as isize, SIZE]);
        compare(&got, |row, col| {
            let products = (0..depth).map(|k| a[k * ROWS + row] * b[k * COLS + col]);
            kept * start[row * COLS + col] + products.sum::<f32>()
        })
        .map_err(|difference| format!("depth {depth}: {difference}"))?;
    }
    Ok(())
}

fn cases<'a>(rows: &'a [f32], cols: &'a [f32], other: &'a Values) -> Vec<Case<'a>> {
    use FusedKerSpec::*;

    let (r, c) = (rows.as_ptr(), cols.as_ptr());
    let by_row = |function: fn(f32, f32) -> f32| -> Box<dyn Fn(f32, usize, usize) -> f32 + 'a> {
        Box::new(move |value, row, _| function(rows[row], value))
    };
    let by_col = |function: fn(f32, f32) -> f32| -> Box<dyn Fn(f32, usize, usize) -> f32 + 'a> {
        Box::new(move |value, _, col| function(cols[col], value))
    };
    let by =
        |operand: f32, function: fn(f32, f32) -> f32| -> Box<dyn Fn(f32, usize, usize) -> f32> {
            Box::new(move |value, _, _| function(operand, value))
        };
    let sub: fn(f32, f32) -> f32 = |a, b| a - b;
    let flipped: fn(f32, f32) -> f32 = |a, b| b - a;
    let values = other.as_ptr().cast_mut();
    let policy = RoundingPolicy::Zero;
    let scale = Scaler::from_fuse_params(3, policy, 1 << 30).scale;
    vec![
        (ScalarMin(0.1), by(0.1, f32::min)),
        (ScalarMax(0.1), by(0.1, f32::max)),
        (ScalarAdd(0.3), by(0.3, |a, b| a + b)),
        (ScalarMul(0.3), by(0.3, |a, b| a * b)),
        (ScalarSub(0.3), by(0.3, sub)),
        (ScalarSubF(0.3), by(0.3, flipped)),
        (
            LeakyRelu(0.2),
            by(
                0.2,
                |slope, value| if value > 0.0 { value } else { slope * value },
            ),
        ),
        (PerRowMin(r), by_row(f32::min)),
        (PerRowMax(r), by_row(f32::max)),
        (PerRowAdd(r), by_row(|a, b| a + b)),
        (PerRowMul(r), by_row(|a, b| a * b)),
        (PerRowSub(r), by_row(sub)),
        (PerRowSubF(r), by_row(flipped)),
        (PerColMin(c), by_col(f32::min)),
        (PerColMax(c), by_col(f32::max)),
        (PerColAdd(c), by_col(|a, b| a + b)),
        (PerColMul(c), by_col(|a, b| a * b)),
        (PerColSub(c), by_col(sub)),
        (PerColSubF(c), by_col(flipped)),
        (QScale(3, policy, 1 << 30), by(scale, |a, b| a * b)),
        (RoundingShiftRight(3, policy), by(0.125, |a, b| a * b)),
        (ShiftLeft(3), by(8.0, |a, b| a * b)),
        (
            AddRowColProducts(r, c),
            Box::new(move |value, row, col| value + rows[row] * cols[col]),
        ),
        (
            AddUnicast(place(values, [SIZE * COLS as isize, SIZE])),
            Box::new(move |value, row, col| value + other[row * COLS + col]),
        ),
        (
            AddUnicast(place(values, [SIZE, SIZE * ROWS as isize])),
            Box::new(move |value, row, col| value + other[col * ROWS + row]),
        ),
        (
            AddUnicast(place(values, [0, 0])),
            Box::new(move |value, _, _| value + other[0]),
        ),
    ]
}

/// Rows together, columns together, and both apart, each with room between.
fn stores(draws: &mut Draws) -> Result<(), String> {
    let (rows, cols) = (ROWS as isize, COLS as isize);
    for [row, col] in [
        [cols, 1],
        [cols + 3, 1],
        [1, rows],
        [1, rows + 3],
        [2, 2 * rows],
        [2 * cols, 2],
    ] {
        let tile: Values = std::array::from_fn(|_| draws.next());
        let stored = run(&tile, &[], [SIZE * row, SIZE * col]);
        let mut expected = vec![0f32; stored.len()];
        for (index, value) in tile.iter().enumerate() {
            let (at_row, at_col) = ((index / COLS) as isize, (index % COLS) as isize);
            expected[(row * at_row + col * at_col) as usize] = *value;
        }
        if stored != expected {
            return Err(format!("stored otherwise with strides of {row} and {col}"));
        }
    }
    Ok(())
}
