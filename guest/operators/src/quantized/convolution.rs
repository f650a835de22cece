//! Convolutions over one or two axes.

use std::sync::Arc;

use modelet_kernels::integer::{Columns, Image, Taps, Weights, Windows, product};
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::cnn::PaddingSpec;

use super::becoming::{Becoming, Zero, bytes, weights};
use crate::attributes::list;

/// Takes an image of levels, channel by channel, and its zero point and scale where the model computes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizedConvolution(Arc<Layer>);

#[derive(Debug, PartialEq, Eq)]
struct Layer {
    /// Of all groups.
    channels: usize,
    filters: usize,
    /// Down and across; where there is one axis, down is one.
    window: [usize; 2],
    steps: [usize; 2],
    dilations: [usize; 2],
    padding: PaddingSpec,
    /// Axes of the image.
    axes: usize,
    zero: Zero,
    groups: Groups,
    becoming: Becoming,
}

#[derive(Debug, PartialEq, Eq)]
enum Groups {
    /// The filters of each.
    Some(Vec<Weights>),
    /// One for each channel.
    Depthwise { channels: usize, taps: Taps },
}

impl Groups {
    /// Of filters that fall into as many groups.
    fn of(weights: &Tensor, n_groups: usize) -> TractResult<Groups> {
        let values = weights.try_as_plain_ram()?.as_slice::<i16>()?;
        let (filters, depth) = (weights.shape()[0], values.len() / weights.shape()[0]);
        if weights.shape()[1] == 1 {
            let taps = Taps::new(depth, values.to_vec());
            let channels = n_groups;
            return Ok(Groups::Depthwise { channels, taps });
        }
        let filters = filters / n_groups;
        let group =
            |values: &[i16]| Weights::new(filters, depth, |row, at| values[row * depth + at]);
        let groups = values.chunks_exact(filters * depth).map(group);
        Ok(Groups::Some(groups.collect()))
    }

    fn len(&self) -> usize {
        match self {
            Groups::Some(groups) => groups.len(),
            Groups::Depthwise { channels, .. } => *channels,
        }
    }
}

pub fn convolution(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let weights = weights(ctx, node, 0)?;
    let shape = weights.shape().to_vec();
    let [filters, of_group, ref window @ ..] = shape[..] else {
        bail!("weights of rank {}", shape.len());
    };
    let axes = window.len();
    node.expect((1..=2).contains(&axes), "one or two axes")?;
    let n_groups = node.get_attr_opt("group")?.unwrap_or(1);
    node.expect(
        n_groups > 0 && filters.is_multiple_of(n_groups),
        "groups of filters",
    )?;
    let along = |name: &str| -> TractResult<[usize; 2]> {
        let sizes: Vec<usize> = list(node, name)?;
        node.expect(
            sizes.is_empty() || sizes.len() == axes,
            "a number for each axis",
        )?;
        node.expect(!sizes.contains(&0), "no steps of nothing")?;
        Ok(two(&sizes))
    };
    let layer = Layer {
        channels: of_group * n_groups,
        filters,
        window: two(window),
        steps: along("strides")?,
        dilations: along("dilations")?,
        padding: padding(node, axes)?,
        axes,
        zero: Zero::of(ctx, node)?,
        groups: Groups::of(&weights, n_groups)?,
        becoming: Becoming::of(ctx, node, filters)?,
    };
    Ok((expand(QuantizedConvolution(Arc::new(layer))), vec![]))
}

/// Sizes down and across; of nothing, ones.
fn two(sizes: &[usize]) -> [usize; 2] {
    match *sizes {
        [down, across] => [down, across],
        [across] => [1, across],
        _ => [1, 1],
    }
}

fn padding(node: &NodeProto, axes: usize) -> TractResult<PaddingSpec> {
    let pads: Vec<usize> = list(node, "pads")?;
    Ok(
        match node.get_attr_opt::<&str>("auto_pad")?.unwrap_or("NOTSET") {
            "SAME_UPPER" => PaddingSpec::SameUpper,
            "SAME_LOWER" => PaddingSpec::SameLower,
            "NOTSET" if !pads.is_empty() => {
                node.expect(pads.len() == 2 * axes, "pads before and after each axis")?;
                let (before, after) = pads.split_at(axes);
                PaddingSpec::Explicit(before.into(), after.into())
            }
            _ => PaddingSpec::Valid,
        },
    )
}

