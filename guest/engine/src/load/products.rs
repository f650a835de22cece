//! Products and convolutions in `f32` that the kernels' own loops can run.

mod convolutions;
mod depthwise;
mod limits;

use std::collections::HashMap;

use modelet_kernels::Kernel;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::matmul::optimized::{
    MapOutputAxisToInput, MatMulOperand, OptMatMul, ProtoFusedSpec,
};
use tract_onnx::tract_hir::tract_core::ops::matmul::pack::OptMatMulPack;

use crate::product::{Operand, Product};
use convolutions::{Found, convolution, windows_at};
use depthwise::depthwise;

pub use convolutions::find;

/// Replaces them in an optimised model, where those are among its products that `found` knows by name.
pub fn take(mut model: TypedModel, found: &HashMap<String, Found>) -> TractResult<TypedModel> {
    for node in model.eval_order()? {
        if let Some((convolution, inputs)) = convolution(&model, node, found) {
            replace(&mut model, node, convolution, &inputs)?;
        } else if let Some((depthwise, inputs)) = depthwise(&model, node, found) {
            replace(&mut model, node, depthwise, &inputs)?;
        } else if let Some((product, inputs)) = product(&model, node, found)? {
            replace(&mut model, node, product, &inputs)?;
        }
    }
    limits::take(&mut model)?;
    model.into_compact()
}

fn replace(
    model: &mut TypedModel,
    node: usize,
    op: impl Into<Box<dyn TypedOp>>,
    inputs: &[OutletId],
) -> TractResult<()> {
    let mut patch = TypedModelPatch::default();
    let taps: TVec<OutletId> = inputs
        .iter()
        .map(|input| patch.tap_model(model, *input))
        .collect::<TractResult<_>>()?;
    let output = patch.wire_node(model.node(node).name.clone(), op, &taps)?[0];
    patch.shunt_outside(model, node.into(), output)?;
    patch.apply(model)
}

/// The same product, and what it takes. `None` where it is none, or does more than the loop knows.
fn product(
    model: &TypedModel,
    node: usize,
    found: &HashMap<String, Found>,
) -> TractResult<Option<(Product, TVec<OutletId>)>> {
    let node = model.node(node);
    let Some(op) = node.op_as::<OptMatMul>() else {
        return Ok(None);
    };
    let Some((vector_kernel, kernel)) = kernels(op) else {
        return Ok(None);
    };
    let [
        ProtoFusedSpec::AddMatMul {
            geo,
            a,
            b,
            packings,
        },
        following @ ..,
    ] = &*op.micro_ops
    else {
        return Ok(None);
    };
    let is_plain = packings
        .iter()
        .all(|(packing, extractor)| *packing == 0 && extractor.is_none());
    let are_known = following
        .iter()
        .all(|operation| is_known(model, node, operation));
    if !is_plain || !are_known || op.c_fact.datum_type != f32::datum_type() {
        return Ok(None);
    }
    let mut inputs: TVec<OutletId> = node.inputs.iter().copied().collect();
    let product = Product {
        output: op.c_fact.clone(),
        row_axis: op.c_m_axis,
        col_axis: op.c_n_axis,
        kernel,
        vector_kernel,
        left: operand(model, a, &geo.c_to_a_axis_mapping, &mut inputs, found)?,
        right: operand(model, b, &geo.c_to_b_axis_mapping, &mut inputs, found)?,
        following: following.to_vec(),
    };
    Ok(Some((product, inputs)))
}

/// The kernel for a single column, if there is another, and the one for all else.
fn kernels(op: &OptMatMul) -> Option<(Option<Kernel>, Kernel)> {
    let kernels: Option<TVec<Kernel>> = op.mmm.iter().map(|mmm| Kernel::of(mmm.name())).collect();
    match *kernels? {
        [kernel] => Some((None, kernel)),
        [vector, kernel] => Some((Some(vector), kernel)),
        _ => None,
    }
}

fn is_known(model: &TypedModel, node: &TypedNode, operation: &ProtoFusedSpec) -> bool {
    let in_f32 = |input: &usize| {
        let fact = model.outlet_fact(node.inputs[*input]);
        fact.is_ok_and(|fact| fact.datum_type == f32::datum_type() && !fact.is_exotic())
    };
    match operation {
        ProtoFusedSpec::BinScalar(input, _)
        | ProtoFusedSpec::LeakyRelu(input)
        | ProtoFusedSpec::BinPerRow(input, ..)
        | ProtoFusedSpec::BinPerCol(input, ..)
        | ProtoFusedSpec::AddUnicast(_, input, _) => in_f32(input),
        ProtoFusedSpec::Store(_) => true,
        _ => false,
    }
}

/// What tract packs in each call is taken as it was before: the loop packs it.
fn operand(
    model: &TypedModel,
    operand: &MatMulOperand,
    axes: &MapOutputAxisToInput,
    inputs: &mut [OutletId],
    found: &HashMap<String, Found>,
) -> TractResult<Operand> {
    let input = match operand {
        MatMulOperand::Const(value) => return Ok(Operand::Constant(value.clone())),
        MatMulOperand::Input(input) => *input,
    };
    let producer = model.node(inputs[input].node);
    if let Some(found) = windows_at(model, inputs[input], found) {
        let windows = found.windows;
        inputs[input] = producer.inputs[0];
        return Ok(Operand::Windows { input, windows });
    }
    if !producer.op_is::<OptMatMulPack>() {
        let axes = axes.clone();
        return Ok(Operand::Packed { input, axes });
    }
    let (ins, outs) = model.node_facts(producer.id)?;
    let mapping = producer.op.axes_mapping(&ins, &outs)?;
    let axis = |name: char| -> TractResult<usize> {
        let axis = mapping.axis(name)?.inputs[0].first().copied();
        axis.context("a packed axis that the input has not")
    };
    let (line_axis, depth_axis) = (axis('M')?, axis('K')?);
    let others: TVec<usize> = (0..ins[0].rank())
        .filter(|axis| ![line_axis, depth_axis].contains(axis))
        .collect();
    let axes = axes
        .0
        .iter()
        .map(|(output, packed)| (*output, others[*packed]));
    inputs[input] = producer.inputs[0];
    Ok(Operand::Tensor {
        input,
        line_axis,
        depth_axis,
        axes: MapOutputAxisToInput(axes.collect()),
    })
}
