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
    pub fn at(&self, positions: &[usize]) -> TractResult<Tensor> {
        match self {
            Labels::Ints(labels) => {
                let mut tensor = Tensor::zero::<i64>(&[positions.len()])?;
                let mut plain = tensor.try_as_plain_ram_mut()?;
                let picked = plain.as_slice_mut::<i64>()?.iter_mut().zip(positions);
                picked.for_each(|(label, &position)| *label = labels[position]);
                Ok(tensor)
            }
            Labels::Strings(labels) => {
                let picked = positions.iter().map(|&position| labels[position].clone());
                Ok(tensor1(&picked.collect::<Vec<_>>()))
            }
        }
    }
}
