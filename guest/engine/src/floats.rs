//! Operations on `f32` in place of tract's, which have code for every datatype: a modelet that has one keeps all of it.
//!
//! Absences: other datatypes, and what is not here, are tract's.

mod elementwise;
mod fewer;
mod function;
mod moved;
mod padded;
mod reduced;
mod reshaped;

use tract_onnx::tract_hir::internal::*;

/// Replaces them in an optimised model.
pub fn take(mut model: TypedModel) -> TractResult<TypedModel> {
    for node in model.eval_order()? {
        if let Some(op) = own(&model, model.node(node))? {
            let inputs = model.node(node).inputs.clone();
            TypedModelPatch::replace_single_op(&model, model.node(node), &inputs, op)?
                .apply(&mut model)?;
        }
    }
    model.into_compact()
}

fn own(model: &TypedModel, node: &TypedNode) -> TractResult<Option<Box<dyn TypedOp>>> {
    let (inputs, outputs) = model.node_facts(node.id)?;
    let [output] = *outputs else {
        return Ok(None);
    };
    let is_plain = |fact: &&TypedFact| !fact.is_exotic();
    if !inputs.iter().chain([&output]).all(is_plain) {
        return Ok(None);
    }
    let op = reshaped::own(node, output);
    if op.is_some() || !inputs.iter().all(|fact| is_float(fact)) {
        return Ok(op);
    }
    Ok(elementwise::own(node, &inputs, output)
        .or_else(|| function::own(node))
        .or_else(|| reduced::own(node))
        .or_else(|| moved::own(node))
        .or_else(|| padded::own(node))
        .or_else(|| fewer::own(node, inputs.first()?, output)))
}

fn is_float(fact: &TypedFact) -> bool {
    fact.datum_type == f32::datum_type()
}

/// The first and the last of `axes`, if there are no others between them.
fn neighbours(axes: &[usize]) -> Option<(usize, usize)> {
    let (first, last) = (*axes.iter().min()?, *axes.iter().max()?);
    let are_all = (first..=last).all(|axis| axes.contains(&axis));
    are_all.then_some((first, last))
}

/// The values of `tensor`, in the order of its axes.
fn values(tensor: &Tensor) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice::<f32>()
}

/// A tensor whose values `write` sets, each of them.
fn written(shape: &[usize], write: impl FnOnce(&mut [f32])) -> TractResult<TVec<TValue>> {
    // SAFETY: each value is written.
    let mut output = unsafe { Tensor::uninitialized::<f32>(shape)? };
    write(output.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
    Ok(tvec!(output.into_tvalue()))
}
