//! What a layer's file says about its input and what becomes of its sums.

use std::ops::Range;

use modelet_kernels::integer::{Bytes, Levels, Output, Steps, To};
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{NodeProto, TensorProto};
use tract_onnx::tract_hir::internal::*;

/// The tensor among a node's attributes.
pub fn tensor(ctx: &ParsingContext, node: &NodeProto, name: &str) -> TractResult<Option<Tensor>> {
    let proto = node.get_attr_opt::<&TensorProto>(name)?;
    proto.map(|proto| ctx.load_tensor(proto)).transpose()
}

/// Its numbers as those of another type.
pub fn numbers<T: Datum + Copy>(
    ctx: &ParsingContext,
    node: &NodeProto,
    name: &str,
) -> TractResult<Option<Vec<T>>> {
    let Some(tensor) = tensor(ctx, node, name)? else {
        return Ok(None);
    };
    let tensor = tensor.cast_to::<T>()?;
    Ok(Some(tensor.try_as_plain_ram()?.as_slice::<T>()?.to_vec()))
}

/// The number that stands for all, or nothing.
pub fn number<T: Datum + Copy>(
    ctx: &ParsingContext,
    node: &NodeProto,
    name: &str,
) -> TractResult<Option<T>> {
    Ok(match numbers(ctx, node, name)?.as_deref() {
        Some([number]) => Some(*number),
        Some(numbers) => bail!("{name} is one number, got {}", numbers.len()),
        None => None,
    })
}

/// One number for each row, where the file may have one for all.
pub fn of_rows<T: Copy>(name: &str, numbers: Vec<T>, rows: usize) -> TractResult<Vec<T>> {
    match numbers[..] {
        [of_all] => Ok(vec![of_all; rows]),
        _ if numbers.len() == rows => Ok(numbers),
        _ => bail!("{name} has {} numbers for {rows} rows", numbers.len()),
    }
}

/// The levels of a tensor.
pub fn bytes(tensor: &Tensor) -> TractResult<Bytes<'_>> {
    let levels = tensor.try_as_plain_ram()?;
    Ok(match tensor.datum_type() {
        DatumType::U8 => Bytes::Unsigned(levels.as_slice()?),
        DatumType::I8 => Bytes::Signed(levels.as_slice()?),
        other => bail!("levels of {other:?}"),
    })
}

/// The zero point of a layer's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    Constant(i16),
    /// The second input.
    Given,
}

impl Zero {
    pub fn of(ctx: &ParsingContext, node: &NodeProto) -> TractResult<Zero> {
        if node.input.len() > 1 {
            return Ok(Zero::Given);
        }
        let zero = number::<i16>(ctx, node, "x_zero_point")?;
        Ok(Zero::Constant(zero.unwrap_or(0)))
    }

    pub fn value(self, inputs: &[TValue]) -> TractResult<i16> {
        match self {
            Zero::Constant(zero) => Ok(zero),
            Zero::Given => {
                let zero = inputs.get(1).context("a zero point")?.cast_to::<i16>()?;
                Ok(*zero
                    .try_as_plain_ram()?
                    .as_slice::<i16>()?
                    .first()
                    .context("a zero point")?)
            }
        }
    }
}

/// Weights less their zero points, those of a row after those of the other; `axis` is that of the rows.
pub fn weights(ctx: &ParsingContext, node: &NodeProto, axis: usize) -> TractResult<Tensor> {
    let weights = tensor(ctx, node, "w")?.context("weights")?;
    let rows = *weights
        .shape()
        .get(axis)
        .context("weights of another rank")?;
    let weights = weights.cast_to::<i16>()?.into_owned();
    let mut weights = weights.move_axis(axis, 0)?;
    let zeros = numbers::<i16>(ctx, node, "w_zero_point")?;
    let zeros = of_rows("w_zero_point", zeros.unwrap_or_else(|| vec![0]), rows)?;
    let mut plain = weights.try_as_plain_ram_mut()?;
    let values = plain.as_slice_mut::<i16>()?;
    ensure!(!values.is_empty(), "weights of nothing");
    let depth = values.len() / rows;
    for (row, zero) in values.chunks_exact_mut(depth).zip(zeros) {
        row.iter_mut().for_each(|weight| *weight -= zero);
    }
    Ok(weights)
}

#[derive(Debug, Clone, PartialEq)]
pub enum Becoming {
    /// Sums of 32 bits.
    Sums,
    /// Sums times these scales, a row's each, and times the third input.
    Values(Vec<f32>),
    Levels {
        bias: Vec<f32>,
        multipliers: Vec<f32>,
        result: ResultLevels,
    },
}

impl Eq for Becoming {}

/// The levels of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultLevels {
    pub scale: f32,
    pub steps: Steps,
    pub datum_type: DatumType,
}

