//! One inference: bytes in, the plan run, bytes out.

use std::fmt;

use tract_onnx::prelude::*;

use crate::late::Late;
use crate::{Dimension, Error, Signature, TensorSpec, values};

/// A model ready to run.
#[derive(Debug)]
pub struct Model {
    plan: Box<dyn Plan>,
    signature: Signature,
    not_prepared: Option<String>,
}

/// A way to run a model. What a call cannot reach is no part of a modelet, so that those whose plan was made
/// ahead do without all that makes one.
pub trait Plan: fmt::Debug + Send + Sync {
    /// The outputs, in the order of the file, which is that of `signature` too.
    fn run(&self, inputs: TVec<TValue>, signature: &Signature) -> TractResult<TVec<TValue>>;
}

impl Model {
    pub(crate) fn new(plan: impl Plan + 'static, signature: Signature) -> Model {
        Model {
            plan: Box::new(plan),
            signature,
            not_prepared: None,
        }
    }

    /// A model that `late` prepares for each request.
    pub(crate) fn late(late: Late, signature: Signature, reason: String) -> Model {
        Model {
            not_prepared: Some(reason),
            ..Model::new(late, signature)
        }
    }

    /// Why each request prepares the model anew, if it does.
    pub fn not_prepared(&self) -> Option<&str> {
        self.not_prepared.as_deref()
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
            .plan
            .run(inputs, &self.signature)
            .map_err(|error| Error::ModelFailed(format!("{error:#}")))?;
        wanted
            .into_iter()
            .map(|index| write(&self.signature.outputs[index], &results[index]))
            .collect()
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
                Dimension::Symbolic(symbol) => {
                    size.is_multiple_of(step(symbol)) && bind(symbols, symbol, size)
                }
            });
    if !fits {
        return Err(format!(
            "shape {:?} does not fit the signature",
            input.shape
        ));
    }
    values::tensor(input.datatype, &input.shape, &input.data)
}

/// What the sizes that `symbol` stands for are multiples of: 32 for `32*height`.
fn step(symbol: &str) -> u64 {
    let step = symbol
        .split_once('*')
        .and_then(|(step, _)| step.parse().ok());
    step.unwrap_or(1).max(1)
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
