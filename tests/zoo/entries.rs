//! The entries as `models/zoo/make.py` listed them.

use std::path::Path;

use serde::Deserialize;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its folder.
    pub slug: String,
    pub group: String,
    pub title: String,
    /// How far scores may be from ONNX Runtime's.
    pub relative: f64,
    /// Why there is nothing to compare with.
    #[serde(default)]
    pub outside: Option<String>,
    /// Those of the file, in alphabetical order.
    #[serde(default)]
    pub operators: Vec<String>,
}

pub fn read(folder: &Path) -> Vec<Entry> {
    let index = std::fs::read(folder.join("index.json")).unwrap();
    serde_json::from_slice(&index).unwrap()
}
