//! `StringNormalizer`: texts without stop words, in lower or upper case.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attributes;
use crate::mapping::{Mapping, mapping};

pub fn string_normalizer(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let case = match node.get_attr_opt::<&str>("case_change_action")? {
        None | Some("NONE") => Case::Kept,
        Some("LOWER") => Case::Lower,
        Some("UPPER") => Case::Upper,
        Some(unknown) => node.bail_attr(
            "case_change_action",
            &format!("`{unknown}` is none of LOWER, UPPER or NONE"),
        )?,
    };
    let case_matters = attributes::flag(node, "is_case_sensitive", false)?;
    let stop_words: Vec<String> = attributes::list(node, "stopwords")?;
    let compared = if case_matters {
        Case::Kept
    } else {
        Case::Lower
    };
    let normalizer = StringNormalizer {
        case,
        compared,
        stop_words: stop_words.iter().map(|word| compared.of(word)).collect(),
        n_kept: ctx.template.symbols.new_with_prefix("kept"),
    };
    Ok((mapping(normalizer), vec![]))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct StringNormalizer {
    case: Case,
    /// In which case texts are compared with stop words, which are in that case already.
    compared: Case,
    stop_words: Vec<String>,
    /// How many texts are no stop words.
    n_kept: Symbol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Kept,
    Lower,
    Upper,
}

impl Case {
    /// Character by character, as C does it: one that would become several stays as it is.
    fn of(self, text: &str) -> String {
        fn single(mut changed: impl Iterator<Item = char>, kept: char) -> char {
            match (changed.next(), changed.next()) {
                (Some(single), None) => single,
                _ => kept,
            }
        }
        match self {
            Case::Kept => text.to_owned(),
            Case::Lower => text.chars().map(|c| single(c.to_lowercase(), c)).collect(),
            Case::Upper => text.chars().map(|c| single(c.to_uppercase(), c)).collect(),
        }
    }
}

impl Mapping for StringNormalizer {
    const NAME: &'static str = "StringNormalizer";

    /// The number of texts is the last dimension.
    fn result(&self, from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        ensure!(
            from == String::datum_type(),
            "texts are wanted, got {from:?}"
        );
        let fits = shape.len() == 1 || (shape.len() == 2 && shape[0] == 1.to_dim());
        ensure!(fits, "texts are wanted in one row, got the shape {shape:?}");
        let mut shape: TVec<TDim> = shape.into();
        if !self.stop_words.is_empty()
            && let Some(count) = shape.last_mut()
        {
            *count = self.n_kept.to_dim();
        }
        Ok((from, shape))
    }

    fn eval(&self, input: &Tensor) -> TractResult<Tensor> {
        let texts = input.try_as_plain_ram()?.as_slice::<String>()?;
        let mut kept: Vec<String> = texts
            .iter()
            .filter(|text| !self.stop_words.contains(&self.compared.of(text)))
            .map(|text| self.case.of(text))
            .collect();
        // The operator has no empty result: a single empty text stands for it.
        if kept.is_empty() && !texts.is_empty() {
            kept.push(String::new());
        }
        let mut shape: TVec<usize> = input.shape().into();
        if let Some(count) = shape.last_mut() {
            *count = kept.len();
        }
        Ok(tract_ndarray::ArrayD::from_shape_vec(&*shape, kept)?.into_tensor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, int, node, refusal, string, strings};

    fn texts(texts: &[&str]) -> Tensor {
        tensor1(
            &texts
                .iter()
                .map(|text| text.to_string())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn changes_the_case() {
        for (case, expected) in [
            ("NONE", ["Île", "Straße"]),
            ("LOWER", ["île", "straße"]),
            ("UPPER", ["ÎLE", "STRAßE"]),
        ] {
            let attributes = vec![string("case_change_action", case)];
            check(
                node("StringNormalizer", 1, attributes),
                texts(&["Île", "Straße"]),
                &[texts(&expected)],
            );
        }
    }

    #[test]
    fn leaves_stop_words_out() {
        let normalizer = |matters| {
            let attributes = vec![
                strings("stopwords", &["The", "a"]),
                int("is_case_sensitive", matters),
            ];
            node("StringNormalizer", 1, attributes)
        };
        let input = || texts(&["the", "The", "cat", "A"]);
        check(normalizer(0), input(), &[texts(&["cat"])]);
        check(normalizer(1), input(), &[texts(&["the", "cat", "A"])]);
        check(normalizer(0), texts(&["a", "the"]), &[texts(&[""])]);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let unknown = vec![string("case_change_action", "TITLE")];
        assert!(refusal(node("StringNormalizer", 1, unknown)).contains("TITLE"));
        assert!(refusal(node("StringNormalizer", 1, vec![])).contains("texts are wanted"));
    }
}
