//! `SVMClassifier`: classes that win against one another by support vectors.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::coupling::{Sigmoid, couple};
use super::machine::Machine;
use crate::attributes;
use crate::ml::labels::Labels;
use crate::ml::post_transform::PostTransform;

pub fn svm_classifier(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let labels = Labels::parse(node, "classlabels_ints")?;
    node.expect(labels.len() > 1, "two classes or more")?;
    let duel = Duel::parse(node, labels.len())?;
    let (machine, decision) = match duel {
        Some(duel) => (
            Machine::parse(node, duel.n_vectors())?,
            Decision::Duels(duel),
        ),
        None => {
            let rho: Vec<f32> = node.get_attr_vec("rho")?;
            node.expect_attr("rho", !rho.is_empty(), "one value")?;
            let sums = Machine::linear(node, labels.len())?;
            let positive = node
                .get_attr_vec::<f32>("coefficients")?
                .iter()
                .all(|coefficient| *coefficient >= 0.0);
            let rho = rho[0];
            (sums, Decision::Sums { rho, positive })
        }
    };
    let classifier = SvmClassifier {
        machine,
        decision,
        labels,
        post_transform: PostTransform::parse(node)?,
    };
    Ok((expand(classifier), vec![]))
}

#[derive(Debug, Clone, PartialEq)]
struct SvmClassifier {
    machine: Machine,
    decision: Decision,
    labels: Labels,
    post_transform: PostTransform,
}

// Floats are compared only to tell equal nodes from different ones.
impl Eq for SvmClassifier {}

#[derive(Debug, Clone, PartialEq)]
enum Decision {
    Duels(Duel),
    /// The machine's vectors are the coefficients of a sum for each class.
    Sums {
        rho: f32,
        positive: bool,
    },
}

/// Every class against every other: first 0 and 1, then 0 and 2, and so on.
#[derive(Debug, Clone, PartialEq)]
struct Duel {
    /// Where each class's support vectors begin, and the end.
    starts: Vec<usize>,
    /// [classes - 1, vectors]: a vector's weight against each other class.
    coefficients: Vec<f32>,
    /// One for each pair.
    rho: Vec<f32>,
    /// Empty, or what makes a probability of each pair's score.
    sigmoids: Vec<Sigmoid>,
}

impl Duel {
    /// Nothing where there are no support vectors.
    fn parse(node: &NodeProto, n_classes: usize) -> TractResult<Option<Duel>> {
        let per_class: Vec<i64> = attributes::list(node, "vectors_per_class")?;
        let mut starts = vec![0usize];
        for &count in &per_class {
            let count = usize::try_from(count).ok();
            let end = count.and_then(|count| starts[starts.len() - 1].checked_add(count));
            match end {
                Some(end) => starts.push(end),
                None => node.bail_attr("vectors_per_class", "numbers from 0 on are wanted")?,
            }
        }
        let n_vectors = starts[starts.len() - 1];
        if n_vectors == 0 {
            return Ok(None);
        }
        node.expect_attr("vectors_per_class", per_class.len() == n_classes, || {
            format!(
                "one for each of {n_classes} classes, got {}",
                per_class.len()
            )
        })?;
        let n_pairs = n_classes * (n_classes - 1) / 2;
        let coefficients = n_vectors.checked_mul(n_classes - 1);
        Ok(Some(Duel {
            coefficients: list(node, "coefficients", coefficients.unwrap_or(usize::MAX))?,
            rho: list(node, "rho", n_pairs)?,
            sigmoids: sigmoids(node, n_pairs)?,
            starts,
        }))
    }

    fn n_vectors(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The score of each pair: above zero the first of the two wins.
    fn scores(&self, kernels: &[f32]) -> Vec<f32> {
        let n_classes = self.starts.len() - 1;
        let mut scores = Vec::with_capacity(self.rho.len());
        for first in 0..n_classes {
            for second in first + 1..n_classes {
                let sum = self.sum(kernels, first, second - 1) + self.sum(kernels, second, first);
                scores.push((sum + f64::from(self.rho[scores.len()])) as f32);
            }
        }
        scores
    }

    /// Over the vectors of `class`, weighted by `row` of the coefficients.
    fn sum(&self, kernels: &[f32], class: usize, row: usize) -> f64 {
        let vectors = self.starts[class]..self.starts[class + 1];
        let weights = &self.coefficients[row * kernels.len()..][vectors.clone()];
        let terms = kernels[vectors].iter().zip(weights);
        terms
            .map(|(kernel, weight)| f64::from(kernel * weight))
            .sum()
    }

    /// The class that wins the most pairs; the first of several.
    fn winner(&self, scores: &[f32]) -> usize {
        let n_classes = self.starts.len() - 1;
        let mut wins = vec![0usize; n_classes];
        for ((first, second), score) in pairs(n_classes).zip(scores) {
            wins[if *score > 0.0 { first } else { second }] += 1;
        }
        first_largest(&wins)
    }
}

fn pairs(n_classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n_classes).flat_map(move |first| (first + 1..n_classes).map(move |second| (first, second)))
}

