//! `TreeEnsembleClassifier`: the class that many decision trees vote for.
//!
//! Follows ONNX Runtime, except for two classes that both get votes: there the winner is the class
//! with the higher score, as for more classes, where ONNX Runtime answers a label the file may not have.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::forest::{Forest, Number};
use super::lists;
use crate::ml::labels::Labels;
use crate::ml::post_transform::PostTransform;

pub fn tree_classifier(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let classifier = match lists::is_double(node) {
        true => parse::<f64>(ctx, node)?,
        false => parse::<f32>(ctx, node)?,
    };
    Ok((classifier, vec![]))
}

fn parse<W: Number>(ctx: &ParsingContext, node: &NodeProto) -> TractResult<Box<dyn InferenceOp>> {
    let labels = Labels::parse(node, "classlabels_int64s")?;
    let n_classes = labels.len();
    let forest: Forest<W> = lists::forest(ctx, node, "class", n_classes)?;
    let base: Vec<W> = lists::numbers(ctx, node, "base_values")?;
    let fits = base.is_empty() || base.len() == n_classes || (base.len() == 1 && n_classes == 2);
    node.expect_attr("base_values", fits, || {
        format!(
            "none or one for each of {n_classes} classes, got {}",
            base.len()
        )
    })?;
    Ok(expand(TreeClassifier {
        binary: Binary::of(&forest, &base),
        forest: Arc::new(forest),
        labels,
        base,
        post_transform: PostTransform::parse(node)?,
    }))
}

#[derive(Debug, Clone, PartialEq)]
struct TreeClassifier<W> {
    forest: Arc<Forest<W>>,
    labels: Labels,
    /// Empty, one for each class, or a single one for two classes.
    base: Vec<W>,
    binary: Option<Binary<W>>,
    post_transform: PostTransform,
}

// Weights are compared only to tell equal nodes from different ones.
impl<W: Number> Eq for TreeClassifier<W> {}

/// Two classes of which only one gets votes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Binary<W> {
    /// The class with the votes. They count for the second class in either case.
    voted: usize,
    base: W,
    /// The votes are parts of a probability, not distances from a boundary.
    probability: bool,
}

impl<W: Number> Binary<W> {
    fn of(forest: &Forest<W>, base: &[W]) -> Option<Binary<W>> {
        let voted = forest.votes().first()?.target;
        let only = forest.votes().iter().all(|vote| vote.target == voted);
        let voted = voted as usize;
        (only && forest.n_targets == 2).then(|| Binary {
            voted,
            base: base
                .get(voted)
                .or(base.first())
                .copied()
                .unwrap_or(W::zero()),
            probability: forest.votes().iter().all(|vote| vote.weight >= W::zero()),
        })
    }
}

#[derive(Clone, Copy)]
struct Score<W> {
    value: W,
    /// A class without a vote or a base value cannot win, whatever the others lose.
    counted: bool,
}

impl<W: Number> Score<W> {
    fn none() -> Score<W> {
        Score {
            value: W::zero(),
            counted: false,
        }
    }
}

impl<W: Number> TreeClassifier<W> {
    /// Writes the scores of one row, and returns the position of its class.
    fn classify<X>(&self, row: &[X], scores: &mut [Score<W>], output: &mut [f32]) -> usize
    where
        X: Number,
        W: Into<X>,
    {
        scores.fill(Score::none());
        for votes in self.forest.votes_for(row) {
            for vote in votes {
                let score = &mut scores[vote.target as usize];
                score.value = score.value + vote.weight;
                score.counted = true;
            }
        }
        match self.binary {
            Some(binary) => self.choose_of_two(binary, scores[binary.voted].value, output),
            None => self.choose(scores, output),
        }
    }

    fn choose_of_two(&self, binary: Binary<W>, score: W, output: &mut [f32]) -> usize {
        let score = (score + binary.base).single();
        if binary.voted == 0 {
            output.copy_from_slice(&self.post_transform.apply_binary(score, binary.probability));
        } else {
            output.copy_from_slice(&[0.0, score]);
            self.post_transform.apply(output);
        }
        usize::from(score > if binary.probability { 0.5 } else { 0.0 })
    }

    fn choose(&self, scores: &mut [Score<W>], output: &mut [f32]) -> usize {
        for (score, base) in scores.iter_mut().zip(&self.base) {
            score.value = score.value + *base;
            score.counted = true;
        }
        let mut winner: Option<usize> = None;
        for (class, score) in scores.iter().enumerate().filter(|(_, score)| score.counted) {
            if winner.is_none_or(|winner| score.value > scores[winner].value) {
                winner = Some(class);
            }
        }
        for (output, score) in output.iter_mut().zip(scores) {
            *output = score.value.single();
        }
        if output.len() > 1 || self.post_transform == PostTransform::Probit {
            self.post_transform.apply(output);
        }
        winner.unwrap_or(0)
    }

