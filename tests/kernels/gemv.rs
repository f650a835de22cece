//! A matrix and a vector: each depth up to where all is repeated, with what may follow, stored densely and with
//! room between.

use tract_linalg::mmm::{FusedKerSpec, OutputStoreKer};

use crate::draws::{Draws, agree};

pub fn check() -> Result<String, String> {
    let mut draws = Draws(3);
    let mut checked = 0;
    for depth in (0..=35).chain([64, 100, 257]) {
        for apart in [1, 3] {
            let told = |difference| format!("depth {depth}, stored {apart} apart: {difference}");
            product::<8>(&mut draws, depth, apart).map_err(told)?;
            product::<2>(&mut draws, depth, apart).map_err(told)?;
            checked += 2;
        }
    }
    Ok(format!("{checked} products"))
}

/// By the kernel whose tile has four rows in each of its vectors.
fn product<const VECTORS: usize>(
    draws: &mut Draws,
    depth: usize,
    apart: usize,
) -> Result<(), String> {
    let n_rows = 4 * VECTORS;
    let (a, b) = (draws.many(depth * n_rows), draws.many(depth));
    let rows = draws.many(n_rows);
    let mut stored = vec![0f32; n_rows * apart];
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
        FusedKerSpec::ScalarMul(0.5),
        FusedKerSpec::ScalarMax(0.1),
        FusedKerSpec::ScalarMin(0.7),
        FusedKerSpec::Store(store),
        FusedKerSpec::Done,
        FusedKerSpec::Clear,
        FusedKerSpec::Store(store),
    ];
    // SAFETY: everything the operations point to is as large as a tile.
    unsafe { modelet_kernels::gemv::<VECTORS>(&operations) };
    for row in 0..n_rows {
        let products = (0..depth).map(|k| a[k * n_rows + row] * b[k]);
        let expected = ((products.sum::<f32>() + rows[row]) * 0.5).clamp(0.1, 0.7);
        let got = stored[row * apart];
        if !agree(got, expected) {
            return Err(format!("row {row}: {got}, not {expected}"));
        }
    }
    Ok(())
}
