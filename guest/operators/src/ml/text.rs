//! From texts to features.

mod pool;
pub mod string_normalizer;
pub mod tf_idf_vectorizer;
pub mod tokenizer;
