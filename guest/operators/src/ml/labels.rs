//! The class labels of a classifier: integers or texts.

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use crate::attributes;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    Ints(Vec<i64>),
    Strings(Vec<String>),
}

impl Labels {
    /// Reads the one of the two attributes that is there; `ints` is the name of the integer one,
    /// which differs between operators.
    pub fn parse(node: &NodeProto, ints: &str) -> TractResult<Labels> {
        let (numbers, texts): (Vec<i64>, Vec<String>) =
            attributes::one_of_two(node, [ints, "classlabels_strings"])?;
        Ok(match texts.is_empty() {
            true => Labels::Ints(numbers),
            false => Labels::Strings(texts),
        })
    }

    pub fn len(&self) -> usize {
        match self {
            Labels::Ints(labels) => labels.len(),
            Labels::Strings(labels) => labels.len(),
        }
    }

    pub fn datum_type(&self) -> DatumType {
        match self {
            Labels::Ints(_) => i64::datum_type(),
            Labels::Strings(_) => String::datum_type(),
        }
    }

    /// The labels at `positions`, each of which is below `len`, as a tensor of rank 1.
    pub fn at(&self, positions: &[usize]) -> Tensor {
        match self {
            Labels::Ints(labels) => tensor1(&pick(labels, positions)),
            Labels::Strings(labels) => tensor1(&pick(labels, positions)),
        }
    }
}

fn pick<T: Clone>(labels: &[T], positions: &[usize]) -> Vec<T> {
    positions
        .iter()
        .map(|&position| labels[position].clone())
        .collect()
}
