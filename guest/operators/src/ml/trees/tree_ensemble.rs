//! `TreeEnsemble`: the votes of many decision trees, whose leaves have lists of their own.
//!
//! Follows the specification where ONNX Runtime takes SOFTMAX and LOGISTIC for one another.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{NodeProto, TensorProto};
use tract_onnx::tract_hir::internal::*;

use super::forest::{Branch, Forest, Number, Place, Test};
use super::lists::{check_length, list, missing_holds, vote};
use super::tree_regressor::{Aggregate, TreeRegressor, n_targets};
use crate::ml::post_transform::PostTransform;

pub fn tree_ensemble(
    ctx: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let splits = tensor(ctx, node, "nodes_splits")?;
    let ensemble = match splits.datum_type() {
        DatumType::F64 => parse::<f64>(ctx, node, &splits)?,
        DatumType::F32 => parse::<f32>(ctx, node, &splits)?,
        other => node.bail_attr("nodes_splits", &format!("FP32 or FP64, got {other:?}"))?,
    };
    Ok((ensemble, vec![]))
}

fn parse<W: Number>(
    ctx: &ParsingContext,
    node: &NodeProto,
    splits: &Tensor,
) -> TractResult<Box<dyn InferenceOp>> {
    let lists = Lists::<W>::parse(ctx, node, splits)?;
    let n_targets = n_targets(node)?;
    let mut forest = Forest::new(n_targets);
    let roots: Vec<i64> = node.get_attr_vec("tree_roots")?;
    let mut visited = vec![false; lists.tests.len()];
    for root in roots {
        let root = lists.place(node, root, false)?;
        forest.plant(root, |place| match lists.tests.len() {
            n_branches if place >= n_branches => lists.leaf(node, place, n_targets),
            _ if std::mem::replace(&mut visited[place], true) => {
                node.bail(&format!("node {place} is reached twice: this is no tree"))
            }
            _ => lists.branch(node, place).map(Place::Branch),
        })?;
    }
    Ok(expand(TreeRegressor {
        forest: Arc::new(forest),
        aggregate: aggregate(node)?,
        base: vec![],
        post_transform: post_transform(node)?,
        output: W::datum_type(),
    }))
}

fn tensor(ctx: &ParsingContext, node: &NodeProto, name: &str) -> TractResult<Tensor> {
    ctx.load_tensor(node.get_attr::<&TensorProto>(name)?)
}

fn numbers<W: Number>(tensor: &Tensor) -> TractResult<Vec<W>> {
    let numbers = tensor.cast_to::<W>()?;
    Ok(numbers.try_as_plain_ram()?.as_slice::<W>()?.to_vec())
}

fn aggregate(node: &NodeProto) -> TractResult<Aggregate> {
    Ok(match node.get_attr_opt::<i64>("aggregate_function")? {
        Some(0) => Aggregate::Average,
        None | Some(1) => Aggregate::Sum,
        Some(2) => Aggregate::Min,
        Some(3) => Aggregate::Max,
        Some(unknown) => {
            node.bail_attr("aggregate_function", &format!("{unknown} is not in 0 to 3"))?
        }
    })
}

fn post_transform(node: &NodeProto) -> TractResult<PostTransform> {
    Ok(match node.get_attr_opt::<i64>("post_transform")? {
        None | Some(0) => PostTransform::None,
        Some(1) => PostTransform::Softmax,
        Some(2) => PostTransform::Logistic,
        Some(3) => PostTransform::SoftmaxZero,
        Some(4) => PostTransform::Probit,
        Some(unknown) => {
            node.bail_attr("post_transform", &format!("{unknown} is not in 0 to 4"))?
        }
    })
}

/// The lists of branches, of one length, and those of leaves.
struct Lists<W> {
    tests: Vec<Test>,
    splits: Vec<W>,
    /// What each branch with [`Test::Member`] looks for; nothing for the others.
    members: Vec<Vec<W>>,
    features: Vec<i64>,
    missing_holds: Vec<bool>,
    /// Where each branch leads, and whether that is a leaf.
    if_true: Vec<(i64, bool)>,
    if_false: Vec<(i64, bool)>,
    weights: Vec<W>,
    targets: Vec<i64>,
}

