//! Outputs that stand in a configuration, and those of them that are wanted.

use super::decode_request;
use crate::{Signature, Tensor};

/// A list of tensors in the protocol's JSON, and of it what `wanted` names; no name means all. The error
/// says what is wrong with the list, or which name is not in it.
pub fn outputs_from_json(json: &str, wanted: &[String]) -> Result<Vec<Tensor>, String> {
    // Outputs are written as inputs are.
    let as_request = format!(r#"{{"inputs":{json}}}"#);
    let decoded = decode_request(as_request.as_bytes(), None, &Signature::default());
    let mut outputs = decoded.map_err(|error| error.to_string())?.inputs;
    let has = |name: &&String| outputs.iter().any(|output| output.name == **name);
    if let Some(missing) = wanted.iter().find(|name| !has(name)) {
        return Err(format!("the static answer has no output `{missing}`"));
    }
    keep(&mut outputs, wanted);
    Ok(outputs)
}

/// Leaves those of `outputs` that are wanted; no name means all.
pub fn keep(outputs: &mut Vec<Tensor>, wanted: &[String]) {
    if !wanted.is_empty() {
        outputs.retain(|output| wanted.contains(&output.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"[{"name":"a","datatype":"FP32","shape":[1],"data":[1]},
                           {"name":"b","datatype":"BYTES","shape":[1],"data":["x"]}]"#;

    #[test]
    fn what_is_wanted_is_left() {
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            let outputs = outputs_from_json(JSON, &wanted)?;
            Ok::<_, String>(outputs.into_iter().map(|it| it.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["a", "b"]);
        assert_eq!(names(&["b"]).unwrap(), ["b"]);
        let missing = names(&["b", "c"]).unwrap_err();
        assert_eq!(missing, "the static answer has no output `c`");
        assert!(outputs_from_json("[{}]", &[]).is_err());
    }
}
