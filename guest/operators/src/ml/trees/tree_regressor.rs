//! `TreeEnsembleRegressor`: the votes of many decision trees, aggregated.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::forest::{Forest, Number, Vote};
use super::lists;
use crate::ml::post_transform::PostTransform;

pub fn tree_regressor(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let regressor = match lists::is_double(node) {
        true => parse::<f64>(ctx, node)?,
        false => parse::<f32>(ctx, node)?,
    };
    Ok((regressor, vec![]))
}

fn parse<W: Number>(ctx: &ParsingContext, node: &NodeProto) -> TractResult<Box<dyn InferenceOp>> {
    let n_targets = n_targets(node)?;
    let base: Vec<W> = lists::numbers(ctx, node, "base_values")?;
    node.expect_attr(
        "base_values",
        base.is_empty() || base.len() == n_targets,
        || format!("none or {n_targets} of them, got {}", base.len()),
    )?;
    Ok(expand(TreeRegressor {
        forest: Arc::new(lists::forest(ctx, node, "target", n_targets)?),
        aggregate: Aggregate::parse(node)?,
        base,
        post_transform: PostTransform::parse(node)?,
        output: f32::datum_type(),
    }))
}

/// With a limit on what a malformed file can make every row allocate.
pub fn n_targets(node: &NodeProto) -> TractResult<usize> {
    let n_targets: usize = node.get_attr("n_targets")?;
    node.expect_attr(
        "n_targets",
        (1..=1 << 20).contains(&n_targets),
        "1 to 1048576 targets",
    )?;
    Ok(n_targets)
}

#[derive(Debug, Clone, PartialEq)]
pub struct TreeRegressor<W> {
    pub forest: Arc<Forest<W>>,
    pub aggregate: Aggregate,
    /// Empty, or one for each target.
    pub base: Vec<W>,
    /// Computed in single precision.
    pub post_transform: PostTransform,
    /// FP32 or the type of `W`.
    pub output: DatumType,
}

// Weights are compared only to tell equal nodes from different ones.
impl<W: Number> Eq for TreeRegressor<W> {}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

impl Aggregate {
    fn parse(node: &NodeProto) -> TractResult<Aggregate> {
        Ok(match node.get_attr_opt::<&str>("aggregate_function")? {
            None | Some("SUM") => Aggregate::Sum,
            Some("AVERAGE") => Aggregate::Average,
            Some("MIN") => Aggregate::Min,
            Some("MAX") => Aggregate::Max,
            Some(unknown) => node.bail_attr(
                "aggregate_function",
                &format!("`{unknown}` is none of SUM, AVERAGE, MIN or MAX"),
            )?,
        })
    }

    /// What a score is before the first vote.
    fn start<W: Number>(self) -> W {
        match self {
            Aggregate::Sum | Aggregate::Average => W::zero(),
            Aggregate::Min => W::infinity(),
            Aggregate::Max => W::neg_infinity(),
        }
    }

    fn count<W: Number>(self, scores: &mut [W], votes: &[Vote<W>]) {
        for vote in votes {
            let score = &mut scores[vote.target as usize];
            *score = match self {
                Aggregate::Sum | Aggregate::Average => *score + vote.weight,
                Aggregate::Min => score.min(vote.weight),
                Aggregate::Max => score.max(vote.weight),
            };
        }
    }

    fn finish<W: Number>(self, score: W, n_trees: usize) -> W {
        match self {
            Aggregate::Average => score / <W as From<f32>>::from(n_trees as f32),
            // No tree voted for this target.
            Aggregate::Min | Aggregate::Max if score == self.start() => W::zero(),
            _ => score,
        }
    }
}

impl<W: Number> TreeRegressor<W> {
    fn score<X: Number>(&self, row: &[X], scores: &mut [W])
    where
        W: Into<X>,
    {
        scores.fill(self.aggregate.start());
        for votes in self.forest.votes_for(row) {
            self.aggregate.count(scores, votes);
        }
        for (target, score) in scores.iter_mut().enumerate() {
            let base = self.base.get(target).copied().unwrap_or(W::zero());
            *score = self.aggregate.finish(*score, self.forest.n_trees()) + base;
        }
    }

    /// ONNX Runtime leaves a single target as it is, except for PROBIT; exporters count on it.
    fn transforms(&self) -> bool {
        let single = self.forest.n_targets == 1;
        match self.post_transform {
            PostTransform::None => false,
            PostTransform::Probit => true,
            _ => !single,
        }
    }

