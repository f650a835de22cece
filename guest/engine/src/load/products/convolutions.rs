//! Convolutions that are worth fewer multiplications.

use std::collections::HashMap;

use modelet_kernels::{Convolution as Sizes, GEMM, Window, Windows};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::array::Pad;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, KernelFormat};
use tract_onnx::tract_hir::tract_core::ops::matmul::optimized::{
    MatMulOperand, OptMatMul, ProtoFusedSpec,
};
use tract_onnx::tract_hir::tract_core::tract_linalg::BinOp;
use tract_onnx::tract_hir::tract_core::tract_linalg::mmm::{EagerPackedInput, PackedMatrixStorage};

use crate::convolution::Convolution;

/// Channels and filters that make up for transforming inputs and outputs.
const LEAST: usize = 32;

/// What a convolution looks at, and how if it is worth fewer multiplications.
pub struct Found {
    pub windows: Windows,
    /// Sizes without borders, and the borders above and before.
    pub image: [usize; 2],
    pub before: [usize; 2],
    /// Whether each channel is looked at by itself.
    pub is_depthwise: bool,
    fewer: Option<Sizes>,
}

/// Those of a model before it is optimised, by name.
pub fn find(model: &TypedModel) -> HashMap<String, Found> {
    let found = |node: &TypedNode| {
        let conv = node.op_as::<Conv>()?;
        let input = model.outlet_fact(node.inputs[0]).ok()?;
        Some((node.name.clone(), found(conv, input)?))
    };
    model.nodes().iter().filter_map(found).collect()
}

/// One axis of an image.
struct Axis {
    size: usize,
    taps: usize,
    step: usize,
    dilation: usize,
    before: usize,
    after: usize,
    outputs: usize,
}

/// An axis of one value without a window, which is as good as none.
const NONE: Axis = Axis {
    size: 1,
    taps: 1,
    step: 1,
    dilation: 1,
    before: 0,
    after: 0,
    outputs: 1,
};

fn found(conv: &Conv, input: &TypedFact) -> Option<Found> {
    let pool = &conv.pool_spec;
    let is_depthwise =
        conv.group > 1 && (conv.group, conv.group) == (pool.input_channels, pool.output_channels);
    let is_plain = (conv.group == 1 || is_depthwise)
        && conv.q_params.is_none()
        && conv.kernel_fmt == KernelFormat::OIHW
        && input.datum_type == f32::datum_type();
    let shape = pool.data_format.shape(input.shape.as_concrete()?).ok()?;
    if !is_plain || shape.n().is_some_and(|images| *images != 1) {
        return None;
    }
    let padding = pool.computed_padding(shape.hw_dims());
    let axes = padding.into_iter().enumerate().map(|(axis, padding)| Axis {
        size: shape.hw_dims()[axis],
        taps: pool.kernel_shape[axis],
        step: pool.stride(axis),
        dilation: pool.dilation(axis),
        before: padding.pad_before,
        after: padding.pad_after,
        outputs: padding.convoluted,
    });
    let is_there = |axis: &Axis| (axis.size, axis.taps, axis.outputs) != (1, 1, 1);
    let mut axes = axes.filter(is_there).collect::<Vec<_>>().into_iter().rev();
    let cols = axes.next()?;
    let rows = axes.next().unwrap_or(NONE);
    if axes.next().is_some() {
        return None;
    }
    let of = |value: fn(&Axis) -> usize| [value(&rows), value(&cols)];
    let windows = Windows {
        channels: pool.input_channels,
        channels_last: pool.data_format.c_is_last(),
        image: of(|axis| axis.before + axis.size + axis.after),
        window: of(|axis| axis.taps),
        steps: of(|axis| axis.step),
        dilations: of(|axis| axis.dilation),
        outputs: of(|axis| axis.outputs),
    };
    let window = match (windows.window, windows.steps, windows.dilations) {
        ([1, 3], [1, 1], [1, 1]) => Some(Window::Three),
        ([1, 5], [1, 1], [1, 1]) => Some(Window::Five),
        ([3, 3], [1, 1], [1, 1]) => Some(Window::ThreeByThree),
        _ => None,
    };
    let is_worth_it = !is_depthwise && pool.input_channels.min(pool.output_channels) >= LEAST;
    let fewer = window.filter(|_| is_worth_it).map(|window| Sizes {
        window,
        channels: windows.channels,
        channels_last: windows.channels_last,
        height: rows.size,
        width: cols.size,
        above: rows.before,
        before: cols.before,
        filters: pool.output_channels,
        out_height: rows.outputs,
        out_width: cols.outputs,
    });
    Some(Found {
        windows,
        image: of(|axis| axis.size),
        before: of(|axis| axis.before),
        is_depthwise,
        fewer,
    })
}