impl ResultLevels {
    /// `None`: the node says nothing of one.
    pub fn of(ctx: &ParsingContext, node: &NodeProto) -> TractResult<Option<ResultLevels>> {
        let Some(scale) = number::<f32>(ctx, node, "y_scale")? else {
            return Ok(None);
        };
        let zero = tensor(ctx, node, "y_zero_point")?;
        let datum_type = zero.map_or(DatumType::U8, |zero| zero.datum_type());
        let zero = number::<i32>(ctx, node, "y_zero_point")?.unwrap_or(0);
        let [least, most] = match datum_type {
            DatumType::U8 => [0, 255],
            DatumType::I8 => [-128, 127],
            other => bail!("levels of {other:?}"),
        };
        let level = |limit: f32| {
            let level = (limit / scale).clamp(-1024.0, 1024.0).round_ties_even() as i32;
            (level + zero).clamp(least, most)
        };
        let lower = number::<f32>(ctx, node, "least")?.map_or(least, level);
        let upper = number::<f32>(ctx, node, "most")?.map_or(most, level);
        Ok(Some(ResultLevels {
            scale,
            steps: Steps {
                zero,
                limits: [lower, upper],
            },
            datum_type,
        }))
    }
}

impl Becoming {
    pub fn of(ctx: &ParsingContext, node: &NodeProto, rows: usize) -> TractResult<Becoming> {
        let Some(result) = ResultLevels::of(ctx, node)? else {
            return match numbers::<f32>(ctx, node, "w_scale")? {
                Some(scales) => Ok(Becoming::Values(of_rows("w_scale", scales, rows)?)),
                None => Ok(Becoming::Sums),
            };
        };
        let input = number::<f32>(ctx, node, "x_scale")?.context("x_scale")?;
        let weights = numbers::<f32>(ctx, node, "w_scale")?.context("w_scale")?;
        let scales: Vec<f32> = of_rows("w_scale", weights, rows)?
            .into_iter()
            .map(|scale| scale * input)
            .collect();
        ensure!(
            scales
                .iter()
                .all(|scale| (scale / result.scale).is_finite()),
            "scales that are no numbers"
        );
        Ok(Becoming::Levels {
            bias: bias(ctx, node, &scales)?,
            multipliers: scales.iter().map(|scale| scale / result.scale).collect(),
            result,
        })
    }

    pub fn datum_type(&self) -> DatumType {
        match self {
            Becoming::Sums => DatumType::I32,
            Becoming::Values(_) => DatumType::F32,
            Becoming::Levels { result, .. } => result.datum_type,
        }
    }

    /// What sums are multiplied by if they become values.
    pub fn factors(&self, inputs: &[TValue]) -> TractResult<Vec<f32>> {
        let Becoming::Values(scales) = self else {
            return Ok(vec![]);
        };
        let scale = inputs.get(2).context("a scale")?.cast_to::<f32>()?;
        let scale = *scale
            .try_as_plain_ram()?
            .as_slice::<f32>()?
            .first()
            .context("a scale")?;
        Ok(scales.iter().map(|of_row| of_row * scale).collect())
    }

    /// Where to put what becomes of some rows: `start` is the place of the first one's first value, `factors` are
    /// those of all.
    pub fn output<'a>(
        &'a self,
        to: &'a mut PlainViewMut<'_>,
        start: usize,
        rows: Range<usize>,
        strides: [usize; 2],
        factors: &'a [f32],
    ) -> TractResult<Output<'a>> {
        let to = match self {
            Becoming::Values(_) => {
                To::Values(&mut to.as_slice_mut::<f32>()?[start..], &factors[rows])
            }
            Becoming::Sums => To::Sums(&mut to.as_slice_mut::<i32>()?[start..]),
            Becoming::Levels {
                bias,
                multipliers,
                result,
            } => {
                let levels = Levels::new(&bias[rows.clone()], &multipliers[rows], &result.steps);
                To::Levels(&mut to.as_bytes_mut()[start..], levels)
            }
        };
        Ok(Output { to, strides })
    }
}

/// In steps of a sum, whole ones. One of `f32`, or of levels with a scale that is not the sums', is rounded.
fn bias(ctx: &ParsingContext, node: &NodeProto, scales: &[f32]) -> TractResult<Vec<f32>> {
    let Some(bias) = tensor(ctx, node, "bias")? else {
        return Ok(vec![0.0; scales.len()]);
    };
    let numbers_of = |name: &str, default: f64| -> TractResult<Vec<f64>> {
        let numbers = numbers::<f64>(ctx, node, name)?.unwrap_or_else(|| vec![default]);
        of_rows(name, numbers, scales.len())
    };
    let values = numbers_of("bias", 0.0)?;
    let is_in_steps = bias.datum_type() == DatumType::I32;
    if is_in_steps && tensor(ctx, node, "bias_scale")?.is_none() {
        return Ok(values.into_iter().map(|steps| steps as f32).collect());
    }
    let (zeros, factors) = (
        numbers_of("bias_zero_point", 0.0)?,
        numbers_of("bias_scale", 1.0)?,
    );
    let steps = values.iter().zip(zeros).zip(factors).zip(scales);
    let steps = steps.map(|(((value, zero), factor), scale)| {
        ((value - zero) * factor / f64::from(*scale)).round_ties_even() as f32
    });
    Ok(steps.collect())
}
