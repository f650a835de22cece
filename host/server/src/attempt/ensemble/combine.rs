//! Tensors for policy's arithmetic, and back.

use modelet_policy::ensemble::{average, majority, side_by_side};
use modelet_protocol::{Datatype, Signature, Tensor, TensorSpec};

use super::Told;
use crate::registry::Ready;
use crate::request::Failure;

/// Each output that the ensemble has, of those of its members.
pub fn outputs(signature: &Signature, told: &[Told]) -> Result<Vec<Tensor>, Failure> {
    let outputs = signature.outputs.iter();
    outputs.map(|spec| output(spec, told)).collect()
}

fn output(spec: &TensorSpec, told: &[Told]) -> Result<Tensor, Failure> {
    let name = &spec.name;
    let mut tensors = Vec::new();
    for told in told {
        let found = told.answer.outputs.iter().find(|it| it.name == *name);
        let found = found.filter(|it| it.datatype == spec.datatype);
        let of = || told.answer.served_by();
        let found = found.ok_or_else(|| Failure::Combine(format!("{} has no `{name}`", of())))?;
        tensors.push((told.weight, found));
    }
    let shapes: Vec<_> = tensors.iter().map(|(_, tensor)| &tensor.shape).collect();
    if shapes.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(Failure::Combine(format!(
            "`{name}` has the shapes {shapes:?}"
        )));
    }
    let shape = shapes.first().map(|&shape| shape.clone());
    let shape = shape.unwrap_or_default();
    match spec.datatype {
        Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64 => {
            let values: Vec<_> = tensors
                .iter()
                .map(|(weight, tensor)| (*weight, tensor.numbers().unwrap_or_default()))
                .collect();
            let values: Vec<_> = values.iter().map(|(w, values)| (*w, &**values)).collect();
            floats(name, spec.datatype, shape, &average(&values))
        }
        datatype => {
            let votes: Vec<_> = tensors
                .iter()
                .map(|(weight, tensor)| (*weight, tensor.elements()))
                .collect();
            let winners = majority(&votes).into_iter().enumerate();
            Ok(Tensor {
                name: name.clone(),
                datatype,
                shape,
                data: winners
                    .flat_map(|(at, place)| votes[place].1[at])
                    .copied()
                    .collect(),
            })
        }
    }
}

/// The members' floats, row by row side by side, as the one input of the combiner.
pub fn features(combiner: &Ready, told: &[Told]) -> Result<Tensor, Failure> {
    let mut columns = Vec::new();
    for output in told.iter().flat_map(|told| &told.answer.outputs) {
        if !is_float(output.datatype) {
            continue;
        }
        // A list has one value for each row.
        let size = match output.shape.as_slice() {
            [] | [_] => 1,
            [.., size] => *size as usize,
        };
        columns.push((size, output.numbers().unwrap_or_default()));
    }
    let rows = |(size, values): &(usize, Vec<f64>)| values.len() / size.max(&1);
    let count = columns.first().map_or(0, rows);
    if columns.iter().any(|column| rows(column) != count) {
        return Err(Failure::Combine(
            "the members' outputs have different numbers of rows".to_owned(),
        ));
    }
    let borrowed: Vec<_> = columns
        .iter()
        .map(|(size, values)| (*size, &**values))
        .collect();
    let width: usize = columns.iter().map(|(size, _)| size).sum();
    let [input] = combiner.signature().inputs.as_slice() else {
        return Err(Failure::Combine(
            "the combiner has not one input".to_owned(),
        ));
    };
    let shape = vec![count as u64, width as u64];
    floats(&input.name, input.datatype, shape, &side_by_side(&borrowed))
}

pub fn is_float(datatype: Datatype) -> bool {
    matches!(datatype, Datatype::Fp16 | Datatype::Fp32 | Datatype::Fp64)
}

fn floats(
    name: &str,
    datatype: Datatype,
    shape: Vec<u64>,
    values: &[f64],
) -> Result<Tensor, Failure> {
    Tensor::of_floats(name.to_owned(), datatype, shape, values)
        .ok_or_else(|| Failure::Combine(format!("`{name}` is {datatype}, and no float")))
}
