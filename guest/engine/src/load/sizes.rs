//! Sizes without what lay on the stack when they were made.
//!
//! A size that is a number has room beside it for what it could be otherwise. What the room holds is copied with the size,
//! from fact to fact and into operations. Where it is an address, all that can be found from there counts as in use.

use std::mem::MaybeUninit;

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::matmul::optimized::OptMatMul;

/// Writes the sizes of an optimised model down anew, from which those of our operations are taken.
pub fn write_anew(model: &mut TypedModel) {
    for node in model.nodes_mut() {
        for output in &mut node.outputs {
            anew(&mut output.fact.shape);
        }
        if let Some(product) = node.op.downcast_mut::<OptMatMul>() {
            anew(&mut product.c_fact.shape);
        }
    }
}

fn anew(shape: &mut ShapeFact) {
    let size = |size: &TDim| size.as_i64().map_or_else(|| size.clone(), number);
    *shape = shape.iter().map(size).collect();
}

fn number(value: i64) -> TDim {
    let mut size = MaybeUninit::zeroed();
    size.write(TDim::Val(value));
    // SAFETY: it was written.
    unsafe { size.assume_init() }
}
