//! Matrices as tract packs them.

use tract_data::prelude::Tensor;
use tract_linalg::mmm::{EagerPackedInput, MMMInputFormat as _};
use tract_linalg::pack::Packing as _;

/// Lines one after the other, in panels of `width`.
pub fn packed(
    values: &[f32],
    lines: usize,
    depth: usize,
    width: usize,
) -> Result<EagerPackedInput, String> {
    let format = f32::packing(width).align(16);
    let value = Tensor::from_shape(&[lines, depth], values)
        .and_then(|tensor| format.prepare_one(&tensor, 1, 0))
        .map_err(|error| error.to_string())?;
    let packed = value.downcast_ref::<EagerPackedInput>();
    packed.cloned().ok_or("packed otherwise".to_owned())
}
