//! Which products are computed by which kernel.

use std::ops::RangeInclusive;

use tract_data::prelude::DatumType;
use tract_linalg::isa::{Arch, IsaSet};
use tract_linalg::mmm::{Query, Suitable};
use tract_linalg::mmm_tiers::MmmTier;

use crate::{gemm, gemv};

/// For a vector and no more rows than this there are narrower tiles.
const FEW_ROWS: usize = 16;

/// Rows that half fill the narrow tile, and no more than it has.
const ONE_NARROW_TILE: RangeInclusive<usize> = 5..=8;

inventory::submit! {
    MmmTier {
        arch: Some(Arch::Wasm32Simd128),
        // tract's own is 1.
        precedence: 2,
        name: "modelet",
        applies: |_| true,
        preferred,
    }
}

/// `None`: it is left to tract.
fn preferred(
    _: &IsaSet,
    accumulator: DatumType,
    query: &Query,
    _: &[Suitable],
) -> Option<&'static str> {
    if accumulator != DatumType::F32 {
        return None;
    }
    match (query.m, query.n) {
        (Some(rows), Some(1)) if rows > FEW_ROWS => Some(gemv::NAME),
        (Some(rows), Some(1)) if ONE_NARROW_TILE.contains(&rows) => Some(gemv::NARROW_NAME),
        (_, Some(1)) => None,
        _ => Some(gemm::NAME),
    }
}
