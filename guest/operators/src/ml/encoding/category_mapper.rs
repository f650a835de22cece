//! `CategoryMapper`: texts to integers or integers to texts.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::label_encoder::TwoWays;
use crate::mapping::mapping;

pub fn category_mapper(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let ints: Vec<i64> = node.get_attr_vec("cats_int64s")?;
    let texts: Vec<String> = node.get_attr_vec("cats_strings")?;
    node.expect(ints.len() == texts.len(), || {
        format!(
            "as many integers as texts, got {} and {}",
            ints.len(),
            texts.len()
        )
    })?;
    let mapper = TwoWays::new(node, &tensor1(&ints), &tensor1(&texts))?;
    Ok((mapping(mapper), vec![]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, int, ints, node, refusal, strings};

    #[test]
    fn maps_as_the_input_has_it() {
        let mapper = || {
            let attributes = vec![
                ints("cats_int64s", &[7, 5]),
                strings("cats_strings", &["a", "b"]),
                int("default_int64", 0),
            ];
            node("CategoryMapper", 1, attributes)
        };
        let texts = |texts: [&str; 2]| tensor1(&texts.map(str::to_owned));
        check(mapper(), texts(["b", "c"]), &[tensor1(&[5i64, 0])]);
        check(mapper(), tensor1(&[7i64, 8]), &[texts(["a", "_Unused"])]);
    }

    #[test]
    fn refuses_lists_that_do_not_fit() {
        let attributes = vec![
            ints("cats_int64s", &[7, 5]),
            strings("cats_strings", &["a"]),
        ];
        assert!(refusal(node("CategoryMapper", 1, attributes)).contains("2 and 1"));
    }
}
