//! Features and labels that stand for one another, and tables put together and taken apart.

pub mod array_feature_extractor;
pub mod category_mapper;
pub mod feature_vectorizer;
pub mod label_encoder;
mod lookup;
pub mod one_hot_encoder;
pub mod zip_map;
