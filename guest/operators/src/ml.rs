//! Operators of the `ai.onnx.ml` domain, and those for texts that go with them.

pub mod encoding;
mod labels;
pub mod linear;
mod post_transform;
pub mod text;
pub mod trees;
pub mod vectors;

use tract_onnx::model::OnnxOpRegister;
use tract_onnx::tract_hir::internal::*;

/// A file's operators are known by their names alone: no two domains share one.
pub fn register(operators: &mut OnnxOpRegister) {
    use {encoding::*, linear::*, text::*, trees::*, vectors::*};
    operators.insert(
        "ArrayFeatureExtractor",
        array_feature_extractor::array_feature_extractor,
    );
    operators.insert("Binarizer", binarizer::binarizer);
    operators.insert("CategoryMapper", category_mapper::category_mapper);
    operators.insert("FeatureVectorizer", feature_vectorizer::feature_vectorizer);
    operators.insert("Imputer", imputer::imputer);
    operators.insert("LabelEncoder", label_encoder::label_encoder);
    operators.insert("LinearClassifier", linear_classifier::linear_classifier);
    operators.insert("Normalizer", normalizer::normalizer);
    operators.insert("OneHotEncoder", one_hot_encoder::one_hot_encoder);
    operators.insert("Scaler", scaler::scaler);
    operators.insert("StringNormalizer", string_normalizer::string_normalizer);
    operators.insert("SVMClassifier", svm_classifier::svm_classifier);
    operators.insert("SVMRegressor", svm_regressor::svm_regressor);
    operators.insert("TfIdfVectorizer", tf_idf_vectorizer::tf_idf_vectorizer);
    operators.insert("Tokenizer", tokenizer::tokenizer);
    operators.insert("TreeEnsemble", tree_ensemble::tree_ensemble);
    operators.insert("TreeEnsembleClassifier", tree_classifier::tree_classifier);
    operators.insert("TreeEnsembleRegressor", tree_regressor::tree_regressor);
    operators.insert("ZipMap", zip_map::zip_map);
}

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
fn zeros<T: Datum>(n_rows: usize, n_columns: usize) -> TractResult<Tensor> {
    let n_bytes = n_rows
        .checked_mul(n_columns)
        .and_then(|count| count.checked_mul(size_of::<T>()));
    ensure!(
        n_bytes.is_some(),
        "a table of {n_rows} rows and {n_columns} columns is too large"
    );
    Tensor::zero_dt(T::datum_type(), &[n_rows, n_columns])
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

/// The rules of a classifier's labels [rows] and scores [rows, n_scores].
fn classifier_rules<'r, 'p: 'r>(
    solver: &mut Solver<'r>,
    labels: &labels::Labels,
    n_scores: usize,
    inputs: &'p [TensorProxy],
    outputs: &'p [TensorProxy],
) -> InferenceResult {
    check_output_arity(outputs, 2)?;
    solver.equals(&outputs[0].datum_type, labels.datum_type())?;
    solver.equals(&outputs[0].rank, 1)?;
    same_rows(solver, &inputs[0], &outputs[0])?;
    solver.equals(&outputs[1].datum_type, f32::datum_type())?;
    solver.equals(&outputs[1].rank, 2)?;
    solver.equals(&outputs[1].shape[1], n_scores.to_dim())?;
    same_rows(solver, &inputs[0], &outputs[1])
}
