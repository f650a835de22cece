//! Whether a model treats the items of a batch each by itself.
//!
//! tract has its fast convolutions for shapes that it knows, and an open batch hides them; ours are for one image. A
//! network that never mixes the items of its batch gives the same answer when it is prepared for one item
//! and run once for each.

use modelet_operators::quantized::{
    Quantization, QuantizedConvolution, QuantizedProduct, QuantizedSum,
};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::Downsample;
use tract_onnx::tract_hir::tract_core::ops::array::{MultiBroadcastTo, Pad, Slice, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv, MaxPool, PoolSpec, SumPool};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::logic::Iff;
use tract_onnx::tract_hir::tract_core::ops::nn::resize::{NearestUpsample, Resize};
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, RmsNorm, Softmax};
use tract_onnx::tract_hir::tract_core::ops::quant::DequantizeLinearF32;
use tract_onnx::tract_hir::tract_core::ops::source::TypedSource;

/// The name of the batch's symbol, if `model` has a convolution and keeps the items of its batch apart.
/// The batch is then the first dimension of each input and of each output.
pub fn batch(model: &TypedModel) -> TractResult<Option<String>> {
    if !convolves(model) {
        return Ok(None);
    }
    let Some(input) = model.inputs.first() else {
        return Ok(None);
    };
    let Some(TDim::Sym(symbol)) = model.outlet_fact(*input)?.shape.iter().next().cloned() else {
        return Ok(None);
    };
    for outlet in model.inputs.iter().chain(&model.outputs) {
        if place(&model.outlet_fact(*outlet)?.shape, &symbol) != Place::First {
            return Ok(None);
        }
    }
    for node in model.nodes() {
        if !keeps_items_apart(model, node, &symbol)? {
            return Ok(None);
        }
    }
    Ok(Some(symbol.to_string()))
}

fn convolves(model: &TypedModel) -> bool {
    model.nodes().iter().any(|node| node.op_is::<Conv>())
}

/// Whether `model` has a convolution, and each input and output as many items, more than one.
pub fn may_be_apart(model: &TypedModel) -> TractResult<bool> {
    let mut sizes = vec![];
    for outlet in model.inputs.iter().chain(&model.outputs) {
        sizes.push(model.outlet_fact(*outlet)?.shape.first().cloned());
    }
    let items = sizes
        .first()
        .cloned()
        .flatten()
        .and_then(|size| size.as_i64());
    Ok(convolves(model) && items > Some(1) && sizes.iter().all(|size| *size == sizes[0]))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    /// The first dimension, and no other.
    First,
    Elsewhere,
}

fn place(shape: &ShapeFact, symbol: &Symbol) -> Place {
    let holds = |size: &TDim| size.symbols().contains(symbol);
    let Some((first, rest)) = shape.split_first() else {
        return Place::Nowhere;
    };
    match (*first == TDim::Sym(symbol.clone()), rest.iter().any(holds)) {
        (true, false) => Place::First,
        (false, false) if !holds(first) => Place::Nowhere,
        _ => Place::Elsewhere,
    }
}

fn keeps_items_apart(model: &TypedModel, node: &TypedNode, symbol: &Symbol) -> TractResult<bool> {
    let (facts_given, facts_made) = model.node_facts(node.id)?;
    let places = |facts: &[&TypedFact]| -> Vec<Place> {
        facts
            .iter()
            .map(|fact| place(&fact.shape, symbol))
            .collect()
    };
    let (given, made) = (places(&facts_given), places(&facts_made));
    let has_batch = |place: &Place| *place != Place::Nowhere;
    if !given.iter().chain(&made).any(has_batch) {
        return Ok(!counts_items(&facts_given, &facts_made, symbol));
    }
    if made.iter().any(|place| *place != Place::First) || given.contains(&Place::Elsewhere) {
        return Ok(false);
    }
    works_by_item(node.op(), &given)
}

