//! Limits that a new shape keeps apart from the product whose values they are for.

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::binary::OptBinByScalar;
use tract_onnx::tract_hir::tract_core::ops::matmul::optimized::ProtoFusedSpec;
use tract_onnx::tract_hir::tract_core::tract_linalg::BinOp;

use super::convolutions::follows;
use crate::convolution::Convolution;
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
    let Some(operator) = node
        .op_as::<OptBinByScalar>()
        .and_then(|op| op.binop.as_linalg_binop())
    else {
        return Ok(None);
    };
    let limit = model.outlet_fact(node.inputs[1])?;
    let is_limit = matches!(operator, BinOp::Max | BinOp::Min)
        && limit.konst.is_some()
        && limit.datum_type == f32::datum_type()
        && limit.shape.volume().is_one();
    let Some((product, shapes)) = before(model, node.inputs[0]).filter(|_| is_limit) else {
        return Ok(None);
    };
    let step = ProtoFusedSpec::BinScalar(product.inputs.len(), operator);
    let Some(op) = with(&*product.op, step) else {
        return Ok(None);
    };
    let mut patch = TypedModelPatch::default();
    let mut inputs = patch.taps(model, &product.inputs)?;
    inputs.push(patch.tap_model(model, node.inputs[1])?);
    let mut outlet = patch.wire_node(&product.name, op, &inputs)?[0];
    for shape in shapes.iter().rev() {
        outlet = patch.wire_node(&shape.name, shape.op.clone(), &[outlet])?[0];
    }
    patch.shunt_outside(model, node.id.into(), outlet)?;
    Ok(Some(patch))
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

/// The product with one more step before its values are stored.
fn with(op: &dyn TypedOp, step: ProtoFusedSpec) -> Option<Box<dyn TypedOp>> {
    let longer = |following: &[ProtoFusedSpec]| {
        let (store, others) = following.split_last()?;
        Some([others, &[step], std::slice::from_ref(store)].concat())
    };
    if let Some(product) = op.downcast_ref::<Product>() {
        let mut product = product.clone();
        product.following = longer(&product.following)?;
        return Some(Box::new(product));
    }
    let mut convolution = op.downcast_ref::<Convolution>()?.clone();
    convolution.following = longer(&convolution.following)?;
    follows(&convolution.following).then(|| Box::new(convolution) as Box<dyn TypedOp>)
}
