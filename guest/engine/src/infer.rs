//! One inference: bytes in, the plan run, bytes out.

use tract_onnx::prelude::*;

use crate::late::Late;
use crate::prepared::Prepared;
use crate::{Dimension, Error, Signature, TensorSpec, values};

/// A model ready to run.
#[derive(Debug)]
pub struct Model {
    plan: Plan,
    signature: Signature,
}

#[derive(Debug)]
pub enum Plan {
    Whole(Prepared),
    /// It takes one item of a batch at a time.
    ByItem(Prepared),
    Late(Late),
}

impl Model {
    pub(crate) fn new(plan: Plan, signature: Signature) -> Model {
        Model { plan, signature }
    }

    /// Names, datatypes and shapes, in the order of the file.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Runs the model. `outputs` names the wanted ones in the wanted order; empty means all.
    pub fn infer(
        &self,
        inputs: Vec<crate::Tensor>,
        outputs: &[String],
    ) -> Result<Vec<crate::Tensor>, Error> {
        let wanted = self.wanted(outputs)?;
        let inputs = self.arrange(inputs)?;
        let results = self
            .run(inputs)
            .map_err(|error| Error::ModelFailed(format!("{error:#}")))?;
        wanted
            .into_iter()
            .map(|index| write(&self.signature.outputs[index], &results[index]))
            .collect()
    }

    pub(crate) fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let plan = match &self.plan {
            Plan::Whole(plan) => return plan.run(inputs),
            Plan::Late(late) => return late.run(inputs),
            Plan::ByItem(plan) => plan,
        };
        match inputs.first().map_or(1, |input| input.shape()[0]) {
            0 => self.nothing(),
            1 => plan.run(inputs),
            items => self.run_each(plan, &inputs, items),
        }
    }

    /// Each item by itself, and their answers in one.
    fn run_each(
        &self,
        plan: &Prepared,
        inputs: &[TValue],
        items: usize,
    ) -> TractResult<TVec<TValue>> {
        let mut answers: Vec<Vec<TValue>> = vec![vec![]; self.signature.outputs.len()];
        for item in 0..items {
            let one: TVec<TValue> = inputs
                .iter()
                .map(|input| Ok(input.slice(0, item, item + 1)?.into_tvalue()))
                .collect::<TractResult<_>>()?;
            for (answers, answer) in answers.iter_mut().zip(plan.run(one)?) {
                answers.push(answer);
            }
        }
        answers
            .iter()
            .map(|answers| Ok(Tensor::stack_tensors(0, answers)?.into_tvalue()))
            .collect()
    }

    /// The answer to a batch of no item.
    fn nothing(&self) -> TractResult<TVec<TValue>> {
        let empty = |spec: &TensorSpec| {
            let size = |dimension: &Dimension| match dimension {
                Dimension::Fixed(size) => *size as usize,
                Dimension::Symbolic(_) => 0,
            };
            let shape: Vec<usize> = spec.shape.iter().map(size).collect();
            Ok(Tensor::zero_dt(values::datum_type(spec.datatype), &shape)?.into_tvalue())
        };
        self.signature.outputs.iter().map(empty).collect()
    }

    fn wanted(&self, names: &[String]) -> Result<Vec<usize>, Error> {
        if names.is_empty() {
            return Ok((0..self.signature.outputs.len()).collect());
        }
        names
            .iter()
            .map(|name| {
                self.signature
                    .outputs
                    .iter()
                    .position(|spec| spec.name == *name)
                    .ok_or_else(|| Error::InvalidInput(format!("the model has no output `{name}`")))
            })
            .collect()
    }

    /// Puts the tensors in the model's order and checks them against the signature.
    fn arrange(&self, mut inputs: Vec<crate::Tensor>) -> Result<TVec<TValue>, Error> {
        let mut symbols = Vec::new();
        let mut arranged = tvec!();
        for spec in &self.signature.inputs {
            let index = inputs
                .iter()
                .position(|input| input.name == spec.name)
                .ok_or_else(|| Error::InvalidInput(format!("input `{}` is missing", spec.name)))?;
            let tensor = read(spec, inputs.swap_remove(index), &mut symbols).map_err(|reason| {
                Error::InvalidInput(format!("input `{}`: {reason}", spec.name))
            })?;
            arranged.push(tensor.into_tvalue());
        }
        match inputs.first() {
            None => Ok(arranged),
            Some(extra) => Err(Error::InvalidInput(format!(
                "the model has no input `{}`, or it is given twice",
                extra.name
            ))),
        }
    }
}

fn read<'a>(
    spec: &'a TensorSpec,
    input: crate::Tensor,
    symbols: &mut Vec<(&'a str, u64)>,
) -> Result<Tensor, String> {
    if spec.datatype != input.datatype {
        return Err(format!(
            "{} is wanted, got {}",
            values::name(spec.datatype),
            values::name(input.datatype)
        ));
    }
    let fits = spec.shape.len() == input.shape.len()
        && spec
            .shape
            .iter()
            .zip(&input.shape)
            .all(|(dimension, &size)| match dimension {
                Dimension::Fixed(fixed) => *fixed == size,
                Dimension::Symbolic(symbol) => bind(symbols, symbol, size),
            });
    if !fits {
        return Err(format!(
            "shape {:?} does not fit the signature",
            input.shape
        ));
    }
    values::tensor(input.datatype, &input.shape, &input.data)
}

/// Whether `symbol` is, or now becomes, `size`.
fn bind<'a>(symbols: &mut Vec<(&'a str, u64)>, symbol: &'a str, size: u64) -> bool {
    match symbols.iter().find(|(known, _)| *known == symbol) {
        Some((_, bound)) => *bound == size,
        None => {
            symbols.push((symbol, size));
            true
        }
    }
}

fn write(spec: &TensorSpec, value: &Tensor) -> Result<crate::Tensor, Error> {
    let data = values::bytes(value, spec.datatype)
        .map_err(|error| Error::ModelFailed(format!("output `{}`: {error:#}", spec.name)))?;
    Ok(crate::Tensor {
        name: spec.name.clone(),
        datatype: spec.datatype,
        shape: value.shape().iter().map(|&size| size as u64).collect(),
        data,
    })
}
