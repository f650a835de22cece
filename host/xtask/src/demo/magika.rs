//! What the model `magika` is given of a file, and what it answers.
//!
//! Source: `models/README.md`, which describes Magika's own extraction of features.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::http;

/// Bytes looked at from either end of a file.
const BLOCK: usize = 4096;

/// Bytes of the model's input from either end.
const HALF: usize = 1024;

/// Where a file is shorter than its half.
const PADDING: i32 = 256;

/// What a file is, and how sure the model is, from 0 to 1.
pub struct Verdict {
    pub kind: String,
    pub score: f64,
}

/// Asks the server what a file is.
pub fn ask(address: &str, file: &Path) -> Result<Verdict> {
    let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let answer = http::post(address, "/v2/models/magika/infer", &request(&bytes))?;
    let answer: serde_json::Value =
        serde_json::from_str(&answer).context("the answer is no JSON")?;
    let scores = answer["outputs"][0]["data"]
        .as_array()
        .context("the answer has no scores")?;
    let (index, score) = scores
        .iter()
        .map(|score| score.as_f64().unwrap_or_default())
        .enumerate()
        .max_by(|(_, left), (_, right)| left.total_cmp(right))
        .context("the answer's scores are empty")?;
    let kind = labels()?
        .into_iter()
        .nth(index)
        .context("a score without a label")?;
    Ok(Verdict { kind, score })
}

/// An inference request, in JSON, about a file's bytes.
pub fn request(file: &[u8]) -> String {
    let features: Vec<String> = features(file).map(|feature| feature.to_string()).collect();
    format!(
        r#"{{"inputs":[{{"name":"bytes","datatype":"INT32","shape":[1,{}],"data":[{}]}}]}}"#,
        features.len(),
        features.join(",")
    )
}

/// The first bytes after leading white space, then the last before trailing white space.
fn features(file: &[u8]) -> impl Iterator<Item = i32> {
    let start = &file[..file.len().min(BLOCK)];
    let end = &file[file.len().saturating_sub(BLOCK)..];
    let start = &start[start.iter().take_while(|byte| is_space(**byte)).count()..];
    let end = &end[..end.len() - end.iter().rev().take_while(|byte| is_space(**byte)).count()];
    let start = &start[..start.len().min(HALF)];
    let end = &end[end.len().saturating_sub(HALF)..];
    let padding = |half: &[u8]| std::iter::repeat_n(PADDING, HALF - half.len());
    let tokens = |half: &[u8]| half.iter().map(|&byte| i32::from(byte)).collect::<Vec<_>>();
    tokens(start)
        .into_iter()
        .chain(padding(start))
        .chain(padding(end))
        .chain(tokens(end))
}

/// White space to Python, which has the vertical tab where Rust does not.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn labels() -> Result<Vec<String>> {
    let path = crate::process::root().join("models/magika/labels.txt");
    let text =
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}