impl<W: Number> Lists<W> {
    fn parse(ctx: &ParsingContext, node: &NodeProto, splits: &Tensor) -> TractResult<Lists<W>> {
        let modes = tensor(ctx, node, "nodes_modes")?
            .cast_to::<i64>()?
            .into_owned();
        let modes = modes.try_as_plain_ram()?.as_slice::<i64>()?.iter();
        let tests: Vec<Test> = modes
            .map(|mode| test(node, *mode))
            .collect::<TractResult<_>>()?;
        let n = tests.len();
        let ways = |side: &str| -> TractResult<Vec<(i64, bool)>> {
            let ids: Vec<i64> = list(node, &format!("nodes_{side}nodeids"), n)?;
            let leaves: Vec<i64> = list(node, &format!("nodes_{side}leafs"), n)?;
            let pairs = ids.into_iter().zip(leaves);
            Ok(pairs.map(|(id, leaf)| (id, leaf != 0)).collect())
        };
        check_length(node, "nodes_splits", splits.len(), n)?;
        let weights: Vec<W> = numbers(&tensor(ctx, node, "leaf_weights")?)?;
        Ok(Lists {
            members: members(ctx, node, &tests)?,
            splits: numbers(splits)?,
            features: list(node, "nodes_featureids", n)?,
            missing_holds: missing_holds(node, n)?,
            if_true: ways("true")?,
            if_false: ways("false")?,
            targets: list(node, "leaf_targetids", weights.len())?,
            weights,
            tests,
        })
    }

    /// Leaves have the places after the branches'.
    fn place(&self, node: &NodeProto, id: i64, is_leaf: bool) -> TractResult<usize> {
        let (start, count) = match is_leaf {
            false => (0, self.tests.len()),
            true => (self.tests.len(), self.weights.len()),
        };
        match usize::try_from(id) {
            Ok(id) if id < count => Ok(start + id),
            _ => {
                let kind = if is_leaf { "leaf" } else { "node" };
                node.bail(&format!("{kind} {id} is not there"))
            }
        }
    }

    fn branch(&self, node: &NodeProto, place: usize) -> TractResult<Branch<W>> {
        let (if_true, if_false) = (self.if_true[place], self.if_false[place]);
        Ok(Branch {
            test: self.tests[place],
            missing_holds: self.missing_holds[place],
            feature: self.features[place],
            threshold: self.splits[place],
            members: self.members[place].clone(),
            if_true: self.place(node, if_true.0, if_true.1)?,
            if_false: self.place(node, if_false.0, if_false.1)?,
        })
    }

    fn leaf(&self, node: &NodeProto, place: usize, n_targets: usize) -> TractResult<Place<W>> {
        let leaf = place - self.tests.len();
        let (target, weight) = (self.targets[leaf], self.weights[leaf]);
        let vote = vote(node, "leaf_targetids", target, weight, n_targets)?;
        Ok(Place::Leaf(vec![vote]))
    }
}

fn test(node: &NodeProto, mode: i64) -> TractResult<Test> {
    Ok(match mode {
        0 => Test::LessOrEqual,
        1 => Test::Less,
        2 => Test::GreaterOrEqual,
        3 => Test::Greater,
        4 => Test::Equal,
        5 => Test::NotEqual,
        6 => Test::Member,
        unknown => node.bail_attr("nodes_modes", &format!("{unknown} is not in 0 to 6"))?,
    })
}

