//! `LinearClassifier`: the class with the largest of several weighted sums.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::math::add;

use crate::attributes;
use crate::ml::labels::Labels;
use crate::ml::linear::normalizer::{Norm, Normalizer};
use crate::ml::post_transform::PostTransform;

pub fn linear_classifier(
    _ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let labels = Labels::parse(node, "classlabels_ints")?;
    let coefficients: Vec<f32> = node.get_attr_vec("coefficients")?;
    let intercepts: Vec<f32> = attributes::list(node, "intercepts")?;
    let n_sums = n_sums(intercepts.len(), labels.len());
    let binary = n_sums == 1 && labels.len() == 2;
    node.expect(binary || n_sums == labels.len(), || {
        format!(
            "a sum for each of {} classes, or one for two, got {n_sums}",
            labels.len()
        )
    })?;
    let whole = !coefficients.is_empty() && coefficients.len().is_multiple_of(n_sums);
    node.expect_attr("coefficients", whole, || {
        format!(
            "the same number for each of {n_sums} sums, got {}",
            coefficients.len()
        )
    })?;
    let coefficients = Tensor::from_shape(&[n_sums, coefficients.len() / n_sums], &coefficients)?;
    let intercepts = match intercepts.is_empty() {
        true => None,
        false => Some(Tensor::from_shape(&[1, n_sums], &intercepts)?.into_arc_tensor()),
    };
    let post_transform = PostTransform::parse(node)?;
    let choice = Choice {
        labels,
        binary,
        post_transform,
        norm: None,
    };
    let coefficients = coefficients.into_arc_tensor();
    Ok((
        expand(LinearClassifier {
            coefficients,
            intercepts,
            choice,
        }),
        vec![],
    ))
}

