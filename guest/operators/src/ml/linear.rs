//! Weighted sums, and what is done to features before and after.

pub mod binarizer;
pub mod imputer;
pub mod linear_classifier;
pub mod normalizer;
pub mod scaler;
