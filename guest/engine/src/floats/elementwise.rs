//! Sums, products and limits of values that belong together.

use modelet_kernels::floats::elementwise::{Operator, spread};
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::binary::{
    BinMiniOp, OptBinByScalar, OptBinChain, OptBinUnicast, TypedBinOp,
};

use super::{is_float, values, written};

/// Takes values, and for each operator others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Elementwise {
    output: TypedFact,
    operators: TVec<Operator>,
}

pub fn own(
    node: &TypedNode,
    inputs: &[&TypedFact],
    output: &TypedFact,
) -> Option<Box<dyn TypedOp>> {
    let operators: TVec<Operator> = if let Some(op) = node.op_as::<TypedBinOp>() {
        tvec!(operator(&*op.0)?)
    } else if let Some(op) = node.op_as::<OptBinByScalar>() {
        tvec!(operator(&*op.binop)?)
    } else if let Some(op) = node.op_as::<OptBinUnicast>() {
        tvec!(operator(&*op.binop)?)
    } else {
        let steps = node.op_as::<OptBinChain>()?.steps.iter();
        steps
            .map(|step| operator(&*step.binop))
            .collect::<Option<_>>()?
    };
    let have_all_axes = inputs.iter().all(|fact| fact.rank() == output.rank());
    let is_known = have_all_axes && is_float(output) && inputs.len() == operators.len() + 1;
    let op = Elementwise {
        output: output.without_value(),
        operators,
    };
    is_known.then(|| op.into())
}

fn operator(op: &dyn BinMiniOp) -> Option<Operator> {
    Some(match op.name() {
        "Add" => Operator::Add,
        "Sub" => Operator::Sub,
        "Mul" => Operator::Mul,
        "Div" => Operator::Div,
        "Max" => Operator::Max,
        "Min" => Operator::Min,
        _ => return None,
    })
}

impl Op for Elementwise {
    fn name(&self) -> StaticName {
        "Elementwise".into()
    }

    op_as_typed_op!();
}

impl TypedOp for Elementwise {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.output.clone()))
    }

    as_op!();
}

impl EvalOp for Elementwise {
    not_out_of_plan!();

    fn eval(&self, context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = self
            .output
            .shape
            .eval_to_usize(context.symbols)?
            .into_owned();
        for input in &inputs {
            let mut axes = input.shape().iter().zip(&shape);
            ensure!(
                input.rank() == shape.len() && axes.all(|(own, size)| own == size || *own == 1),
                "values of shape {:?} beside others of {shape:?}",
                input.shape()
            );
        }
        let mut inputs = inputs.into_iter();
        let first = inputs.next().context("no values")?;
        let mut result = if *first.shape() == *shape {
            // In place, unless somebody else has them too.
            first.into_tensor()
        } else {
            let from = values(&first)?;
            let spread = written(&shape, |to| spread(to, &shape, from, first.shape()))?;
            spread
                .into_iter()
                .next()
                .context("no values")?
                .into_tensor()
        };
        let mut of_result = result.try_as_plain_ram_mut()?;
        let of_result = of_result.as_slice_mut::<f32>()?;
        for (operator, others) in self.operators.iter().zip(inputs) {
            operator.apply(of_result, &shape, values(&others)?, others.shape());
        }
        Ok(tvec!(result.into_tvalue()))
    }
}
