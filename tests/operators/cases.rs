//! The cases as `export.py` wrote them.

use std::path::Path;

use modelet_engine::{Datatype, Tensor};
use serde::Deserialize;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    #[serde(skip)]
    pub position: usize,
    pub name: String,
    pub domain: String,
    pub operator: String,
    /// The operator is written out as a graph of others.
    pub expanded: bool,
    /// Why the serving protocol cannot carry the case.
    pub outside: Option<String>,
    pub inputs: Vec<File>,
    pub outputs: Vec<File>,
}

/// A tensor's data in a file of its own.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub name: String,
    pub datatype: String,
    pub shape: Vec<u64>,
    pub file: String,
}

pub fn read(folder: &Path) -> Vec<Case> {
    let index = std::fs::read(folder.join("index.json")).unwrap();
    let mut cases: Vec<Case> = serde_json::from_slice(&index).unwrap();
    for (position, case) in cases.iter_mut().enumerate() {
        case.position = position;
    }
    cases
}

pub fn tensors(folder: &Path, files: &[File]) -> Vec<Tensor> {
    let tensor = |file: &File| Tensor {
        name: file.name.clone(),
        datatype: datatype(&file.datatype),
        shape: file.shape.clone(),
        data: std::fs::read(folder.join(&file.file)).unwrap(),
    };
    files.iter().map(tensor).collect()
}

fn datatype(name: &str) -> Datatype {
    match name {
        "BOOL" => Datatype::Bool,
        "UINT8" => Datatype::Uint8,
        "UINT16" => Datatype::Uint16,
        "UINT32" => Datatype::Uint32,
        "UINT64" => Datatype::Uint64,
        "INT8" => Datatype::Int8,
        "INT16" => Datatype::Int16,
        "INT32" => Datatype::Int32,
        "INT64" => Datatype::Int64,
        "FP16" => Datatype::Fp16,
        "FP32" => Datatype::Fp32,
        "FP64" => Datatype::Fp64,
        "BYTES" => Datatype::Bytes,
        unknown => panic!("`{unknown}` is no datatype"),
    }
}
