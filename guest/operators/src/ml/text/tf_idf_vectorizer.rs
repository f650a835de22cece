//! `TfIdfVectorizer`: how often runs of words or numbers occur in a row.

use std::collections::HashMap;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::pool::{Pool, Sizes};
use crate::attributes;
use crate::mapping::{Mapping, mapping};

/// Columns, so that no malformed file can make every row allocate.
const MAX_COLUMNS: i64 = 1 << 24;

pub fn tf_idf_vectorizer(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let columns: Vec<i64> = node.get_attr_vec("ngram_indexes")?;
    let in_range = columns
        .iter()
        .all(|column| (0..MAX_COLUMNS).contains(column));
    node.expect_attr("ngram_indexes", in_range && !columns.is_empty(), || {
        format!("some columns from 0 to {MAX_COLUMNS}")
    })?;
    let columns: Vec<usize> = columns.into_iter().map(|column| column as usize).collect();
    let sizes = Sizes::parse(node)?;
    let weights: Vec<f32> = attributes::list(node, "weights")?;
    node.expect_attr(
        "weights",
        weights.is_empty() || weights.len() == columns.len(),
        || format!("none or {} of them, got {}", columns.len(), weights.len()),
    )?;
    let vectorizer = TfIdfVectorizer {
        n_columns: columns.iter().max().map_or(0, |last| last + 1),
        pool: Pool::parse(node, &sizes, &columns)?,
        weights: Weights::parse(node, &columns, weights)?,
        sizes,
    };
    Ok((mapping(vectorizer), vec![]))
}

#[derive(Debug, Clone, PartialEq)]
struct TfIdfVectorizer {
    pool: Arc<Pool>,
    sizes: Sizes,
    n_columns: usize,
    weights: Weights,
}

// Weights are compared only to tell equal nodes from different ones.
impl Eq for TfIdfVectorizer {}

/// What a run that occurs counts.
#[derive(Debug, Clone, PartialEq)]
struct Weights {
    /// However often it occurs, it counts once.
    once: bool,
    /// By column; a column that is not here weighs one.
    of_column: HashMap<usize, f32>,
}

impl Weights {
    fn parse(node: &NodeProto, columns: &[usize], weights: Vec<f32>) -> TractResult<Weights> {
        let mode: &str = node.get_attr("mode")?;
        let weighted = match mode {
            "TF" => false,
            "IDF" | "TFIDF" => true,
            unknown => {
                node.bail_attr("mode", &format!("`{unknown}` is none of TF, IDF or TFIDF"))?
            }
        };
        let of_column = columns.iter().copied().zip(weights).filter(|_| weighted);
        Ok(Weights {
            once: mode == "IDF",
            of_column: of_column.collect(),
        })
    }

    fn apply(&self, row: &mut [f32]) {
        for (column, count) in row
            .iter_mut()
            .enumerate()
            .filter(|(_, count)| **count > 0.0)
        {
            if self.once {
                *count = 1.0;
            }
            *count *= self.of_column.get(&column).copied().unwrap_or(1.0);
        }
    }
}

impl Mapping for TfIdfVectorizer {
    const NAME: &'static str = "TfIdfVectorizer";

    fn result(&self, from: DatumType, shape: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        self.pool.check(from)?;
        let mut shape: TVec<TDim> = shape.into();
        ensure!(
            matches!(shape.len(), 1 | 2),
            "words are wanted in rows, got the shape {shape:?}"
        );
        if let Some(columns) = shape.last_mut() {
            *columns = self.n_columns.to_dim();
        }
        Ok((f32::datum_type(), shape))
    }

    fn eval(&self, input: &Tensor) -> TractResult<Tensor> {
        let (n_rows, n_words) = crate::ml::rows_and_columns(input.shape(), 0)?;
        let words = self.pool.words(input)?;
        let mut output = crate::ml::zeros::<f32>(n_rows, self.n_columns)?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let rows = plain
            .as_slice_mut::<f32>()?
            .chunks_exact_mut(self.n_columns);
        for (index, row) in rows.enumerate() {
            let words = &words[index * n_words..][..n_words];
            self.pool
                .count(words, &self.sizes, |column| row[column] += 1.0);
            self.weights.apply(row);
        }
        let mut shape: TVec<usize> = input.shape().into();
        if let Some(columns) = shape.last_mut() {
            *columns = self.n_columns;
        }
        output.into_shape(&shape)
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::AttributeProto;

    use super::*;
    use crate::cases::{check, floats, int, ints, node, refusal, string};

    /// The pool of ONNX's own examples: four single numbers, then three pairs.
    fn vectorizer(mode: &str, sizes: [i64; 2], skips: i64, more: Vec<AttributeProto>) -> NodeProto {
        let mut attributes = vec![
            string("mode", mode),
            int("min_gram_length", sizes[0]),
            int("max_gram_length", sizes[1]),
            int("max_skip_count", skips),
            ints("ngram_counts", &[0, 4]),
            ints("ngram_indexes", &[0, 1, 2, 3, 4, 5, 6]),
            ints("pool_int64s", &[2, 3, 5, 4, 5, 6, 7, 8, 6, 7]),
        ];
        attributes.extend(more);
        node("TfIdfVectorizer", 1, attributes)
    }

    fn rows() -> Tensor {
        tensor2(&[[1i64, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8]])
    }

    #[test]
    fn counts_runs_with_and_without_gaps() {
        let pairs = [[0f32; 7], [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0]];
        check(
            vectorizer("TF", [2, 2], 0, vec![]),
            rows(),
            &[tensor2(&pairs)],
        );
        let both = [
            [0f32, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0],
        ];
        check(
            vectorizer("TF", [1, 2], 5, vec![]),
            rows(),
            &[tensor2(&both)],
        );
    }

    #[test]
    fn weighs_what_it_counts() {
        let weights = || vec![floats("weights", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])];
        for (mode, threes) in [("IDF", 2f32), ("TFIDF", 6.0), ("TF", 3.0)] {
            let first = [0.0, threes, 0.0, 0.0, 0.0, 0.0, 0.0];
            let one_row = tensor2(&[[1i64, 1, 3, 3, 3, 7]]);
            check(
                vectorizer(mode, [1, 2], 0, weights()),
                one_row,
                &[tensor2(&[first])],
            );
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let refuses = |more| refusal(vectorizer("TF", [1, 2], 0, vec![more]));
        assert!(refuses(floats("weights", &[1.0])).contains("weights"));
        assert!(refusal(vectorizer("IDFTF", [1, 1], 0, vec![])).contains("IDFTF"));
        assert!(refusal(vectorizer("TF", [2, 1], 0, vec![])).contains("gram_length"));
    }
}