    fn eval_rows<X: Number>(&self, input: &Tensor) -> TractResult<Tensor>
    where
        W: Into<X>,
    {
        let n_targets = self.forest.n_targets;
        let (n_rows, n_columns) =
            crate::ml::rows_and_columns(input.shape(), self.forest.n_features)?;
        let values = input.try_as_plain_ram()?.as_slice::<X>()?;
        let mut table = crate::ml::zeros::<W>(n_rows, n_targets)?;
        let mut plain = table.try_as_plain_ram_mut()?;
        let scores = plain.as_slice_mut::<W>()?;
        for (row, scores) in scores.chunks_exact_mut(n_targets).enumerate() {
            self.score(&values[row * n_columns..][..n_columns], scores);
        }
        if !self.transforms() {
            return Ok(table.cast_to_dt(self.output)?.into_owned());
        }
        let mut singles = table.cast_to::<f32>()?.into_owned();
        let mut plain = singles.try_as_plain_ram_mut()?;
        for scores in plain.as_slice_mut::<f32>()?.chunks_exact_mut(n_targets) {
            self.post_transform.apply(scores);
        }
        Ok(singles.cast_to_dt(self.output)?.into_owned())
    }
}

impl<W: Number> Op for TreeRegressor<W> {
    fn name(&self) -> StaticName {
        "TreeEnsembleRegressor".into()
    }

    op_as_typed_op!();
}

impl<W: Number> EvalOp for TreeRegressor<W> {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let output = match input.datum_type() {
            DatumType::F64 => self.eval_rows::<f64>(&input)?,
            _ => self.eval_rows::<W>(&*input.cast_to::<W>()?)?,
        };
        Ok(tvec!(output.into_tvalue()))
    }
}

impl<W: Number> TypedOp for TreeRegressor<W> {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let n_rows = crate::ml::n_rows(&inputs[0].shape);
        Ok(tvec!(
            self.output.fact([n_rows, self.forest.n_targets.to_dim()])
        ))
    }

    as_op!();
}

impl<W: Number> Expansion for TreeRegressor<W> {
    fn name(&self) -> StaticName {
        "TreeEnsembleRegressor".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        solver.equals(&outputs[0].datum_type, self.output)?;
        solver.equals(&outputs[0].rank, 2)?;
        solver.equals(&outputs[0].shape[1], self.forest.n_targets.to_dim())?;
        crate::ml::same_rows(solver, &inputs[0], &outputs[0])
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, float_trees, floats, int, refusal, string};

    const ROWS: [[f32; 1]; 3] = [[0.0], [1.0], [f32::NAN]];

    fn regressor(weights: &[f32], attributes: Vec<tract_onnx::pb::AttributeProto>) -> NodeProto {
        let mut all = float_trees("target", &[0, 0, 0, 0], weights);
        all.push(int("n_targets", 1));
        all.extend(attributes);
        crate::cases::node("TreeEnsembleRegressor", 1, all)
    }

    #[test]
    fn aggregates() {
        for (function, expected) in [
            ("SUM", [14f32, 16.0, 16.0]),
            ("AVERAGE", [12.0, 13.0, 13.0]),
            ("MIN", [11.0, 12.0, 12.0]),
            ("MAX", [13.0, 14.0, 14.0]),
        ] {
            let attributes = vec![
                string("aggregate_function", function),
                floats("base_values", &[10.0]),
            ];
            let expected = tensor2(&expected.map(|value| [value]));
            check(
                regressor(&[1.0, 2.0, 3.0, 4.0], attributes),
                tensor2(&ROWS),
                &[expected],
            );
        }
    }

    #[test]
    fn transforms_a_single_score_only_by_probit() {
        for (transform, expected) in [
            ("LOGISTIC", [0.4f32, 0.6, 0.6]),
            ("PROBIT", [-0.2533535, 0.2533535, 0.2533535]),
        ] {
            let attributes = vec![string("post_transform", transform)];
            let expected = tensor2(&expected.map(|value| [value]));
            check(
                regressor(&[0.1, 0.2, 0.3, 0.4], attributes),
                tensor2(&ROWS),
                &[expected],
            );
        }
    }

    #[test]
    fn transforms_two_scores() {
        let mut attributes = float_trees("target", &[0, 1, 1, 0], &[1.0, 2.0, 3.0, 4.0]);
        attributes.extend([
            int("n_targets", 2),
            string("post_transform", "SOFTMAX"),
            floats("base_values", &[0.5, 0.25]),
        ]);
        let node = crate::cases::node("TreeEnsembleRegressor", 1, attributes);
        let expected = [
            [0.1480472f32, 0.85195273],
            [0.9046505, 0.09534946],
            [0.9046505, 0.09534946],
        ];
        check(node, tensor2(&ROWS), &[tensor2(&expected)]);
    }

    #[test]
    fn refuses_what_it_cannot_compute() {
        let weights = [1.0, 2.0, 3.0, 4.0];
        let refusal = |attribute| refusal(regressor(&weights, vec![attribute]));
        assert!(refusal(string("aggregate_function", "MEDIAN")).contains("MEDIAN"));
        assert!(refusal(string("post_transform", "TANH")).contains("TANH"));
        assert!(refusal(floats("base_values", &[1.0, 2.0])).contains("base_values"));
    }
}
