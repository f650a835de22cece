//! A product of matrices and what follows it, by the kernels' own loop over tiles.

use modelet_kernels::{Kernel, Matrix, Sizes, Windows};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::matmul::optimized::{
    MapOutputAxisToInput, ProtoFusedSpec,
};
use tract_onnx::tract_hir::tract_core::tract_linalg::BinOp;
use tract_onnx::tract_hir::tract_core::tract_linalg::mmm::{
    FusedKerSpec, MMMInputValue, OutputStoreKer, OutputStoreSpec, PackedMatrixStorage,
};

/// Of a value, in bytes.
const SIZE: isize = size_of::<f32>() as isize;

/// As many products as the output has indices beside its rows and columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub output: TypedFact,
    /// The axes of the output along which rows and columns are counted, where there is more than one.
    pub row_axis: Option<usize>,
    pub col_axis: Option<usize>,
    pub kernel: Kernel,
    /// The one for a single column, if another.
    pub vector_kernel: Option<Kernel>,
    pub left: Operand,
    pub right: Operand,
    /// The last is to store the result.
    pub following: Vec<ProtoFusedSpec>,
}

/// One of the two matrices. Where there are many, `axes` says along which axis of the input they are counted
/// by which axis of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    Constant(Box<dyn MMMInputValue>),
    Packed {
        input: usize,
        axes: MapOutputAxisToInput,
    },
    Tensor {
        input: usize,
        /// Along which rows of the left matrix, or columns of the right one, are counted.
        line_axis: usize,
        depth_axis: usize,
        axes: MapOutputAxisToInput,
    },
    /// Of a single image, with borders of zeros.
    Windows {
        input: usize,
        windows: Windows,
    },
}

impl Op for Product {
    fn name(&self) -> StaticName {
        "Product".into()
    }

    op_as_typed_op!();
}

impl TypedOp for Product {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.output.clone()))
    }

    as_op!();
}

