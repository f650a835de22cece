//! GELU by its hyperbolic tangent, `0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`, as one operation.
//!
//! tract recognises it where the cube is a power. Keras writes it as products.

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::binary::{BinMiniOp, TypedBinOp};
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::math::{Add, Mul, Tanh};
use tract_onnx::tract_hir::tract_core::ops::nn::gelu_approximate::gelu_approximate;

const CUBE_FACTOR: f32 = 0.044715;
const SUM_FACTOR: f32 = 0.797_884_6;

/// How much a constant may differ from what it should be, relatively.
const TOLERANCE: f32 = 1e-5;

/// Puts that operation wherever `model` computes it in steps.
pub fn fuse(model: &mut TypedModel) -> TractResult<()> {
    for node in model.eval_order()? {
        let Some((input, last)) = written_out(model, node) else {
            continue;
        };
        let mut patch = TypedModelPatch::default();
        let name = format!("{}.gelu", model.node(last.node).name);
        let tapped = patch.tap_model(model, input)?;
        let gelu = patch.wire_node(name, gelu_approximate(false), &[tapped])?[0];
        patch.shunt_outside(model, last, gelu)?;
        patch.apply(model)?;
    }
    Ok(())
}

/// The input, and the last of the steps, if `tanh` is the one in their middle.
fn written_out(model: &TypedModel, tanh: usize) -> Option<(OutletId, OutletId)> {
    let node = model.node(tanh);
    node.op_as::<ElementWiseOp>()?.0.downcast_ref::<Tanh>()?;
    let (sum, sum_factor) = with_constant::<Mul>(model, node.inputs[0])?;
    let (left, right) = operands::<Add>(model, sum)?;
    let is_cube = |input, cube| is_product(model, cube, &[(input, 3)], CUBE_FACTOR);
    let input = match (is_cube(left, right), is_cube(right, left)) {
        (true, _) => left,
        (_, true) => right,
        _ => return None,
    };
    let plus_one = successor(model, tanh.into())?;
    let (_, one) = with_constant::<Add>(model, plus_one)?;
    let fact = model.outlet_fact(input).ok()?;
    if !is(sum_factor, SUM_FACTOR) || !is(one, 1.0) || fact.datum_type != f32::datum_type() {
        return None;
    }
    // Halved and multiplied by the input: which of them first differs.
    let next = successor(model, plus_one)?;
    let last = [Some(next), successor(model, next)].into_iter().flatten();
    let factors = [(input, 1), (plus_one, 1)];
    let mut last = last.filter(|last| {
        let shape = model.outlet_fact(*last).map(|fact| &fact.shape);
        shape.is_ok_and(|shape| *shape == fact.shape) && is_product(model, *last, &factors, 0.5)
    });
    Some((input, last.next()?))
}

/// The one operation that takes `outlet`.
fn successor(model: &TypedModel, outlet: OutletId) -> Option<OutletId> {
    match model.outlet_successors(outlet) {
        [inlet] => Some(inlet.node.into()),
        _ => None,
    }
}

fn is(value: f32, wanted: f32) -> bool {
    (value / wanted - 1.0).abs() < TOLERANCE
}

/// Whether `outlet` is the product of `factors`, each as many times as said, and of a constant.
fn is_product(
    model: &TypedModel,
    outlet: OutletId,
    factors: &[(OutletId, usize)],
    constant: f32,
) -> bool {
    let mut product = Product {
        constant: 1.0,
        counts: tvec!(0; factors.len()),
    };
    product
        .take(model, outlet, factors, PRODUCT_DEPTH)
        .is_some()
        && is(product.constant, constant)
        && factors
            .iter()
            .zip(&product.counts)
            .all(|((_, wanted), count)| wanted == count)
}

/// Of four factors.
const PRODUCT_DEPTH: usize = 3;

struct Product {
    constant: f32,
    counts: TVec<usize>,
}

impl Product {
    /// `None` where there is a factor of another kind.
    fn take(
        &mut self,
        model: &TypedModel,
        outlet: OutletId,
        factors: &[(OutletId, usize)],
        depth: usize,
    ) -> Option<()> {
        if let Some(index) = factors.iter().position(|(factor, _)| *factor == outlet) {
            self.counts[index] += 1;
        } else if let Some(value) = scalar(model, outlet) {
            self.constant *= value;
        } else {
            let (left, right) = operands::<Mul>(model, outlet)?;
            let depth = depth.checked_sub(1)?;
            self.take(model, left, factors, depth)?;
            self.take(model, right, factors, depth)?;
        }
        Some(())
    }
}

