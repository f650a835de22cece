//! Depthwise convolutions that take limits with them.

use std::collections::HashMap;

use modelet_kernels::Depthwise as Sizes;
use tract_onnx::tract_hir::internal::*;

use super::convolutions::Found;
use crate::depthwise::Depthwise;

/// What tract calls its own, whose type it keeps to itself.
const NAME: &str = "DepthWiseConv";

/// The convolution that `node` of the optimised model is, and what it takes. `None`: it is none.
pub fn depthwise(
    model: &TypedModel,
    node: usize,
    found: &HashMap<String, Found>,
) -> Option<(Depthwise, TVec<OutletId>)> {
    let node = model.node(node);
    let found = found.get(&node.name)?;
    let windows = found.windows;
    let is_known = node.op.name() == NAME && found.is_depthwise;
    let [image, weights, bias] = *node.inputs else {
        return None;
    };
    if !is_known {
        return None;
    }
    let sizes = Sizes {
        channels: windows.channels,
        channels_last: windows.channels_last,
        image: found.image,
        before: found.before,
        window: windows.window,
        steps: windows.steps,
        dilations: windows.dilations,
        outputs: windows.outputs,
    };
    let values = |outlet: OutletId| {
        let shape = model.outlet_fact(outlet).ok()?.shape.as_concrete()?;
        Some(shape.iter().product::<usize>())
    };
    let taps = windows.window[0] * windows.window[1];
    let places = sizes.image[0] * sizes.image[1];
    let are_as_many = [(image, places), (weights, taps), (bias, 1)]
        .iter()
        .all(|(outlet, each)| values(*outlet) == Some(each * sizes.channels));
    let output = model.outlet_fact(node.id.into()).ok()?.clone();
    let depthwise = Depthwise {
        output,
        sizes,
        limits: None,
    };
    are_as_many.then(|| (depthwise, tvec!(image, weights, bias)))
}