/// What the node found before makes of its image at `outlet`.
pub fn windows_at<'a>(
    model: &TypedModel,
    outlet: OutletId,
    found: &'a HashMap<String, Found>,
) -> Option<&'a Found> {
    let name = &model.node(outlet.node).name;
    found.get(name.strip_suffix(".lazyIm2col")?)
}

/// The convolution that `node` of the optimised model computes as a product, and what it takes.
pub fn convolution(
    model: &TypedModel,
    node: usize,
    found: &HashMap<String, Found>,
) -> Option<(Convolution, TVec<OutletId>)> {
    let node = model.node(node);
    let op = node.op_as::<OptMatMul>()?;
    let [ProtoFusedSpec::AddMatMul { a, b, .. }, following @ ..] = &*op.micro_ops else {
        return None;
    };
    let MatMulOperand::Input(image) = b else {
        return None;
    };
    let weights = weights(model, node, a)?;
    let sizes = windows_at(model, node.inputs[*image], found)?.fewer?;
    let windows = model.node(node.inputs[*image].node);
    let is_gemm = op.mmm.iter().all(|mmm| mmm.name() == GEMM);
    if !is_gemm || !follows(following) || !is_all_outputs(op, &sizes) {
        return None;
    }
    let mut inputs: TVec<OutletId> = node.inputs.iter().copied().collect();
    let before = model.node(windows.inputs[0].node);
    inputs[*image] = match before.op_is::<Pad>() {
        true => before.inputs[0],
        false => windows.inputs[0],
    };
    let values = model.outlet_fact(inputs[*image]).ok()?.shape.volume();
    let convolution = Convolution {
        output: op.c_fact.clone(),
        sizes,
        image: *image,
        weights,
        following: following.to_vec(),
    };
    let wanted = sizes.channels * sizes.height * sizes.width;
    (values == wanted.to_dim()).then_some((convolution, inputs))
}

/// Those of all filters, if they are known.
fn weights(
    model: &TypedModel,
    node: &TypedNode,
    operand: &MatMulOperand,
) -> Option<EagerPackedInput> {
    let value = match operand {
        MatMulOperand::Const(value) => value.downcast_ref(),
        MatMulOperand::Input(input) => {
            let fact = model.outlet_fact(node.inputs[*input]).ok()?;
            let storage = fact.konst.as_ref()?.try_storage_as::<PackedMatrixStorage>();
            match storage.ok()?.values() {
                [value] => value.downcast_ref(),
                _ => None,
            }
        }
    };
    value.cloned()
}

/// Whether nothing else follows than a bias, limits and storing, in this order.
pub fn follows(operations: &[ProtoFusedSpec]) -> bool {
    let step = |operation: &ProtoFusedSpec| match operation {
        ProtoFusedSpec::BinPerRow(_, BinOp::Add, _) => Some(0),
        ProtoFusedSpec::BinScalar(_, BinOp::Max) => Some(1),
        ProtoFusedSpec::BinScalar(_, BinOp::Min) => Some(2),
        ProtoFusedSpec::Store(_) => Some(3),
        _ => None,
    };
    let steps: Option<TVec<u8>> = operations.iter().map(step).collect();
    // At most is a limit only beside at least.
    steps.is_some_and(|steps| {
        steps.is_sorted_by(|a, b| a < b) && (!steps.contains(&2) || steps.contains(&1))
    })
}

/// Whether the filters and places are all that there is of the output.
fn is_all_outputs(op: &OptMatMul, sizes: &Sizes) -> bool {
    let Some(shape) = op.c_fact.shape.as_concrete() else {
        return false;
    };
    let outputs = sizes.out_height * sizes.out_width;
    let axes: TVec<_> = (0..shape.len()).filter(|axis| shape[*axis] != 1).collect();
    let is = |axis: usize, wanted: Option<usize>, size: usize| {
        Some(axis) == wanted && shape[axis] == size
    };
    let are = |row, col| is(row, op.c_m_axis, sizes.filters) && is(col, op.c_n_axis, outputs);
    match *axes {
        [a, b] => are(a, b) || are(b, a),
        _ => false,
    }
}