/// Whether the number of items becomes a value that an answer may hang on, and not only a size.
fn counts_items(given: &[&TypedFact], made: &[&TypedFact], symbol: &Symbol) -> bool {
    let is_size = |fact: &&TypedFact| fact.datum_type == TDim::datum_type();
    let holds = |value: &Arc<Tensor>| {
        let plain = value.try_as_plain_ram();
        let sizes = plain.and_then(|plain| plain.as_slice::<TDim>().map(<[TDim]>::to_vec));
        sizes.is_ok_and(|sizes| sizes.iter().any(|size| size.symbols().contains(symbol)))
    };
    let may_hold = |fact: &&TypedFact| fact.konst.as_ref().is_none_or(holds);
    given.iter().any(|fact| is_size(fact) && may_hold(fact)) && !made.iter().all(is_size)
}

/// Whether an operation on inputs whose batch is in these places, with its results' batch first,
/// computes each item from the same item.
fn works_by_item(op: &dyn Op, given: &[Place]) -> TractResult<bool> {
    let only_first_has_batch = given.iter().skip(1).all(|place| *place == Place::Nowhere);
    let pools = |spec: &PoolSpec| spec.data_format.has_n() && only_first_has_batch;
    Ok(if let Some(conv) = op.downcast_ref::<Conv>() {
        pools(&conv.pool_spec)
    } else if let Some(pool) = op.downcast_ref::<MaxPool>() {
        pools(&pool.pool_spec)
    } else if let Some(pool) = op.downcast_ref::<SumPool>() {
        pools(&pool.pool_spec)
    } else if let Some(axes) = op.downcast_ref::<AxisOp>() {
        leaves_first(axes)
    } else if let Some(reduce) = op.downcast_ref::<Reduce>() {
        !reduce.axes.contains(&0)
    } else if let Some(softmax) = op.downcast_ref::<Softmax>() {
        !softmax.axes.contains(&0)
    } else if let Some(product) = op.downcast_ref::<EinSum>() {
        multiplies_items(product, given)?
    } else if let Some(concat) = op.downcast_ref::<TypedConcat>() {
        concat.axis != 0
    } else if let Some(slice) = op.downcast_ref::<Slice>() {
        slice.axis != 0
    } else if let Some(pad) = op.downcast_ref::<Pad>() {
        pad.pads.first() == Some(&(0, 0))
    } else if let Some(deconv) = op.downcast_ref::<Deconv>() {
        pools(&deconv.pool_spec)
    } else if let Some(every) = op.downcast_ref::<Downsample>() {
        every.axis != 0
    } else if let Some(norm) = op.downcast_ref::<RmsNorm>() {
        norm.axis != 0
    } else {
        // One element of the result comes from the elements in its place.
        op.is::<TypedSource>()
            || op.is::<ElementWiseOp>()
            || op.is::<TypedBinOp>()
            || op.is::<Iff>()
            || op.is::<MultiBroadcastTo>()
            || op.is::<NearestUpsample>()
            || op.is::<Cast>()
            || op.is::<Quantization>()
            || op.is::<QuantizedSum>()
            || op.is::<DequantizeLinearF32>()
            || only_first_has_batch
                && (op.is::<QuantizedConvolution>()
                    || op.is::<QuantizedProduct>()
                    || op.is::<Resize>())
    })
}

fn leaves_first(axes: &AxisOp) -> bool {
    match axes {
        AxisOp::Add(axis) | AxisOp::Rm(axis) | AxisOp::Reshape(axis, ..) => *axis != 0,
        AxisOp::Move(from, to) => *from != 0 && *to != 0,
    }
}

/// Whether the batch runs through a product from each input that has it to the result.
fn multiplies_items(product: &EinSum, given: &[Place]) -> TractResult<bool> {
    let Some(input) = given.iter().position(|place| *place == Place::First) else {
        return Ok(false);
    };
    let axis = product.axes.axis((InOut::In(input), 0))?;
    let straight = axis
        .inputs
        .iter()
        .zip(given)
        .all(|(places, given)| match given {
            Place::First => places[..] == [0],
            _ => places.is_empty(),
        });
    Ok(product.q_params.is_none() && straight && axis.outputs[0][..] == [0])
}

#[cfg(test)]
mod tests {
    use tract_onnx::tract_hir::tract_core;
    use tract_onnx::tract_hir::tract_core::ops::cast::cast;
    use tract_onnx::tract_hir::tract_core::ops::change_axes::wire_rank_broadcast;
    use tract_onnx::tract_hir::tract_core::ops::cnn::{KernelFormat, PaddingSpec};
    use tract_onnx::tract_hir::tract_core::ops::nn::{DataFormat, Reducer, SoftmaxKind};