impl EvalOp for Product {
    not_out_of_plan!();

    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = self.output.shape.eval_to_usize(context.symbols)?;
        // SAFETY: each value is written, by the tile it is in.
        let mut output = unsafe { Tensor::uninitialized::<f32>(&shape)? };
        let size = |axis: Option<usize>| axis.map_or(1, |axis| shape[axis]);
        let (rows, cols) = (size(self.row_axis), size(self.col_axis));
        let mut counted: TVec<usize> = shape.iter().copied().collect();
        for axis in [self.row_axis, self.col_axis].into_iter().flatten() {
            counted[axis] = 1;
        }
        let mut following = Vec::with_capacity(self.following.len());
        for at in indices(&counted) {
            let (left, left_depth) = self.left.matrix(&inputs, &at, rows)?;
            let (right, depth) = self.right.matrix(&inputs, &at, cols)?;
            ensure!(
                left_depth == depth,
                "matrices of depths {left_depth} and {depth}"
            );
            following.clear();
            for operation in &self.following {
                following.push(resolve(operation, &inputs, &at, [rows, cols], &mut output)?);
            }
            let kernel = self
                .vector_kernel
                .filter(|_| cols == 1)
                .unwrap_or(self.kernel);
            let sizes = Sizes { rows, cols, depth };
            // SAFETY: the matrices are as large as was found, and the operations' as was checked.
            unsafe { modelet_kernels::product(kernel, sizes, left, right, &following)? };
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

/// All indices below `shape`.
fn indices(shape: &[usize]) -> impl Iterator<Item = TVec<usize>> {
    let count = shape.iter().product();
    (0..count).map(|mut number: usize| {
        let mut index: TVec<usize> = shape.iter().copied().collect();
        for digit in index.iter_mut().rev() {
            let base = *digit;
            *digit = number % base;
            number /= base;
        }
        index
    })
}

impl Operand {
    /// The matrix for one index of the output, and how deep it is.
    fn matrix<'a>(
        &'a self,
        inputs: &'a [TValue],
        at: &[usize],
        lines: usize,
    ) -> TractResult<(Matrix<'a>, usize)> {
        let value = match self {
            Operand::Constant(value) => &**value,
            Operand::Packed { input, axes } => {
                let storage = inputs[*input].try_storage_as::<PackedMatrixStorage>()?;
                storage.value_at_flat(axes.flat_index(at, storage.batch_strides()))
            }
            Operand::Tensor {
                input,
                line_axis,
                depth_axis,
                axes,
            } => {
                let tensor = &inputs[*input];
                ensure!(
                    tensor.shape()[*line_axis] == lines,
                    "a matrix of {} lines instead of {lines}",
                    tensor.shape()[*line_axis]
                );
                let strides = tensor.strides();
                let matrix = Matrix::Strided {
                    first: first_of(tensor, axes, at)?,
                    stride: strides[*line_axis],
                    depth_stride: strides[*depth_axis],
                };
                return Ok((matrix, tensor.shape()[*depth_axis]));
            }
            Operand::Windows { input, windows } => {
                let image = inputs[*input].try_as_plain_ram()?.as_slice::<f32>()?;
                let values = windows.channels * windows.image[0] * windows.image[1];
                ensure!(
                    image.len() == values && windows.count() == lines,
                    "an image or output of another size"
                );
                let first = image.as_ptr();
                return Ok((Matrix::Windows { first, windows }, windows.depth()));
            }
        };
        ensure!(
            value.mn() == lines,
            "a matrix of {} lines instead of {lines}",
            value.mn()
        );
        Ok((Matrix::Value(value), value.k()))
    }
}

/// The address of the first value that belongs to one index of the output.
fn first_of(tensor: &Tensor, axes: &MapOutputAxisToInput, at: &[usize]) -> TractResult<*const f32> {
    let values = tensor.try_as_plain_ram()?.as_slice::<f32>()?;
    let offset = axes.flat_index(at, tensor.strides());
    Ok(values.get(offset..).unwrap_or_default().as_ptr())
}

/// The operation with its operands' addresses for one index of the output.
pub fn resolve(
    operation: &ProtoFusedSpec,
    inputs: &[TValue],
    at: &[usize],
    lines: [usize; 2],
    output: &mut Tensor,
) -> TractResult<FusedKerSpec<f32>> {
    let scalar = |input: &usize| -> TractResult<f32> {
        Ok(*inputs[*input].try_as_plain_ram()?.to_scalar::<f32>()?)
    };
    let line = |input: &usize, axes: &MapOutputAxisToInput, count: usize| {
        let tensor = &inputs[*input];
        let offset = axes.flat_index(at, tensor.strides());
        ensure!(offset + count <= tensor.len(), "fewer values than lines");
        first_of(tensor, axes, at)
    };
    Ok(match operation {
        ProtoFusedSpec::BinScalar(input, operator) => by_scalar(*operator, scalar(input)?),
        ProtoFusedSpec::LeakyRelu(input) => FusedKerSpec::LeakyRelu(scalar(input)?),
        ProtoFusedSpec::BinPerRow(input, operator, axes) => {
            by_row(*operator, line(input, axes, lines[0])?)
        }
        ProtoFusedSpec::BinPerCol(input, operator, axes) => {
            by_col(*operator, line(input, axes, lines[1])?)
        }
        ProtoFusedSpec::AddUnicast(spec, input, axes) => {
            let tensor = &inputs[*input];
            let first = first_of(tensor, axes, at)?.cast_mut();
            let from = place(spec, first, tensor.strides());
            let last: isize = [from.row_byte_stride, from.col_byte_stride]
                .iter()
                .zip(lines)
                .map(|(stride, lines)| (lines as isize - 1) * stride)
                .sum();
            let offset = axes.flat_index(at, tensor.strides()) as isize;
            let is_inside = SIZE * offset + last < SIZE * tensor.len() as isize;
            ensure!(is_inside, "fewer values than the product has");
            FusedKerSpec::AddUnicast(from)
        }
        ProtoFusedSpec::Store(specs) => store(specs, at, output)?,
        other => bail!("{other:?} is no operation on a tile"),
    })
}

fn store(
    specs: &[OutputStoreSpec],
    at: &[usize],
    output: &mut Tensor,
) -> TractResult<FusedKerSpec<f32>> {
    let strides: TVec<isize> = output.strides().iter().copied().collect();
    let indices = at.iter().zip(&strides);
    let offset: isize = indices
        .map(|(index, stride)| *index as isize * stride)
        .sum();
    let spec = specs.first().context("nowhere to store")?;
    let mut values = output.try_as_plain_ram_mut()?;
    let first = values.as_slice_mut::<f32>()?.as_mut_ptr();
    let first = first.wrapping_offset(offset);
    Ok(FusedKerSpec::Store(place(spec, first, &strides)))
}

fn by_scalar(operator: BinOp, value: f32) -> FusedKerSpec<f32> {
    match operator {
        BinOp::Min => FusedKerSpec::ScalarMin(value),
        BinOp::Max => FusedKerSpec::ScalarMax(value),
        BinOp::Add => FusedKerSpec::ScalarAdd(value),
        BinOp::Mul => FusedKerSpec::ScalarMul(value),
        BinOp::Sub => FusedKerSpec::ScalarSub(value),
        BinOp::SubF => FusedKerSpec::ScalarSubF(value),
    }
}

fn by_row(operator: BinOp, values: *const f32) -> FusedKerSpec<f32> {
    match operator {
        BinOp::Min => FusedKerSpec::PerRowMin(values),
        BinOp::Max => FusedKerSpec::PerRowMax(values),
        BinOp::Add => FusedKerSpec::PerRowAdd(values),
        BinOp::Mul => FusedKerSpec::PerRowMul(values),
        BinOp::Sub => FusedKerSpec::PerRowSub(values),
        BinOp::SubF => FusedKerSpec::PerRowSubF(values),
    }
}

fn by_col(operator: BinOp, values: *const f32) -> FusedKerSpec<f32> {
    match operator {
        BinOp::Min => FusedKerSpec::PerColMin(values),
        BinOp::Max => FusedKerSpec::PerColMax(values),
        BinOp::Add => FusedKerSpec::PerColAdd(values),
        BinOp::Mul => FusedKerSpec::PerColMul(values),
        BinOp::Sub => FusedKerSpec::PerColSub(values),
        BinOp::SubF => FusedKerSpec::PerColSubF(values),
    }
}

fn place(spec: &OutputStoreSpec, first: *mut f32, strides: &[isize]) -> OutputStoreKer {
    let stride = |axis: Option<usize>| axis.map_or(0, |axis| SIZE * strides[axis]);
    let (row_byte_stride, col_byte_stride) = match *spec {
        OutputStoreSpec::View { m_axis, n_axis, .. } => (stride(m_axis), stride(n_axis)),
        OutputStoreSpec::Strides {
            row_byte_stride,
            col_byte_stride,
            ..
        } => (row_byte_stride, col_byte_stride),
    };
    OutputStoreKer {
        ptr: first.cast(),
        row_byte_stride,
        col_byte_stride,
        item_size: size_of::<f32>(),
    }
}