/// The sets of `membership_values`, one after another with a NaN behind each, for the branches that
/// test for membership, in their order.
fn members<W: Number>(
    ctx: &ParsingContext,
    node: &NodeProto,
    tests: &[Test],
) -> TractResult<Vec<Vec<W>>> {
    let mut values: Vec<W> = vec![];
    if let Some(proto) = node.get_attr_opt::<&TensorProto>("membership_values")? {
        values = numbers(&ctx.load_tensor(proto)?)?;
    }
    let mut sets = values.split(|value| value.is_nan());
    let of = |test: &Test| -> TractResult<Vec<W>> {
        if *test != Test::Member {
            return Ok(vec![]);
        }
        let set = sets.next().filter(|set| !set.is_empty());
        node.expect_attr(
            "membership_values",
            set.is_some(),
            "a set for each such branch",
        )?;
        Ok(set.unwrap_or_default().to_vec())
    };
    tests.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::AttributeProto;

    use super::*;
    use crate::cases::{check, int, ints, node, refusal, run, tensor};

    /// Two branches and three leaves, with `changed` in the place of attributes of the same name.
    fn ensemble(changed: Vec<AttributeProto>) -> NodeProto {
        let mut attributes = vec![
            tensor("nodes_splits", &[0.5, 1.5]),
            tensor("nodes_modes", &[0.0, 0.0]),
            ints("nodes_featureids", &[0, 1]),
            ints("nodes_truenodeids", &[0, 1]),
            ints("nodes_trueleafs", &[1, 1]),
            ints("nodes_falsenodeids", &[1, 2]),
            ints("nodes_falseleafs", &[0, 1]),
            ints("tree_roots", &[0]),
            tensor("leaf_weights", &[1.0, 2.0, 3.0]),
            ints("leaf_targetids", &[0, 0, 0]),
            int("n_targets", 1),
        ];
        attributes.retain(|one| changed.iter().all(|other| other.name != one.name));
        attributes.extend(changed);
        node("TreeEnsemble", 1, attributes)
    }

    #[test]
    fn goes_where_the_tests_say() {
        let rows = tensor2(&[[0.0f32, 9.0], [1.0, 1.0], [1.0, 2.0]]);
        check(
            ensemble(vec![]),
            rows,
            &[tensor2(&[[1.0f32], [2.0], [3.0]])],
        );
    }

    #[test]
    fn lists_that_are_no_forest_are_refused() {
        for (attribute, reason) in [
            (tensor("nodes_splits", &[0.5]), "2 elements, got 1"),
            (ints("nodes_featureids", &[]), "2 elements, got 0"),
            (ints("nodes_featureids", &[0; 3]), "2 elements, got 3"),
            (ints("nodes_truenodeids", &[0]), "2 elements, got 1"),
            (ints("nodes_falseleafs", &[0]), "2 elements, got 1"),
            (ints("leaf_targetids", &[0]), "3 elements, got 1"),
            (
                ints("nodes_missing_value_tracks_true", &[1]),
                "2 elements, got 1",
            ),
            (ints("nodes_featureids", &[0, -1]), "is no feature"),
            (ints("nodes_featureids", &[0, 1 << 31]), "is no feature"),
            (ints("nodes_truenodeids", &[3, 1]), "leaf 3 is not there"),
            (ints("nodes_truenodeids", &[-1, 1]), "leaf -1 is not there"),
            (ints("nodes_falsenodeids", &[2, 2]), "node 2 is not there"),
            (ints("nodes_falsenodeids", &[i64::MIN, 2]), "is not there"),
            (ints("nodes_falsenodeids", &[0, 2]), "reached twice"),
            (ints("nodes_trueleafs", &[1, 0]), "reached twice"),
            (ints("tree_roots", &[0, 0]), "reached twice"),
            (ints("tree_roots", &[0, 1]), "reached twice"),
            (ints("tree_roots", &[2]), "node 2 is not there"),
            (ints("tree_roots", &[i64::MAX]), "is not there"),
            (ints("leaf_targetids", &[0, 1, 0]), "not below 1"),
            (ints("leaf_targetids", &[0, -1, 0]), "not below 1"),
            (tensor("nodes_modes", &[0.0, 7.0]), "not in 0 to 6"),
            (tensor("nodes_modes", &[0.0, 6.0]), "membership_values"),
            (int("n_targets", 0), "n_targets"),
            (int("n_targets", i64::MAX), "n_targets"),
            (int("aggregate_function", 4), "aggregate_function"),
            (int("post_transform", 5), "post_transform"),
            (int("nodes_splits", 1), "nodes_splits"),
        ] {
            let text = refusal(ensemble(vec![attribute]));
            assert!(text.contains(reason), "{text} does not say: {reason}");
        }
    }

    #[test]
    fn a_list_that_is_missing_is_named() {
        for name in [
            "nodes_splits",
            "nodes_modes",
            "tree_roots",
            "leaf_weights",
            "n_targets",
        ] {
            let mut node = ensemble(vec![]);
            node.attribute.retain(|attribute| attribute.name != name);
            let text = refusal(node);
            assert!(text.contains(name), "{text}");
        }
    }

    /// Whatever two lists hold, there is an answer or an error.
    #[test]
    fn no_lists_make_it_panic_or_run_on() {
        let names = [
            "nodes_featureids",
            "nodes_truenodeids",
            "nodes_trueleafs",
            "nodes_falsenodeids",
            "nodes_falseleafs",
            "tree_roots",
            "leaf_targetids",
        ];
        let lists: [&[i64]; 8] = [
            &[],
            &[0],
            &[0, 0],
            &[1, 0],
            &[1, 1],
            &[2, 1, 0],
            &[-1, i64::MAX],
            &[0, 1, 2, 3],
        ];
        let (mut answers, mut errors) = (0, 0);
        for (first, second) in (0..names.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            for (one, other) in lists.iter().flat_map(|a| lists.map(|b| (a, b))) {
                let changed = vec![ints(names[first], one), ints(names[second], other)];
                match run(ensemble(changed), tensor2(&[[1.0f32, 1.0]])) {
                    Ok(_) => answers += 1,
                    Err(_) => errors += 1,
                }
            }
        }
        assert!(answers > 0 && errors > 1000, "{answers} {errors}");
    }
}
