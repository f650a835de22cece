//! Decision trees.

mod forest;
pub mod tree_classifier;
pub mod tree_regressor;