/// The operands of `B`, if that is what `outlet` comes from.
fn operands<B: BinMiniOp>(model: &TypedModel, outlet: OutletId) -> Option<(OutletId, OutletId)> {
    let node = model.node(outlet.node);
    node.op_as::<TypedBinOp>()?.0.downcast_ref::<B>()?;
    Some((node.inputs[0], node.inputs[1]))
}

/// The same where one of them is a constant, which comes second.
fn with_constant<B: BinMiniOp>(model: &TypedModel, outlet: OutletId) -> Option<(OutletId, f32)> {
    let (left, right) = operands::<B>(model, outlet)?;
    match (scalar(model, left), scalar(model, right)) {
        (None, Some(value)) => Some((left, value)),
        (Some(value), None) => Some((right, value)),
        _ => None,
    }
}

fn scalar(model: &TypedModel, outlet: OutletId) -> Option<f32> {
    let constant = model.outlet_fact(outlet).ok()?.konst.clone()?;
    let is_one = constant.len() == 1 && constant.datum_type() == f32::datum_type();
    let plain = constant.try_as_plain_ram().ok()?;
    is_one.then(|| plain.as_slice::<f32>().ok()?.first().copied())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use tract_onnx::tract_hir::tract_core::ops::math::{add, mul, tanh};
    use tract_onnx::tract_hir::tract_core::ops::nn::GeluApproximate;

    use super::*;

    /// As Keras writes it, `factor` being that of the cube. Halved before or after the product with x.
    fn model(factor: f32, halved_first: bool) -> TypedModel {
        let mut model = TypedModel::default();
        let n = model.symbols.sym("N").to_dim();
        let x = model.add_source("x", f32::fact([n, 3.to_dim()])).unwrap();
        let constant = |model: &mut TypedModel, value: f32| {
            let name = format!("constant {value}");
            model.add_const(name, tensor2(&[[value]])).unwrap()
        };
        let cube = constant(&mut model, factor);
        let root = constant(&mut model, SUM_FACTOR);
        let (half, one) = (constant(&mut model, 0.5), constant(&mut model, 1.0));
        let mut wire = |name: &str, op: Box<dyn TypedOp>, inputs: &[OutletId]| {
            model.wire_node(name, op, inputs).unwrap()[0]
        };
        let x_factor = wire("a", mul().into(), &[x, cube]);
        let square = wire("b", mul().into(), &[x, x_factor]);
        let cube = wire("c", mul().into(), &[x, square]);
        let sum = wire("d", add().into(), &[x, cube]);
        let scaled = wire("e", mul().into(), &[root, sum]);
        let tanh = wire("f", tanh().into(), &[scaled]);
        let plus_one = wire("g", add().into(), &[tanh, one]);
        let y = if halved_first {
            let halved = wire("h", mul().into(), &[x, half]);
            wire("i", mul().into(), &[halved, plus_one])
        } else {
            let product = wire("h", mul().into(), &[plus_one, half]);
            wire("i", mul().into(), &[x, product])
        };
        model.select_output_outlets(&[y]).unwrap();
        model
    }

    fn answer(model: TypedModel) -> Tensor {
        let x = tensor2(&[[-3f32, -0.5, 0.0], [0.7, 2.0, 20.0]]);
        let plan = model.into_runnable().unwrap();
        let answers = plan.run(tvec!(x.into_tvalue())).unwrap();
        answers.into_iter().next().unwrap().into_tensor()
    }

    #[test]
    fn one_operation_computes_what_the_steps_do() {
        for halved_first in [true, false] {
            let mut fused = model(CUBE_FACTOR, halved_first).into_decluttered().unwrap();
            fuse(&mut fused).unwrap();
            let fused = fused.into_decluttered().unwrap();
            let is_gelu = |node: &TypedNode| {
                let op = node.op_as::<ElementWiseOp>();
                op.is_some_and(|op| op.0.downcast_ref::<GeluApproximate>().is_some())
            };
            assert!(fused.nodes().iter().any(is_gelu));
            assert_eq!(fused.nodes().len(), 2);
            let steps = answer(model(CUBE_FACTOR, halved_first));
            answer(fused)
                .close_enough(&steps, Approximation::Close)
                .unwrap();
        }
    }

    #[test]
    fn another_factor_is_another_function() {
        let mut other = model(0.05, false).into_decluttered().unwrap();
        let before = other.nodes().len();
        fuse(&mut other).unwrap();
        assert_eq!(other.nodes().len(), before);
    }
}
