//! Limits apart from the product or convolution whose values they are for: behind a new shape, or because tract knows none
//! of its own.

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::binary::{OptBinByScalar, OptBinChain};
use tract_onnx::tract_hir::tract_core::ops::matmul::optimized::ProtoFusedSpec;
use tract_onnx::tract_hir::tract_core::tract_linalg::BinOp;

use super::convolutions::follows;
use crate::convolution::Convolution;
use crate::depthwise::Depthwise;
use crate::product::Product;

/// Lets products keep to the limits themselves.
pub fn take(model: &mut TypedModel) -> TractResult<()> {
    for node in model.eval_order()? {
        if let Some(patch) = taken(model, node)? {
            patch.apply(model)?;
        }
    }
    Ok(())
}

fn taken(model: &TypedModel, node: usize) -> TractResult<Option<TypedModelPatch>> {
    let node = model.node(node);
    let Some(limits) = limits(model, node)? else {
        return Ok(None);
    };
    let Some((product, shapes)) = before(model, node.inputs[0]) else {
        return Ok(None);
    };
    let mut op = product.op.clone();
    for (number, (operator, _)) in limits.iter().enumerate() {
        let input = product.inputs.len() + number;
        let Some(limited) = with(&*op, *operator, input) else {
            return Ok(None);
        };
        op = limited;
    }
    let mut patch = TypedModelPatch::default();
    let mut inputs = patch.taps(model, &product.inputs)?;
    for (_, limit) in limits {
        inputs.push(patch.tap_model(model, limit)?);
    }
    let mut outlet = patch.wire_node(&product.name, op, &inputs)?[0];
    for shape in shapes.iter().rev() {
        outlet = patch.wire_node(&shape.name, shape.op.clone(), &[outlet])?[0];
    }
    patch.shunt_outside(model, node.id.into(), outlet)?;
    Ok(Some(patch))
}

/// Those that `node` keeps its input to, if it does nothing else.
fn limits(model: &TypedModel, node: &TypedNode) -> TractResult<Option<TVec<(BinOp, OutletId)>>> {
    let operators: TVec<Option<BinOp>> = if let Some(op) = node.op_as::<OptBinByScalar>() {
        tvec!(op.binop.as_linalg_binop())
    } else if let Some(chain) = node.op_as::<OptBinChain>() {
        chain
            .steps
            .iter()
            .map(|step| Some(step.linalg_op))
            .collect()
    } else {
        return Ok(None);
    };
    let mut limits = tvec!();
    for (operator, limit) in operators.into_iter().zip(&node.inputs[1..]) {
        let fact = model.outlet_fact(*limit)?;
        let is_known = fact.konst.is_some()
            && fact.datum_type == f32::datum_type()
            && fact.shape.volume().is_one();
        match operator.filter(|it| is_known && matches!(it, BinOp::Max | BinOp::Min)) {
            Some(operator) => limits.push((operator, *limit)),
            None => return Ok(None),
        }
    }
    Ok(Some(limits))
}

/// What `outlet` comes from through nothing but new shapes, which are the last first, if nothing else takes it.
fn before(model: &TypedModel, outlet: OutletId) -> Option<(&TypedNode, TVec<&TypedNode>)> {
    let (mut outlet, mut shapes) = (outlet, tvec!());
    loop {
        let is_taken_once = model.outlet_successors(outlet).len() == 1;
        if !is_taken_once || model.output_outlets().ok()?.contains(&outlet) {
            return None;
        }
        let node = model.node(outlet.node);
        if !node.op_is::<IntoShape>() {
            return Some((node, shapes));
        }
        outlet = node.inputs[0];
        shapes.push(node);
    }
}

/// The product with one more limit, its input number `input`.
fn with(op: &dyn TypedOp, operator: BinOp, input: usize) -> Option<Box<dyn TypedOp>> {
    let step = ProtoFusedSpec::BinScalar(input, operator);
    let longer = |following: &[ProtoFusedSpec]| {
        let (store, others) = following.split_last()?;
        Some([others, &[step], std::slice::from_ref(store)].concat())
    };
    if let Some(product) = op.downcast_ref::<Product>() {
        let mut product = product.clone();
        product.following = longer(&product.following)?;
        return Some(Box::new(product));
    }
    if let Some(depthwise) = op.downcast_ref::<Depthwise>() {
        return Some(Box::new(depthwise.clone().with(operator, input)?));
    }
    let mut convolution = op.downcast_ref::<Convolution>()?.clone();
    convolution.following = longer(&convolution.following)?;
    follows(&convolution.following).then(|| Box::new(convolution) as Box<dyn TypedOp>)
}
