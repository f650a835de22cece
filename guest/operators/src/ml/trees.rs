//! Decision trees.

mod forest;
mod lists;
pub mod tree_classifier;
pub mod tree_ensemble;
pub mod tree_regressor;