    use super::*;

    /// Two rows and two columns, an open batch; the convolution adds up both channels.
    fn batch_of(change: impl Fn(&mut TypedModel, OutletId) -> TractResult<OutletId>) -> bool {
        let mut model = TypedModel::default();
        let n = model.symbols.sym("N");
        let shape = dims!(n, 2, 2, 2);
        let x = model.add_source("x", f32::fact(shape)).unwrap();
        let kernel = model.add_const("k", Tensor::zero::<f32>(&[1, 2, 1, 1]).unwrap());
        let bias = model.add_const("b", Tensor::zero::<f32>(&[1]).unwrap());
        let pool = PoolSpec {
            data_format: DataFormat::NCHW,
            kernel_shape: tvec!(1, 1),
            padding: PaddingSpec::Valid,
            dilations: None,
            strides: None,
            input_channels: 2,
            output_channels: 1,
        };
        let convolution = Conv {
            pool_spec: pool,
            kernel_fmt: KernelFormat::OIHW,
            group: 1,
            q_params: None,
        };
        let inputs = [x, kernel.unwrap(), bias.unwrap()];
        let y = model.wire_node("conv", convolution, &inputs).unwrap()[0];
        let y = change(&mut model, y).unwrap();
        model.select_output_outlets(&[y]).unwrap();
        batch(&model).unwrap().is_some()
    }

    #[test]
    fn items_that_do_not_meet_are_kept_apart() {
        assert!(batch_of(|_, y| Ok(y)));
        assert!(batch_of(|model, y| {
            let softmax = Softmax::new(tvec!(2, 3), None, SoftmaxKind::default());
            Ok(model.wire_node("softmax", softmax, &[y])?[0])
        }));
        assert!(batch_of(|model, y| every_second(model, y, 2)));
        assert!(batch_of(|model, y| {
            let scales = tvec!(1, 1, 2, 2);
            Ok(model.wire_node("up", NearestUpsample { scales }, &[y])?[0])
        }));
    }

    fn every_second(model: &mut TypedModel, y: OutletId, axis: usize) -> TractResult<OutletId> {
        let every_second = Downsample {
            axis,
            stride: 2,
            modulo: 0,
        };
        Ok(model.wire_node("every second", every_second, &[y])?[0])
    }

    #[test]
    fn items_that_meet_are_not() {
        assert!(!batch_of(|model, y| {
            let softmax = Softmax::new(tvec!(0), None, SoftmaxKind::default());
            Ok(model.wire_node("softmax", softmax, &[y])?[0])
        }));
        assert!(!batch_of(|model, y| {
            let total = Reduce::new(tvec!(0), Reducer::Sum);
            let total = model.wire_node("total", total, &[y])?[0];
            Ok(model.wire_node("share", tract_core::ops::math::div(), &[y, total])?[0])
        }));
        assert!(!batch_of(|model, y| {
            Ok(model.wire_node("turn", AxisOp::Move(0, 1), &[y])?[0])
        }));
        assert!(!batch_of(|model, y| every_second(model, y, 0)));
    }

    /// A product of each item with itself, and one of each with all.
    #[test]
    fn products_of_items_are_told_apart() {
        let product = |of: &'static str| {
            batch_of(move |model, y| {
                let product = EinSum::new(of.parse()?, f32::datum_type());
                Ok(model.wire_node("product", product, &[y, y])?[0])
            })
        };
        assert!(product("nchw,nchv->nwv"));
        assert!(!product("nchw,mchv->nmwv"));
    }

    /// An item by itself would be one of one.
    #[test]
    fn a_batch_whose_items_are_counted_is_not_taken_apart() {
        let times = |count: fn(TDim) -> TDim| {
            batch_of(|model, y| {
                let items = model.outlet_fact(y)?.shape[0].clone();
                let items = model.add_const("items", tensor0(count(items)))?;
                let items = model.wire_node("float", cast(f32::datum_type()), &[items])?[0];
                let factors = wire_rank_broadcast("factors", model, &[y, items])?;
                Ok(model.wire_node("times", tract_core::ops::math::mul(), &factors)?[0])
            })
        };
        assert!(!times(|items| items));
        assert!(times(|_| 2.to_dim()));
    }
}
