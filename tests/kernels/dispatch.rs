//! Which kernel tract takes for which shape.

use tract_data::prelude::DatumType;
use tract_linalg::Func;
use tract_linalg::mmm::{MmmDispatch, Query, retain_best};
use tract_linalg::routines::best_for;

pub fn check() -> Result<String, String> {
    modelet_kernels::link();
    for n in [None, Some(2), Some(7), Some(8), Some(49), Some(1000)] {
        let name = chosen(64, n)?;
        if name != modelet_kernels::GEMM {
            return Err(format!("{name} multiplies matrices of {n:?} columns"));
        }
    }
    let vector = chosen(64, Some(1))?;
    if vector != modelet_kernels::GEMV {
        return Err(format!("{vector} multiplies a matrix and a vector"));
    }
    let short = chosen(16, Some(1))?;
    if short == modelet_kernels::GEMV || short == modelet_kernels::GEMM {
        return Err("few rows are computed as many".to_owned());
    }
    let narrow = chosen(8, Some(1))?;
    if narrow != modelet_kernels::NARROW_GEMV {
        return Err(format!("{narrow} multiplies eight rows and a vector"));
    }
    let either = either(64);
    if either != [modelet_kernels::GEMM, modelet_kernels::NARROW_GEMV] {
        return Err(format!("{either:?} multiply as many columns as come"));
    }
    for (func, ours) in [
        (Func::DepthwiseW, modelet_kernels::DEPTHWISE),
        (Func::DepthwiseC, modelet_kernels::DEPTHWISE_BY_CHANNEL),
    ] {
        let best = best_for(func, DatumType::F32, &tract_linalg::isa::native());
        let best = best.map(|routine| routine.name());
        if best != Some(ours) {
            return Err(format!("{best:?} convolves, not {ours}"));
        }
    }
    Ok(format!("one column of few rows is left to {short}"))
}

/// What tract chooses from where the number of columns is not known ahead.
fn either(m: usize) -> Vec<String> {
    let query = Query::plain(DatumType::F32, Some(m), Some(64), None);
    let mut suitable = MmmDispatch::native().suitable(&query);
    retain_best(&mut suitable);
    let mut names: Vec<_> = suitable
        .iter()
        .map(|(kernel, ..)| kernel.name().to_owned())
        .collect();
    names.sort_by_key(|name| name != modelet_kernels::GEMM);
    names
}

fn chosen(m: usize, n: Option<usize>) -> Result<String, String> {
    let query = Query::plain(DatumType::F32, Some(m), Some(64), n);
    match MmmDispatch::native().pick(&query) {
        Some((kernel, ..)) => Ok(kernel.name().to_owned()),
        None => Err(format!("no kernel for {n:?} columns")),
    }
}
