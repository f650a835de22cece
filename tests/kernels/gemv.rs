//! A matrix and a vector: each depth up to where all is repeated, with what may follow, stored densely and with
//! room between.

use tract_linalg::mmm::{FusedKerSpec, OutputStoreKer};

use crate::draws::{Draws, agree};

const ROWS: usize = 32;

pub fn check() -> Result<String, String> {
    let mut draws = Draws(3);
    let mut checked = 0;
    for depth in (0..=35).chain([64, 100, 257]) {
        for apart in [1, 3] {
            product(&mut draws, depth, apart).map_err(|difference| {
                format!("depth {depth}, stored {apart} apart: {difference}")
            })?;
            checked += 1;
        }
    }
    Ok(format!("{checked} products"))
}

fn product(draws: &mut Draws, depth: usize, apart: usize) -> Result<(), String> {
    let (a, b) = (draws.many(depth * ROWS), draws.many(depth));
    let rows = draws.many(ROWS);
    let mut stored = vec![0f32; ROWS * apart];
    let store = OutputStoreKer {
        ptr: stored.as_mut_ptr().cast(),
        row_byte_stride: (size_of::<f32>() * apart) as isize,
        col_byte_stride: size_of::<f32>() as isize,
        item_size: size_of::<f32>(),
    };
    let operations = [
        FusedKerSpec::Clear,
        FusedKerSpec::AddMatMul {
            k: depth,
            pa: a.as_ptr().cast(),
            pb: b.as_ptr().cast(),
            packing: 0,
        },
        FusedKerSpec::PerRowAdd(rows.as_ptr()),
        FusedKerSpec::ScalarMax(0.1),
        FusedKerSpec::Store(store),
        FusedKerSpec::Done,
        FusedKerSpec::Clear,
        FusedKerSpec::Store(store),
    ];
    // SAFETY: everything the operations point to is as large as a tile.
    unsafe { modelet_kernels::gemv(&operations) };
    for row in 0..ROWS {
        let products = (0..depth).map(|k| a[k * ROWS + row] * b[k]);
        let expected = (products.sum::<f32>() + rows[row]).max(0.1);
        let got = stored[row * apart];
        if !agree(got, expected) {
            return Err(format!("row {row}: {got}, not {expected}"));
        }
    }
    Ok(())
}
