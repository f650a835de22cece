//! Which products are computed by which kernel.

use tract_data::prelude::DatumType;
use tract_linalg::isa::{Arch, IsaSet};
use tract_linalg::mmm::{Query, Suitable};
use tract_linalg::mmm_tiers::MmmTier;

use crate::{gemm, gemv};

/// For a vector and no more rows than this tract has narrower tiles.
const FEW_ROWS: usize = 16;

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
        (_, Some(1)) => None,
        _ => Some(gemm::NAME),
    }
}
