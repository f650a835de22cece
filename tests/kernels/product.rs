//! Products of whole matrices: every way that either of them lies, sizes around those of a tile and of what is
//! packed at one time, and what follows, at once and one by one.

use modelet_kernels::{Kernel, Matrix, Sizes, product};
use tract_linalg::mmm::{EagerPackedInput, FusedKerSpec, OutputStoreKer};

use crate::draws::{Draws, agree};
use crate::packed::packed;

const SIZE: isize = size_of::<f32>() as isize;

/// How a matrix is given.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The values of a line are neighbours.
    LineByLine,
    /// Those are that lines begin with.
    SideBySide,
    Packed,
}

const WAYS: [Way; 3] = [Way::LineByLine, Way::SideBySide, Way::Packed];

pub fn check() -> Result<String, String> {
    let mut draws = Draws(7);
    let mut count = 0;
    let mut sizes = vec![];
    for rows in [1, 4, 7, 8, 9, 12, 19] {
        for cols in [1, 5, 8, 11, 12, 17] {
            sizes.extend([0, 1, 4, 7, 16, 37].map(|depth| [rows, cols, depth]));
        }
    }
    // More than is packed at one time, of either.
    sizes.extend([[9, 190, 257], [190, 9, 257], [190, 190, 67]]);
    for [rows, cols, depth] in sizes {
        let sizes = Sizes { rows, cols, depth };
        for (left, right) in WAYS
            .iter()
            .flat_map(|left| WAYS.map(|right| (*left, right)))
        {
            for number in 0..FOLLOWING {
                one(&mut draws, Kernel::Gemm, sizes, [left, right], number)?;
                count += 1;
            }
        }
    }
    for (kernel, rows) in [
        (Kernel::Gemv, [1, 31, 32, 70]),
        (Kernel::NarrowGemv, [1, 8, 9, 70]),
    ] {
        for (rows, depth) in rows
            .iter()
            .flat_map(|rows| [0, 1, 16, 37].map(|depth| (*rows, depth)))
        {
            let sizes = Sizes {
                rows,
                cols: 1,
                depth,
            };
            for (left, right) in WAYS
                .iter()
                .flat_map(|left| WAYS.map(|right| (*left, right)))
            {
                for number in 0..FOLLOWING {
                    one(&mut draws, kernel, sizes, [left, right], number)?;
                    count += 1;
                }
            }
        }
    }
    Ok(format!("{count} products"))
}

/// Values of lines, as a kernel's operand.
struct Operand {
    /// Line by line.
    plain: Vec<f32>,
    lines: usize,
    depth: usize,
    way: Way,
    side_by_side: Vec<f32>,
    packed: EagerPackedInput,
}

impl Operand {
    fn new(
        draws: &mut Draws,
        lines: usize,
        depth: usize,
        width: usize,
        way: Way,
    ) -> Result<Operand, String> {
        let plain = draws.many(lines * depth);
        let transposed = (0..lines * depth).map(|at| plain[at % lines * depth + at / lines]);
        Ok(Operand {
            side_by_side: transposed.collect(),
            packed: packed(&plain, lines, depth, width)?,
            plain,
            lines,
            depth,
            way,
        })
    }

    fn matrix(&self) -> Matrix<'_> {
        match self.way {
            Way::LineByLine => Matrix::Strided {
                first: self.plain.as_ptr(),
                stride: self.depth as isize,
                depth_stride: 1,
            },
            Way::SideBySide => Matrix::Strided {
                first: self.side_by_side.as_ptr(),
                stride: 1,
                depth_stride: self.lines as isize,
            },
            Way::Packed => Matrix::Value(&self.packed),
        }
    }
}

/// The ways to go on after a product.
const FOLLOWING: usize = 5;

fn one(
    draws: &mut Draws,
    kernel: Kernel,
    sizes: Sizes,
    ways: [Way; 2],
    number: usize,
) -> Result<(), String> {
    let Sizes { rows, cols, depth } = sizes;
    let [height, width] = match kernel {
        Kernel::Gemm => [8, 8],
        Kernel::Gemv => [32, 1],
        Kernel::NarrowGemv => [8, 1],
    };
    let left = Operand::new(draws, rows, depth, height, ways[0])?;
    let right = Operand::new(draws, cols, depth, width, ways[1])?;
    let (by_row, by_col) = (draws.many(rows), draws.many(cols));
    let mut other = draws.many(rows * cols);
    let mut stored = vec![f32::NAN; rows * cols];
    let row_by_row = |values: &mut Vec<f32>| OutputStoreKer {
        ptr: values.as_mut_ptr().cast(),
        row_byte_stride: SIZE * cols as isize,
        col_byte_stride: SIZE,
        item_size: size_of::<f32>(),
    };
    let col_by_col = |values: &mut Vec<f32>| OutputStoreKer {
        row_byte_stride: SIZE,
        col_byte_stride: SIZE * rows as isize,
        ..row_by_row(values)
    };
    use FusedKerSpec::*;
    let (r, c) = (by_row.as_ptr(), by_col.as_ptr());
    let following = match number {
        0 => vec![Store(row_by_row(&mut stored))],
        1 => vec![
            PerRowAdd(r),
            AddUnicast(row_by_row(&mut other)),
            ScalarMax(-0.5),
            ScalarMin(0.5),
            Store(row_by_row(&mut stored)),
        ],
        2 => vec![PerColAdd(c), ScalarMax(0.0), Store(col_by_col(&mut stored))],
        3 => vec![
            ScalarMin(0.5),
            ScalarMax(-0.5),
            PerRowMul(r),
            Store(row_by_row(&mut stored)),
        ],
        _ => vec![
            AddUnicast(col_by_col(&mut other)),
            PerColSub(c),
            Store(col_by_col(&mut stored)),
        ],
    };
    // SAFETY: everything is as large as the sizes say.
    unsafe { product(kernel, sizes, left.matrix(), right.matrix(), &following) }
        .map_err(|error| error.to_string())?;
    for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
        let terms = (0..depth).map(|k| left.plain[row * depth + k] * right.plain[col * depth + k]);
        let sum: f32 = terms.sum();
        let (in_rows, in_cols) = (row * cols + col, col * rows + row);
        let (expected, at) = match number {
            0 => (sum, in_rows),
            1 => (
                (sum + by_row[row] + other[in_rows]).clamp(-0.5, 0.5),
                in_rows,
            ),
            2 => ((sum + by_col[col]).max(0.0), in_cols),
            3 => (sum.clamp(-0.5, 0.5) * by_row[row], in_rows),
            _ => (by_col[col] - (sum + other[in_cols]), in_cols),
        };
        if !agree(stored[at], expected) {
            return Err(format!(
                "{kernel:?}, {sizes:?}, {ways:?}, {number}: row {row}, column {col}: {}, not {expected}",
                stored[at]
            ));
        }
    }
    Ok(())
}