/// Without intercepts, two classes can have been meant with one sum or with two: the specification
/// leaves it open.
fn n_sums(n_intercepts: usize, n_classes: usize) -> usize {
    match (n_intercepts, n_classes) {
        (0, 2) => 1,
        (0, n_classes) => n_classes,
        (given, _) => given,
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LinearClassifier {
    /// [sums, features]
    coefficients: Arc<Tensor>,
    /// [1, sums]
    intercepts: Option<Arc<Tensor>>,
    choice: Choice,
}

impl Expansion for LinearClassifier {
    fn name(&self) -> StaticName {
        "LinearClassifier".into()
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
        crate::ml::classifier_rules(
            solver,
            &self.choice.labels,
            self.choice.labels.len(),
            inputs,
            outputs,
        )
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        let mut rows = inputs[0];
        if model.outlet_fact(rows)?.rank() == 1 {
            rows = model.wire_node(format!("{prefix}.row"), AxisOp::Add(0), &[rows])?[0];
        }
        if model.outlet_fact(rows)?.datum_type != f32::datum_type() {
            rows = model.wire_node(format!("{prefix}.float"), cast(f32::datum_type()), &[rows])?[0];
        }
        if self.coefficients.len() <= FEW {
            return model.wire_node(prefix, Few(self.clone()), &[rows]);
        }
        let coefficients =
            model.add_const(format!("{prefix}.coefficients"), self.coefficients.clone())?;
        let sum = EinSum::new("rf,sf->rs".parse()?, f32::datum_type());
        let mut sums = model.wire_node(format!("{prefix}.sums"), sum, &[rows, coefficients])?[0];
        if let Some(intercepts) = &self.intercepts {
            let intercepts = model.add_const(format!("{prefix}.intercepts"), intercepts.clone())?;
            sums = model.wire_node(format!("{prefix}.shifted"), add(), &[sums, intercepts])?[0];
        }
        model.wire_node(prefix, self.choice.clone(), &[sums])
    }
}

/// Up to so many coefficients, preparing for a product of matrices takes longer than one row does.
const FEW: usize = 1024;

/// A classifier with few coefficients, in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Few(LinearClassifier);

impl Few {
    /// Of `rows`, one row's after another's.
    fn sums(&self, rows: &[f32]) -> TractResult<Vec<f32>> {
        let [n_sums, n_features] = *self.0.coefficients.shape() else {
            bail!("coefficients are a table")
        };
        let coefficients = self.0.coefficients.try_as_plain_ram()?.as_slice::<f32>()?;
        let mut sums = Vec::with_capacity(rows.len() / n_features * n_sums);
        for row in rows.chunks_exact(n_features) {
            for coefficients in coefficients.chunks_exact(n_features) {
                let products = row.iter().zip(coefficients);
                sums.push(
                    products
                        .map(|(value, coefficient)| value * coefficient)
                        .sum(),
                );
            }
        }
        if let Some(intercepts) = &self.0.intercepts {
            let intercepts = intercepts.try_as_plain_ram()?.as_slice::<f32>()?;
            for sums in sums.chunks_exact_mut(n_sums) {
                let pairs = sums.iter_mut().zip(intercepts);
                pairs.for_each(|(sum, intercept)| *sum += intercept);
            }
        }
        Ok(sums)
    }
}

impl Op for Few {
    fn name(&self) -> StaticName {
        "LinearClassifier".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Few {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let rows = args_1!(inputs);
        let sums = self.sums(rows.try_as_plain_ram()?.as_slice::<f32>()?)?;
        let choice = &self.0.choice;
        choice.answer(&sums, rows.shape()[0], self.0.coefficients.shape()[0])
    }
}

impl TypedOp for Few {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let (rows, n_features) = (&inputs[0].shape, self.0.coefficients.shape()[1]);
        ensure!(
            rows.rank() == 2 && rows[1] == n_features.to_dim(),
            "{n_features} features are wanted, got the shape {rows:?}"
        );
        Ok(self.0.choice.facts(rows[0].clone()))
    }

    fn fuse(&self, model: &TypedModel, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
        self.0.choice.with_norm(model, node, |choice| {
            let classifier = self.0.clone();
            Box::new(Few(LinearClassifier {
                choice,
                ..classifier
            }))
        })
    }

    as_op!();
}

/// From sums [rows, sums] to labels [rows] and scores [rows, classes].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    labels: Labels,
    /// One sum for two classes: above zero it is the second.
    binary: bool,
    post_transform: PostTransform,
    /// What the scores are divided by in the end.
    norm: Option<Norm>,
}

impl Choice {
    /// Labels and scores of `sums`, of which each row has `n_sums`.
    fn answer(&self, sums: &[f32], n_rows: usize, n_sums: usize) -> TractResult<TVec<TValue>> {
        let mut output = crate::ml::zeros::<f32>(n_rows, self.labels.len())?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let scores = plain
            .as_slice_mut::<f32>()?
            .chunks_exact_mut(self.labels.len());
        let winners: Vec<usize> = sums
            .chunks_exact(n_sums)
            .zip(scores)
            .map(|(sums, scores)| self.choose(sums, scores))
            .collect();
        Ok(tvec!(
            self.labels.at(&winners)?.into_tvalue(),
            output.into_tvalue()
        ))
    }

    /// The choice and the normalizer in one step, where nothing else wants the scores of `node`, which
    /// makes it.
    fn with_norm(
        &self,
        model: &TypedModel,
        node: &TypedNode,
        fused: impl FnOnce(Choice) -> Box<dyn TypedOp>,
    ) -> TractResult<Option<TypedModelPatch>> {
        let scores = OutletId::new(node.id, 1);
        let [next] = *node.outputs[1].successors else {
            return Ok(None);
        };
        let next = model.node(next.node);
        rule_if_some!(normalizer = next.op_as::<Normalizer>());
        rule_if!(self.norm.is_none() && !model.output_outlets()?.contains(&scores));
        let choice = Choice {
            norm: Some(normalizer.norm),
            ..self.clone()
        };
        let mut patch = TypedModelPatch::default();
        let inputs = patch.taps(model, &node.inputs)?;
        let outputs = patch.wire_node(&node.name, fused(choice), &inputs)?;
        patch.shunt_outside(model, OutletId::new(node.id, 0), outputs[0])?;
        patch.shunt_outside(model, OutletId::new(next.id, 0), outputs[1])?;
        Ok(Some(patch))
    }

    fn facts(&self, n_rows: TDim) -> TVec<TypedFact> {
        tvec!(
            self.labels.datum_type().fact([n_rows.clone()]),
            f32::fact([n_rows, self.labels.len().to_dim()]),
        )
    }

    fn choose(&self, sums: &[f32], scores: &mut [f32]) -> usize {
        if self.binary {
            scores.copy_from_slice(&self.post_transform.apply_binary(sums[0], true));
        } else {
            scores.copy_from_slice(sums);
            self.post_transform.apply(scores);
        }
        if let Some(norm) = self.norm {
            norm.divide(scores);
        }
        if self.binary {
            return usize::from(sums[0] > 0.0);
        }
        // The first of equal sums.
        (1..sums.len()).fold(0, |best, class| {
            if sums[class] > sums[best] {
                class
            } else {
                best
            }
        })
    }
}

impl Op for Choice {
    fn name(&self) -> StaticName {
        "LinearClassifier".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Choice {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let sums = args_1!(inputs);
        let [n_rows, n_sums] = *sums.shape() else {
            bail!("sums have the shape {:?}", sums.shape())
        };
        self.answer(sums.try_as_plain_ram()?.as_slice::<f32>()?, n_rows, n_sums)
    }
}

impl TypedOp for Choice {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.facts(inputs[0].shape[0].clone()))
    }

    fn fuse(&self, model: &TypedModel, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
        self.with_norm(model, node, |choice| Box::new(choice))
    }

    as_op!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::{check, floats, ints, node, refusal, string, strings};

    /// The same sums, by a product of matrices.
    #[test]
    fn many_coefficients_give_what_few_do() {
        let n_features = FEW;
        let mut rows = vec![0f32; 2 * n_features];
        (rows[0], rows[n_features]) = (1.0, -3.0);
        let rows = Tensor::from_shape(&[2, n_features], &rows).unwrap();
        let mut coefficients = vec![0f32; 2 * n_features];
        (coefficients[0], coefficients[n_features]) = (2.0, -1.0);
        let many = classifier(&[5, 7], &coefficients, &[0.5, 0.25], "NONE");
        let scores = tensor2(&[[2.5f32, -0.75], [-5.5, 3.25]]);
        check(many, rows, &[tensor1(&[5i64, 7]), scores.clone()]);
        let few = classifier(&[5, 7], &[2.0, -1.0], &[0.5, 0.25], "NONE");
        let rows = tensor2(&[[1f32], [-3.0]]);
        check(few, rows, &[tensor1(&[5i64, 7]), scores]);
    }

    const ROWS: [[f32; 2]; 3] = [[0.2, 1.0], [1.0, 0.3], [-1.0, -2.0]];

    fn classifier(
        labels: &[i64],
        coefficients: &[f32],
        intercepts: &[f32],
        transform: &str,
    ) -> NodeProto {
        let attributes = vec![
            ints("classlabels_ints", labels),
            floats("coefficients", coefficients),
            floats("intercepts", intercepts),
            string("post_transform", transform),
        ];
        node("LinearClassifier", 2, attributes)
    }

    #[test]
    fn one_sum_for_two_classes() {
        for (transform, scores) in [
            ("NONE", [[0.44f32, 0.56], [0.48, 0.52], [2.0, -1.0]]),
            (
                "LOGISTIC",
                [
                    [0.36354744, 0.63645256],
                    [0.3728522, 0.6271478],
                    [0.7310586, 0.26894143],
                ],
            ),
        ] {
            let node = classifier(&[5, 7], &[0.3, 0.4], &[0.1], transform);
            check(
                node,
                tensor2(&ROWS),
                &[tensor1(&[7i64, 7, 5]), tensor2(&scores)],
            );
        }
    }

    #[test]
    fn a_sum_for_each_class() {
        let node = classifier(
            &[5, 7, 9],
            &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
            &[0.1, -0.4, 0.2],
            "NONE",
        );
        let scores = tensor2(&[[0.32f32, 0.06, 0.9], [0.26, 0.02, 0.88], [-0.4, -1.5, -1.5]]);
        check(node, tensor2(&ROWS), &[tensor1(&[9i64, 9, 5]), scores]);
    }

    /// Classifiers of few and of many coefficients, whose scores are normalized.
    #[test]
    fn normalizes_in_one_step_where_nothing_else_wants_the_scores() {
        for (n_features, scores_too) in [(2, false), (FEW, false), (2, true), (FEW, true)] {
            let mut coefficients = vec![0f32; 2 * n_features];
            (coefficients[0], coefficients[n_features]) = (1.0, 3.0);
            let classifier = LinearClassifier {
                coefficients: Tensor::from_shape(&[2, n_features], &coefficients)
                    .unwrap()
                    .into_arc_tensor(),
                intercepts: None,
                choice: Choice {
                    labels: Labels::Ints(vec![5, 7]),
                    binary: false,
                    post_transform: PostTransform::None,
                    norm: None,
                },
            };
            let mut model = TypedModel::default();
            let n = model.symbols.sym("N").to_dim();
            let rows = f32::fact([n, n_features.to_dim()]);
            let rows = model.add_source("rows", rows).unwrap();
            let mut outputs = classifier.wire("classes", &mut model, &[rows]).unwrap();
            let normalizer = Normalizer { norm: Norm::L1 };
            outputs.extend(
                model
                    .wire_node("normal", normalizer, &outputs[1..])
                    .unwrap(),
            );
            if !scores_too {
                outputs.remove(1);
            }
            model.select_output_outlets(&outputs).unwrap();
            let model = model.into_optimized().unwrap();
            let n_normalizers = model
                .nodes()
                .iter()
                .filter(|node| node.op_is::<Normalizer>());
            assert_eq!(n_normalizers.count(), usize::from(scores_too));
            let mut rows = vec![0f32; 2 * n_features];
            (rows[0], rows[n_features]) = (1.0, -2.0);
            let rows = Tensor::from_shape(&[2, n_features], &rows).unwrap();
            let plan = model.into_runnable().unwrap();
            let answers = plan.run(tvec!(rows.into_tvalue())).unwrap();
            assert_eq!(*answers[0], tensor1(&[7i64, 5]));
            let normal = tensor2(&[[0.25f32, 0.75], [-0.25, -0.75]]);
            assert_eq!(*answers[answers.len() - 1], normal);
        }
    }

    #[test]
    fn texts_are_labels_too() {
        let attributes = vec![
            strings("classlabels_strings", &["no", "yes"]),
            floats("coefficients", &[0.3, 0.4]),
            floats("intercepts", &[0.1]),
        ];
        let labels = tensor1(&["yes".to_owned(), "yes".to_owned(), "no".to_owned()]);
        let scores = tensor2(&[[0.44f32, 0.56], [0.48, 0.52], [2.0, -1.0]]);
        check(
            node("LinearClassifier", 2, attributes),
            tensor2(&ROWS),
            &[labels, scores],
        );
    }

    #[test]
    fn refuses_lists_that_do_not_fit() {
        let odd = classifier(&[5, 7], &[0.3, 0.4, 0.5], &[0.1, 0.2], "NONE");
        assert!(refusal(odd).contains("coefficients"));
        assert!(
            refusal(classifier(&[5, 7, 9], &[0.3, 0.4], &[0.1, 0.2], "NONE")).contains("3 classes")
        );
    }
}
