//! Support vector machines.

mod coupling;
mod machine;
pub mod svm_classifier;
pub mod svm_regressor;
