//! A plan for one item of a batch.

use tract_onnx::prelude::*;

use crate::infer::Plan;
use crate::prepared::Prepared;
use crate::{Dimension, Signature, TensorSpec, values};

/// Runs a batch item by item.
#[derive(Debug)]
pub struct ByItem(pub Prepared);

impl Plan for ByItem {
    fn run(&self, inputs: TVec<TValue>, signature: &Signature) -> TractResult<TVec<TValue>> {
        match inputs.first().map_or(1, |input| input.shape()[0]) {
            0 => signature.outputs.iter().map(nothing).collect(),
            1 => self.0.run_once(inputs),
            items => self.run_each(&inputs, items, signature.outputs.len()),
        }
    }
}

impl ByItem {
    /// Each item by itself, and their answers in one.
    fn run_each(
        &self,
        inputs: &[TValue],
        items: usize,
        n_outputs: usize,
    ) -> TractResult<TVec<TValue>> {
        let mut answers: Vec<Vec<TValue>> = vec![vec![]; n_outputs];
        for item in 0..items {
            let one: TVec<TValue> = inputs
                .iter()
                .map(|input| Ok(input.slice(0, item, item + 1)?.into_tvalue()))
                .collect::<TractResult<_>>()?;
            for (answers, answer) in answers.iter_mut().zip(self.0.run_once(one)?) {
                answers.push(answer);
            }
        }
        answers
            .iter()
            .map(|answers| Ok(Tensor::stack_tensors(0, answers)?.into_tvalue()))
            .collect()
    }
}

/// The answer to a batch of no item.
fn nothing(spec: &TensorSpec) -> TractResult<TValue> {
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => *size as usize,
        Dimension::Symbolic(_) => 0,
    };
    let shape: Vec<usize> = spec.shape.iter().map(size).collect();
    Ok(Tensor::zero_dt(values::datum_type(spec.datatype), &shape)?.into_tvalue())
}