fn first_largest<T: PartialOrd>(values: &[T]) -> usize {
    (1..values.len()).fold(0, |best, place| {
        if values[place] > values[best] {
            place
        } else {
            best
        }
    })
}

fn list(node: &NodeProto, name: &str, length: usize) -> TractResult<Vec<f32>> {
    let list: Vec<f32> = node.get_attr_vec(name)?;
    node.expect_attr(name, list.len() >= length, || {
        format!("{length} values, got {}", list.len())
    })?;
    Ok(list)
}

fn sigmoids(node: &NodeProto, n_pairs: usize) -> TractResult<Vec<Sigmoid>> {
    let slopes: Vec<f32> = attributes::list(node, "prob_a")?;
    if slopes.is_empty() {
        return Ok(vec![]);
    }
    let slopes = list(node, "prob_a", n_pairs)?.into_iter();
    let offsets = list(node, "prob_b", n_pairs)?;
    Ok(slopes
        .zip(offsets)
        .map(|(slope, offset)| Sigmoid { slope, offset })
        .collect())
}

impl SvmClassifier {
    /// One score for each class, or for each pair of more than two classes.
    fn n_scores(&self) -> usize {
        match &self.decision {
            Decision::Duels(duel) if duel.sigmoids.is_empty() => duel.rho.len().max(2),
            _ => self.labels.len(),
        }
    }

    /// Writes the scores of one row, and returns the position of its class.
    fn classify(&self, row: &[f32], output: &mut [f32]) -> usize {
        let kernels: Vec<f32> = self.machine.compare(row).collect();
        match &self.decision {
            Decision::Sums { rho, positive } => self.by_sums(&kernels, *rho, *positive, output),
            Decision::Duels(duel) => self.by_duels(duel, &kernels, output),
        }
    }

    fn by_duels(&self, duel: &Duel, kernels: &[f32], output: &mut [f32]) -> usize {
        let scores = duel.scores(kernels);
        if !duel.sigmoids.is_empty() {
            couple(&duel.sigmoids, &scores, output);
            self.post_transform.apply(output);
        } else if let [score] = scores[..] {
            // Scores as they are lie on both sides of a boundary; transformed, they add up to one.
            let probability = self.post_transform != PostTransform::None;
            output.copy_from_slice(&self.post_transform.apply_binary(score, probability));
        } else {
            output.copy_from_slice(&scores);
            self.post_transform.apply(output);
        }
        duel.winner(&scores)
    }

    /// As ONNX Runtime has it: of two classes, a positive sum means the second, whichever has it.
    fn by_sums(&self, sums: &[f32], rho: f32, positive: bool, output: &mut [f32]) -> usize {
        for (output, sum) in output.iter_mut().zip(sums) {
            *output = sum + rho;
        }
        let best = first_largest(output);
        let boundary = if positive { 0.5 } else { 0.0 };
        let second = output.len() == 2
            && (output[best] > boundary || (positive && output[best] == boundary));
        self.post_transform.apply(output);
        if second { 1 } else { best }
    }
}

impl Op for SvmClassifier {
    fn name(&self) -> StaticName {
        "SVMClassifier".into()
    }

    op_as_typed_op!();
}

impl EvalOp for SvmClassifier {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let values = input.cast_to::<f32>()?;
        let values = values.try_as_plain_ram()?.as_slice::<f32>()?;
        let rows = self.machine.rows(input.shape(), values)?;
        let n_scores = self.n_scores();
        let mut output = crate::ml::zeros::<f32>(rows.len(), n_scores)?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let scores = plain.as_slice_mut::<f32>()?.chunks_exact_mut(n_scores);
        let classify = |(row, scores): (&&[f32], &mut [f32])| self.classify(row, scores);
        let winners: Vec<usize> = rows.iter().zip(scores).map(classify).collect();
        Ok(tvec!(
            self.labels.at(&winners)?.into_tvalue(),
            output.into_tvalue()
        ))
    }
}

impl TypedOp for SvmClassifier {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let n_rows = crate::ml::n_rows(&inputs[0].shape);
        Ok(tvec!(
            self.labels.datum_type().fact([n_rows.clone()]),
            f32::fact([n_rows, self.n_scores().to_dim()]),
        ))
    }

    as_op!();
}

impl Expansion for SvmClassifier {
    fn name(&self) -> StaticName {
        "SVMClassifier".into()
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
        crate::ml::classifier_rules(solver, &self.labels, self.n_scores(), inputs, outputs)
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
