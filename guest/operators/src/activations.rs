//! Activations of which tract ignores a parameter.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::math::{add, exp, max, min, mul, sub};
use tract_onnx::tract_hir::tract_core::ops::nn::sigmoid;

/// max(0, x) + min(0, alpha (exp(x / alpha) - 1))
pub fn celu(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let alpha: f32 = node.get_attr_opt("alpha")?.unwrap_or(1.0);
    node.expect_attr("alpha", alpha != 0.0, "a number other than zero")?;
    Ok((
        expand(Activation {
            alpha,
            kind: Kind::Celu,
        }),
        vec![],
    ))
}

/// x / (1 + exp(-alpha x))
pub fn swish(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let alpha = node.get_attr_opt("alpha")?.unwrap_or(1.0);
    Ok((
        expand(Activation {
            alpha,
            kind: Kind::Swish,
        }),
        vec![],
    ))
}

#[derive(Debug, Clone)]
struct Activation {
    alpha: f32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Celu,
    Swish,
}

impl Expansion for Activation {
    fn name(&self) -> StaticName {
        match self.kind {
            Kind::Celu => "Celu".into(),
            Kind::Swish => "Swish".into(),
        }
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        solver.equals(&outputs[0].shape, &inputs[0].shape)
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let mut graph = Graph {
            prefix,
            fact: model.outlet_fact(inputs[0])?.clone(),
            model,
        };
        match self.kind {
            Kind::Celu => graph.celu(inputs[0], self.alpha),
            Kind::Swish => graph.swish(inputs[0], self.alpha),
        }
    }
}

/// Where the nodes of one activation go.
struct Graph<'a> {
    prefix: &'a str,
    model: &'a mut TypedModel,
    /// What the constants must go with.
    fact: TypedFact,
}

impl Graph<'_> {
    fn celu(&mut self, x: OutletId, alpha: f32) -> TractResult<TVec<OutletId>> {
        let zero = self.constant("zero", 0.0)?;
        let one = self.constant("one", 1.0)?;
        let inverse = self.constant("inverse", 1.0 / alpha)?;
        let alpha = self.constant("alpha", alpha)?;
        let scaled = self.node("scaled", mul(), &[x, inverse])?;
        let power = self.node("power", exp(), &[scaled])?;
        let shifted = self.node("shifted", sub(), &[power, one])?;
        let curve = self.node("curve", mul(), &[shifted, alpha])?;
        let below = self.node("below", min(), &[curve, zero])?;
        let above = self.node("above", max(), &[x, zero])?;
        self.model.wire_node(self.prefix, add(), &[above, below])
    }

    fn swish(&mut self, x: OutletId, alpha: f32) -> TractResult<TVec<OutletId>> {
        let alpha = self.constant("alpha", alpha)?;
        let scaled = self.node("scaled", mul(), &[x, alpha])?;
        let gate = self.node("gate", sigmoid(), &[scaled])?;
        self.model.wire_node(self.prefix, mul(), &[x, gate])
    }

    fn constant(&mut self, name: &str, value: f32) -> TractResult<OutletId> {
        let value = tensor0(value)
            .cast_to_dt(self.fact.datum_type)?
            .into_owned();
        self.model.add_const(
            format!("{}.{name}", self.prefix),
            value.broadcast_into_rank(self.fact.rank())?,
        )
    }

    fn node(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        Ok(self
            .model
            .wire_node(format!("{}.{name}", self.prefix), op, inputs)?[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, float, node};

    #[test]
    fn alpha_counts() {
        let rows = || tensor2(&[[-1f32, 0.0, 2.0]]);
        let celu = tensor2(&[[-0.7869387f32, 0.0, 2.0]]);
        check(node("Celu", 1, vec![float("alpha", 2.0)]), rows(), &[celu]);
        let swish = tensor2(&[[-0.37754068f32, 0.0, 1.4621171]]);
        check(
            node("Swish", 1, vec![float("alpha", 0.5)]),
            rows(),
            &[swish],
        );
    }
}
