//! Operators of the `ai.onnx.ml` domain.

pub mod array_feature_extractor;
mod forest;
mod labels;
pub mod linear_classifier;
pub mod normalizer;
mod post_transform;
pub mod scaler;
pub mod tree_classifier;
pub mod tree_regressor;
pub mod zip_map;

use tract_onnx::tract_hir::internal::*;

/// Rows and columns of a table; one dimension alone is a single row.
fn rows_and_columns(shape: &[usize], n_features: usize) -> TractResult<(usize, usize)> {
    let (n_rows, n_columns) = match *shape {
        [n_columns] => (1, n_columns),
        [n_rows, n_columns] => (n_rows, n_columns),
        _ => bail!("a table [rows, features] is wanted, got the shape {shape:?}"),
    };
    ensure!(
        n_columns >= n_features,
        "at least {n_features} features are wanted, got {n_columns}"
    );
    Ok((n_rows, n_columns))
}

/// A table of zeros, if memory can have one of that size.
fn zeros(n_rows: usize, n_columns: usize) -> TractResult<Tensor> {
    let n_bytes = n_rows
        .checked_mul(n_columns)
        .and_then(|count| count.checked_mul(4));
    ensure!(
        n_bytes.is_some(),
        "a table of {n_rows} rows and {n_columns} columns is too large"
    );
    Tensor::zero::<f32>(&[n_rows, n_columns])
}

fn n_rows(shape: &ShapeFact) -> TDim {
    if shape.rank() == 2 {
        shape[0].clone()
    } else {
        1.to_dim()
    }
}

/// The rule that the first dimension of `output` counts the rows of `input`.
fn same_rows<'r, 'p: 'r>(
    solver: &mut Solver<'r>,
    input: &'p TensorProxy,
    output: &'p TensorProxy,
) -> InferenceResult {
    solver.given(&input.rank, move |solver, rank| match rank {
        1 => solver.equals(&output.shape[0], 1.to_dim()),
        2 => solver.equals(&output.shape[0], &input.shape[0]),
        _ => bail!("a table [rows, features] is wanted, got a tensor of rank {rank}"),
    })
}

fn classifier_rules<'r, 'p: 'r>(
    solver: &mut Solver<'r>,
    labels: &labels::Labels,
    inputs: &'p [TensorProxy],
    outputs: &'p [TensorProxy],
) -> InferenceResult {
    check_output_arity(outputs, 2)?;
    solver.equals(&outputs[0].datum_type, labels.datum_type())?;
    solver.equals(&outputs[0].rank, 1)?;
    same_rows(solver, &inputs[0], &outputs[0])?;
    solver.equals(&outputs[1].datum_type, f32::datum_type())?;
    solver.equals(&outputs[1].rank, 2)?;
    solver.equals(&outputs[1].shape[1], labels.len().to_dim())?;
    same_rows(solver, &inputs[0], &outputs[1])
}
