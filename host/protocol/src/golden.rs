//! Golden cases: requests whose right answers are known.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::rest::tensor_from_json;
use crate::tensor::element_count;
use crate::{Datatype, Tensor};

/// A request and its right answer.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenCase {
    pub name: String,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
}

/// Nothing that is written down by hand is larger; a formula can be.
const FORMULA_LIMIT: u64 = 1 << 28;

#[derive(Deserialize)]
struct FileJson<'a> {
    #[serde(borrow)]
    cases: Vec<CaseJson<'a>>,
}

#[derive(Deserialize)]
struct CaseJson<'a> {
    name: String,
    #[serde(borrow)]
    inputs: Vec<TensorJson<'a>>,
    #[serde(borrow)]
    outputs: Vec<TensorJson<'a>>,
}

#[derive(Deserialize)]
struct TensorJson<'a> {
    name: String,
    datatype: String,
    shape: Vec<u64>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
    /// Instead of data: element i is the sine of i times this, in FP32.
    #[serde(default)]
    sine: Option<f64>,
}

/// Reads a golden file: `{"cases": [{"name", "inputs": [tensor], "outputs": [tensor]}]}`, where a
/// tensor is the protocol's, or has `"sine": step` in place of its data.
pub fn parse(file: &[u8]) -> Result<Vec<GoldenCase>, String> {
    let file: FileJson<'_> =
        serde_json::from_slice(file).map_err(|error| format!("not a golden file: {error}"))?;
    file.cases.into_iter().map(case).collect()
}

fn case(case: CaseJson<'_>) -> Result<GoldenCase, String> {
    let tensors = |tensors: Vec<TensorJson<'_>>| {
        tensors
            .into_iter()
            .map(tensor)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("case `{}`: {error}", case.name))
    };
    Ok(GoldenCase {
        inputs: tensors(case.inputs)?,
        outputs: tensors(case.outputs)?,
        name: case.name,
    })
}

fn tensor(json: TensorJson<'_>) -> Result<Tensor, String> {
    let TensorJson { name, shape, .. } = json;
    let datatype: Datatype = json
        .datatype
        .parse()
        .map_err(|error| format!("`{name}`: {error}"))?;
    match (json.data, json.sine) {
        (Some(data), None) => tensor_from_json(name, datatype, shape, data),
        (None, Some(step)) if datatype == Datatype::Fp32 => sine(name, shape, step),
        _ => Err(format!("`{name}` has either data or, for FP32, a sine")),
    }
}

fn sine(name: String, shape: Vec<u64>, step: f64) -> Result<Tensor, String> {
    let count = element_count(&shape)
        .filter(|count| *count <= FORMULA_LIMIT)
        .ok_or_else(|| format!("`{name}`: shape {shape:?} is too large"))?;
    Ok(Tensor {
        name,
        datatype: Datatype::Fp32,
        shape,
        data: (0..count)
            .flat_map(|index| ((index as f64 * step).sin() as f32).to_le_bytes())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_read_from_data_and_from_formulas() {
        let file = br#"{"computed_by": "x", "cases": [{"name": "one",
            "inputs": [{"name": "a", "datatype": "FP32", "shape": [3], "sine": 0.5}],
            "outputs": [{"name": "b", "datatype": "INT64", "shape": [1], "data": [7]}]}]}"#;
        let cases = parse(file).unwrap();
        let values: Vec<f32> = cases[0].inputs[0]
            .data
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        assert_eq!(values, [0.0, 0.5f64.sin() as f32, 1.0f64.sin() as f32]);
        assert_eq!(cases[0].outputs[0].data, 7i64.to_le_bytes());
    }

    #[test]
    fn mistakes_say_where_they_are() {
        let file = br#"{"cases": [{"name": "one", "outputs": [],
            "inputs": [{"name": "a", "datatype": "INT8", "shape": [1], "sine": 0.5}]}]}"#;
        let error = parse(file).unwrap_err();
        assert!(error.contains("case `one`: `a` has either data"), "{error}");
        assert!(parse(b"[]").unwrap_err().starts_with("not a golden file"));
    }
    #[test]
    fn what_the_readme_shows_is_right() {
        let readme = include_str!("../../../README.md");
        let mut blocks = readme.split("```json\n").skip(1);
        let shown = blocks.find(|block| block.starts_with("{\"cases\""));
        let (shown, _) = shown.unwrap().split_once("```").unwrap();
        assert_eq!(parse(shown.as_bytes()).unwrap().len(), 1);
    }
}