    fn eval_rows<X: Number>(&self, input: &Tensor) -> TractResult<TVec<TValue>>
    where
        W: Into<X>,
    {
        let (n_rows, n_columns) =
            crate::ml::rows_and_columns(input.shape(), self.forest.n_features)?;
        let n_classes = self.labels.len();
        let values = input.try_as_plain_ram()?.as_slice::<X>()?;
        let mut output = crate::ml::zeros::<f32>(n_rows, n_classes)?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let mut scores = vec![Score::none(); n_classes];
        let winners: Vec<usize> = plain
            .as_slice_mut::<f32>()?
            .chunks_exact_mut(n_classes)
            .enumerate()
            .map(|(row, output)| {
                self.classify(&values[row * n_columns..][..n_columns], &mut scores, output)
            })
            .collect();
        Ok(tvec!(
            self.labels.at(&winners)?.into_tvalue(),
            output.into_tvalue()
        ))
    }
}

impl<W: Number> Op for TreeClassifier<W> {
    fn name(&self) -> StaticName {
        "TreeEnsembleClassifier".into()
    }

    op_as_typed_op!();
}

impl<W: Number> EvalOp for TreeClassifier<W> {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        match input.datum_type() {
            DatumType::F64 => self.eval_rows::<f64>(&input),
            _ => self.eval_rows::<W>(&*input.cast_to::<W>()?),
        }
    }
}

impl<W: Number> TypedOp for TreeClassifier<W> {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let n_rows = crate::ml::n_rows(&inputs[0].shape);
        Ok(tvec!(
            self.labels.datum_type().fact([n_rows.clone()]),
            f32::fact([n_rows, self.labels.len().to_dim()]),
        ))
    }

    as_op!();
}

impl<W: Number> Expansion for TreeClassifier<W> {
    fn name(&self) -> StaticName {
        "TreeEnsembleClassifier".into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(2)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        crate::ml::classifier_rules(solver, &self.labels, self.labels.len(), inputs, outputs)
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
    use crate::cases::{check, float_trees, ints, node, refusal, string, strings};

    const ROWS: [[f32; 1]; 3] = [[0.0], [1.0], [f32::NAN]];

    fn classifier(classes: &[i64], weights: &[f32], labels: &[i64], transform: &str) -> NodeProto {
        let mut attributes = float_trees("class", classes, weights);
        attributes.extend([
            ints("classlabels_int64s", labels),
            string("post_transform", transform),
        ]);
        node("TreeEnsembleClassifier", 2, attributes)
    }

    #[test]
    fn two_classes_by_a_probability() {
        let node = classifier(&[0; 4], &[0.1, 0.2, 0.3, 0.4], &[5, 7], "NONE");
        let scores = tensor2(&[[0.6f32, 0.4], [0.4, 0.6], [0.4, 0.6]]);
        check(node, tensor2(&ROWS), &[tensor1(&[5i64, 7, 7]), scores]);
    }

    #[test]
    fn two_classes_by_a_margin() {
        let node = classifier(&[0; 4], &[-0.1, 0.2, -0.3, 0.4], &[5, 7], "LOGISTIC");
        let scores = tensor2(&[
            [0.59868765f32, 0.40131235],
            [0.3543437, 0.6456563],
            [0.3543437, 0.6456563],
        ]);
        check(node, tensor2(&ROWS), &[tensor1(&[5i64, 7, 7]), scores]);
    }

    #[test]
    fn many_classes() {
        let node = classifier(&[0, 1, 2, 1], &[0.1, 0.2, 0.3, 0.4], &[5, 7, 9], "SOFTMAX");
        let no = [0.26163498f32, 0.47673002, 0.26163498];
        let scores = tensor2(&[[0.31987306, 0.28943312, 0.39069384], no, no]);
        check(node, tensor2(&ROWS), &[tensor1(&[9i64, 7, 7]), scores]);
    }

    /// ONNX Runtime's label would be 1 for every row here, which is none of the two.
    #[test]
    fn two_classes_with_votes_each() {
        let node = classifier(&[0, 1, 0, 1], &[0.1, 0.2, 0.3, 0.4], &[5, 7], "NONE");
        let scores = tensor2(&[[0.4f32, 0.0], [0.0, 0.6], [0.0, 0.6]]);
        check(node, tensor2(&ROWS), &[tensor1(&[5i64, 7, 7]), scores]);
    }

    #[test]
    fn texts_are_labels_too() {
        let mut attributes = float_trees("class", &[0; 4], &[0.1, 0.2, 0.3, 0.4]);
        attributes.push(strings("classlabels_strings", &["no", "yes"]));
        let labels = tensor1(&["no".to_owned(), "yes".to_owned(), "yes".to_owned()]);
        let scores = tensor2(&[[0.6f32, 0.4], [0.4, 0.6], [0.4, 0.6]]);
        check(
            node("TreeEnsembleClassifier", 2, attributes),
            tensor2(&ROWS),
            &[labels, scores],
        );
    }

    #[test]
    fn refuses_labels_that_do_not_fit() {
        let weights = [1.0; 4];
        assert!(
            refusal(classifier(&[0, 1, 2, 3], &weights, &[5, 7, 9], "NONE")).contains("class_ids")
        );
        assert!(refusal(classifier(&[0; 4], &weights, &[], "NONE")).contains("classlabels"));
    }
}