impl Layer {
    /// For each axis of the image what is before it, and the size of the result.
    fn along<D: DimLike>(&self, image: &[D]) -> TVec<(D, D)> {
        let skip = 2 - self.axes;
        let padded = self.padding.compute(
            image,
            &self.window[skip..],
            &self.dilations[skip..],
            &self.steps[skip..],
        );
        padded
            .into_iter()
            .map(|it| (it.pad_before, it.convoluted))
            .collect()
    }

    fn shape<D: DimLike>(&self, image: &[D]) -> TractResult<TVec<D>> {
        ensure!(image.len() == self.axes + 2, "an image of another rank");
        let mut shape: TVec<D> = tvec!(image[0].clone(), self.filters.into());
        shape.extend(self.along(&image[2..]).into_iter().map(|(_, size)| size));
        Ok(shape)
    }

    fn run(&self, inputs: &[TValue]) -> TractResult<Tensor> {
        let (image, zero) = (&inputs[0], self.zero.value(inputs)?);
        let factors = self.becoming.factors(inputs)?;
        let shape = self.shape(image.shape())?;
        let windows = self.windows(&image.shape()[2..])?;
        let mut output = Tensor::zero_dt(self.becoming.datum_type(), &shape)?;
        let mut to = output.try_as_plain_ram_mut()?;
        let places = windows.outputs[0] * windows.outputs[1];
        let size = windows.channels * windows.image[0] * windows.image[1];
        if places == 0 || size == 0 {
            return Ok(output);
        }
        let (levels, mut image) = (bytes(image)?, Image::new(windows));
        let n_groups = self.groups.len();
        let filters = self.filters / n_groups;
        for index in 0..shape[0] * n_groups {
            image.set(levels.part(index * size, size), zero);
            let group = index % n_groups;
            let rows = group * filters..(group + 1) * filters;
            let start = index * filters * places;
            let strides = [places, 1];
            let mut output =
                self.becoming
                    .output(&mut to, start, rows.clone(), strides, &factors)?;
            match &self.groups {
                Groups::Some(groups) => {
                    product(&groups[group], Columns::Windows(&image), &mut output);
                }
                Groups::Depthwise { taps, .. } => taps.run(rows, &image, &mut output),
            }
        }
        Ok(output)
    }

    /// Those of one group.
    fn windows(&self, image: &[usize]) -> TractResult<Windows> {
        let along = self.along(image);
        let before: TVec<usize> = along.iter().map(|(before, _)| *before).collect();
        let outputs: TVec<usize> = along.iter().map(|(_, size)| *size).collect();
        let alone = |size: [usize; 2]| if self.axes == 1 { [0, size[1]] } else { size };
        Ok(Windows {
            channels: self.channels / self.groups.len(),
            image: two(image),
            before: alone(two(&before)),
            window: self.window,
            steps: self.steps,
            dilations: self.dilations,
            outputs: two(&outputs),
        })
    }
}

impl Expansion for QuantizedConvolution {
    fn name(&self) -> StaticName {
        "QuantizedConvolution".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, self.0.becoming.datum_type())?;
        solver.equals(&inputs[0].rank, self.0.axes as i64 + 2)?;
        solver.equals(&inputs[0].shape[1], self.0.channels.to_dim())?;
        solver.given(&inputs[0].shape, move |solver, shape| {
            solver.equals(&outputs[0].shape, self.0.shape(&shape)?)
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for QuantizedConvolution {
    fn name(&self) -> StaticName {
        "QuantizedConvolution".into()
    }

    op_as_typed_op!();
}

impl TypedOp for QuantizedConvolution {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = self.0.shape(&inputs[0].shape)?;
        ensure!(
            inputs[0].shape[1] == self.0.channels.to_dim(),
            "an image of other channels"
        );
        Ok(tvec!(self.0.becoming.datum_type().fact(shape)))
    }

    as_op!();
}

impl EvalOp for QuantizedConvolution {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        Ok(tvec!(self.0.run(&inputs)?.into_tvalue()))
    }
}
