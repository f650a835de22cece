//! `com.microsoft:Tokenizer`: the words of each text, in a table filled up at its right.

use regex_lite::{Regex, RegexBuilder};
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attributes;
use crate::mapping::{Mapping, mapping};

/// What ONNX Runtime puts around the words of a text where marks are asked for.
const MARKS: [&str; 2] = ["\u{2}", "\u{3}"];

/// Memory that an expression from a file may take once compiled.
const EXPRESSION_BYTES: usize = 1 << 20;

pub fn tokenizer(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let separators: Vec<String> = attributes::list(node, "separators")?;
    let words = match node.get_attr_opt::<&str>("tokenexp")? {
        // As in ONNX Runtime: line ends too, which the expression would not match.
        Some(".") => Words::Characters,
        Some(expression) if !expression.is_empty() => {
            node.expect(separators.is_empty(), "one of tokenexp and separators")?;
            Words::Matching(expression_of(node, "tokenexp", expression)?)
        }
        _ if separators.is_empty() => node.bail("one of tokenexp and separators is wanted")?,
        _ if separators == [""] => Words::Characters,
        _ => Words::Between(
            separators
                .iter()
                .map(|separator| expression_of(node, "separators", separator))
                .collect::<TractResult<_>>()?,
        ),
    };
    let min_chars: i64 = node.get_attr("mincharnum")?;
    node.expect_attr("mincharnum", min_chars > 0, "one or more")?;
    let tokenizer = Tokenizer {
        words,
        min_chars: usize::try_from(min_chars)?,
        marks: attributes::flag(node, "mark", false)?,
        padding: node.get_attr("pad_value")?,
        n_words: ctx.template.symbols.new_with_prefix("words"),
    };
    Ok((mapping(tokenizer), vec![]))
}

fn expression_of(node: &NodeProto, attribute: &str, expression: &str) -> TractResult<Expression> {
    match RegexBuilder::new(expression)
        .size_limit(EXPRESSION_BYTES)
        .build()
    {
        Ok(regex) => Ok(Expression(regex)),
        Err(error) => node.bail_attr(
            attribute,
            &format!("`{expression}` is no expression that can be used: {error}"),
        ),
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tokenizer {
    words: Words,
    /// Shorter words are left out.
    min_chars: usize,
    marks: bool,
    padding: String,
    /// Of the text with the most words, marks included.
    n_words: Symbol,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Words {
    Characters,
    /// What an expression matches.
    Matching(Expression),
    /// What lies between the matches of expressions, the first of which divides first.
    Between(Vec<Expression>),
}

#[derive(Debug, Clone)]
struct Expression(Regex);

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Expression {}

impl Words {
    fn of<'a>(&self, text: &'a str) -> Vec<&'a str> {
        match self {
            Words::Characters => text
                .char_indices()
                .map(|(start, c)| &text[start..start + c.len_utf8()])
                .collect(),
            Words::Matching(expression) => {
                let matches = expression.0.find_iter(text);
                matches.map(|found| found.as_str()).collect()
            }
            Words::Between(separators) => separators.iter().fold(vec![text], |parts, separator| {
                let divide = |part: &'a str| separator.0.split(part).collect::<Vec<_>>();
                parts.into_iter().flat_map(divide).collect()
            }),
        }
    }
}

impl Tokenizer {
    fn words_of<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let mut words = self.words.of(text);
        // Most words are longer than the least in bytes already.
        words.retain(|word| word.chars().nth(self.min_chars - 1).is_some());
        if self.marks {
            words.insert(0, MARKS[0]);
            words.push(MARKS[1]);
        }
        words
    }
}

impl Mapping for Tokenizer {
    const NAME: &'static str = "Tokenizer";

    fn result(&self, from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        ensure!(
            from == String::datum_type(),
            "texts are wanted, got {from:?}"
        );
        let mut shape: TVec<TDim> = shape.into();
        shape.push(self.n_words.to_dim());
        Ok((from, shape))
    }

    fn eval(&self, input: &Tensor) -> TractResult<Tensor> {
        let texts = input.try_as_plain_ram()?.as_slice::<String>()?;
        let rows: Vec<Vec<&str>> = texts.iter().map(|text| self.words_of(text)).collect();
        let n_words = rows.iter().map(Vec::len).max().unwrap_or(0);
        let padding = std::iter::repeat(&*self.padding);
        let table: Vec<String> = rows
            .into_iter()
            .flat_map(|row| row.into_iter().chain(padding.clone()).take(n_words))
            .map(str::to_owned)
            .collect();
        let mut shape: TVec<usize> = input.shape().into();
        shape.push(n_words);
        Ok(tract_ndarray::ArrayD::from_shape_vec(&*shape, table)?.into_tensor())
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::AttributeProto;

    use super::*;
    use crate::cases::{check, int, node, refusal, string, strings};

    fn tokenizer(rule: AttributeProto, min_chars: i64, mark: i64) -> NodeProto {
        let attributes = vec![
            rule,
            int("mincharnum", min_chars),
            int("mark", mark),
            string("pad_value", "#"),
        ];
        node("Tokenizer", 1, attributes)
    }

    fn table<const N: usize>(rows: [[&str; N]; 2]) -> Tensor {
        tensor2(&rows.map(|row| row.map(str::to_owned)))
    }

    fn input() -> Tensor {
        tensor1(&["a bc, dé".to_owned(), "".to_owned()])
    }

    #[test]
    fn words_match_an_expression() {
        let rule = || string("tokenexp", "[a-zé]+");
        check(
            tokenizer(rule(), 1, 0),
            input(),
            &[table([["a", "bc", "dé"], ["#", "#", "#"]])],
        );
        check(
            tokenizer(rule(), 2, 1),
            input(),
            &[table([
                ["\u{2}", "bc", "dé", "\u{3}"],
                ["\u{2}", "\u{3}", "#", "#"],
            ])],
        );
    }

    #[test]
    fn words_lie_between_separators() {
        check(
            tokenizer(strings("separators", &[",", " +"]), 1, 0),
            input(),
            &[table([["a", "bc", "dé"], ["#", "#", "#"]])],
        );
        check(
            tokenizer(strings("separators", &[""]), 1, 0),
            input(),
            &[table([["a", " ", "b", "c", ",", " ", "d", "é"], ["#"; 8]])],
        );
    }

    #[test]
    fn refuses_expressions_that_it_cannot_use() {
        let text = refusal(tokenizer(string("tokenexp", r"(?<=a)b"), 1, 0));
        assert!(text.contains("tokenexp"), "{text}");
        assert!(refusal(tokenizer(string("tokenexp", "a{9999}{9999}"), 1, 0)).contains("tokenexp"));
        assert!(refusal(tokenizer(string("tokenexp", "a"), 0, 0)).contains("mincharnum"));
        assert!(refusal(tokenizer(strings("separators", &[]), 1, 0)).contains("separators"));
    }
}
