//! The lists of nodes and of votes that `TreeEnsembleClassifier` and `TreeEnsembleRegressor` have.

use std::collections::{HashMap, HashSet};

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{NodeProto, TensorProto};
use tract_onnx::tract_hir::internal::*;

use super::forest::{Branch, Forest, Number, Place, Test, Vote};
use crate::attributes;

/// Whether thresholds or weights are given in double precision.
pub fn is_double(node: &NodeProto) -> bool {
    let mut attributes = node.attribute.iter();
    attributes.any(|attribute| attribute.name.ends_with("_as_tensor"))
}

/// The numbers of `<name>` or of `<name>_as_tensor`; none where neither is there.
pub fn numbers<W: Number>(
    ctx: &ParsingContext,
    node: &NodeProto,
    name: &str,
) -> TractResult<Vec<W>> {
    if let Some(proto) = node.get_attr_opt::<&TensorProto>(&format!("{name}_as_tensor"))? {
        let tensor = ctx.load_tensor(proto)?.cast_to::<W>()?.into_owned();
        return Ok(tensor.try_as_plain_ram()?.as_slice::<W>()?.to_vec());
    }
    let singles: Vec<f32> = attributes::list(node, name)?;
    Ok(singles.into_iter().map(<W as From<f32>>::from).collect())
}

/// Reads the `nodes_*` attributes and the leaves' `<leaf>_*` ones. Refuses lists whose lengths
/// disagree, ids that lead nowhere, and nodes that can be reached twice.
pub fn forest<W: Number>(
    ctx: &ParsingContext,
    node: &NodeProto,
    leaf: &str,
    n_targets: usize,
) -> TractResult<Forest<W>> {
    let rows: Rows<W> = Rows::parse(ctx, node)?;
    let mut ballot = ballot(ctx, node, leaf, &rows, n_targets)?;
    let mut forest = Forest::new(n_targets);
    let mut visited = vec![false; rows.ids.len()];
    for &root in &rows.roots {
        forest.plant(root, |row| {
            let (tree, id) = rows.ids[row];
            if std::mem::replace(&mut visited[row], true) {
                return node.bail(&format!(
                    "node {id} of tree {tree} is reached twice: this is no tree"
                ));
            }
            match rows.tests[row] {
                Test::Leaf => Ok(Place::Leaf(std::mem::take(&mut ballot[row]))),
                _ => rows.branch(node, row).map(Place::Branch),
            }
        })?;
    }
    Ok(forest)
}

/// The `nodes_*` lists, of one length, in the order of the file.
struct Rows<W> {
    /// Tree and node.
    ids: Vec<(i64, i64)>,
    /// The row of each id.
    by_id: HashMap<(i64, i64), usize>,
    /// The first row of each tree.
    roots: Vec<usize>,
    tests: Vec<Test>,
    features: Vec<i64>,
    thresholds: Vec<W>,
    missing_holds: Vec<bool>,
    if_true: Vec<i64>,
    if_false: Vec<i64>,
}

impl<W: Number> Rows<W> {
    fn parse(ctx: &ParsingContext, node: &NodeProto) -> TractResult<Rows<W>> {
        let modes: Vec<&str> = node.get_attr_vec("nodes_modes")?;
        let n_rows = modes.len();
        let trees: Vec<i64> = list(node, "nodes_treeids", n_rows)?;
        let nodes: Vec<i64> = list(node, "nodes_nodeids", n_rows)?;
        let ids: Vec<(i64, i64)> = trees.into_iter().zip(nodes).collect();
        let mut by_id = HashMap::with_capacity(n_rows);
        let mut roots = vec![];
        let mut known = HashSet::new();
        for (row, &(tree, id)) in ids.iter().enumerate() {
            if by_id.insert((tree, id), row).is_some() {
                node.bail::<()>(&format!("node {id} of tree {tree} is there twice"))?;
            }
            if known.insert(tree) {
                roots.push(row);
            }
        }
        let thresholds = numbers(ctx, node, "nodes_values")?;
        check_length(node, "nodes_values", thresholds.len(), n_rows)?;
        Ok(Rows {
            tests: modes
                .into_iter()
                .map(|mode| test(node, mode))
                .collect::<TractResult<_>>()?,
            features: list(node, "nodes_featureids", n_rows)?,
            thresholds,
            if_true: list(node, "nodes_truenodeids", n_rows)?,
            if_false: list(node, "nodes_falsenodeids", n_rows)?,
            ids,
            by_id,
            roots,
            missing_holds: missing_holds(node, n_rows)?,
        })
    }

    fn branch(&self, node: &NodeProto, row: usize) -> TractResult<Branch<W>> {
        Ok(Branch {
            test: self.tests[row],
            missing_holds: self.missing_holds[row],
            feature: self.features[row],
            threshold: self.thresholds[row],
            members: vec![],
            if_true: self.child(node, row, self.if_true[row])?,
            if_false: self.child(node, row, self.if_false[row])?,
        })
    }

    fn child(&self, node: &NodeProto, row: usize, child: i64) -> TractResult<usize> {
        let (tree, id) = self.ids[row];
        match self.by_id.get(&(tree, child)) {
            Some(&child) => Ok(child),
            None => node.bail(&format!(
                "node {id} of tree {tree} leads to node {child}, which is not there"
            )),
        }
    }
}

fn test(node: &NodeProto, mode: &str) -> TractResult<Test> {
    Ok(match mode {
        "LEAF" => Test::Leaf,
        "BRANCH_LEQ" => Test::LessOrEqual,
        "BRANCH_LT" => Test::Less,
        "BRANCH_GTE" => Test::GreaterOrEqual,
        "BRANCH_GT" => Test::Greater,
        "BRANCH_EQ" => Test::Equal,
        "BRANCH_NEQ" => Test::NotEqual,
        unknown => node.bail_attr("nodes_modes", &format!("`{unknown}` is no mode of a node"))?,
    })
}

/// For each node, whether its test holds for a missing value; nowhere where the list is not there.
pub fn missing_holds(node: &NodeProto, n_nodes: usize) -> TractResult<Vec<bool>> {
    let name = "nodes_missing_value_tracks_true";
    let flags: Vec<i64> = attributes::list(node, name)?;
    if flags.is_empty() {
        return Ok(vec![false; n_nodes]);
    }
    check_length(node, name, flags.len(), n_nodes)?;
    Ok(flags.into_iter().map(|flag| flag != 0).collect())
}

/// The votes of each row. A vote at a branch is never counted, and is allowed.
fn ballot<W: Number>(
    ctx: &ParsingContext,
    node: &NodeProto,
    leaf: &str,
    rows: &Rows<W>,
    n_targets: usize,
) -> TractResult<Vec<Vec<Vote<W>>>> {
    let attribute = |name| format!("{leaf}_{name}");
    let weights: Vec<W> = numbers(ctx, node, &attribute("weights"))?;
    let trees: Vec<i64> = list(node, &attribute("treeids"), weights.len())?;
    let nodes: Vec<i64> = list(node, &attribute("nodeids"), weights.len())?;
    let targets: Vec<i64> = list(node, &attribute("ids"), weights.len())?;
    let mut of_row = vec![vec![]; rows.ids.len()];
    for (((&tree, &id), &target), &weight) in trees.iter().zip(&nodes).zip(&targets).zip(&weights) {
        let Some(&row) = rows.by_id.get(&(tree, id)) else {
            return node.bail(&format!(
                "a weight is for node {id} of tree {tree}, which is not there"
            ));
        };
        let vote = vote(node, &attribute("ids"), target, weight, n_targets)?;
        of_row[row].push(vote);
    }
    Ok(of_row)
}

/// A vote for one of `n_targets`; `attribute` is where it was named.
pub fn vote<W: Number>(
    node: &NodeProto,
    attribute: &str,
    target: i64,
    weight: W,
    n_targets: usize,
) -> TractResult<Vote<W>> {
    match u32::try_from(target) {
        Ok(target) if (target as usize) < n_targets => Ok(Vote { target, weight }),
        _ => node.bail_attr(attribute, &format!("{target} is not below {n_targets}")),
    }
}

/// A list attribute that must have `length` elements.
pub fn list<'a, T>(node: &'a NodeProto, name: &str, length: usize) -> TractResult<Vec<T>>
where
    T: tract_onnx::pb_helpers::AttrTVecType<'a>,
{
    let list: Vec<T> = node.get_attr_vec(name)?;
    check_length(node, name, list.len(), length)?;
    Ok(list)
}

pub fn check_length(node: &NodeProto, name: &str, got: usize, length: usize) -> TractResult<()> {
    node.expect_attr(name, got == length, || {
        format!("{length} elements, got {got}")
    })
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::AttributeProto;

    use super::*;
    use crate::cases::{check, float_trees, floats, int, ints, node, refusal, strings};

    fn regressor(replacements: Vec<AttributeProto>) -> NodeProto {
        let mut attributes = float_trees("target", &[0; 4], &[1.0, 2.0, 30.0, 40.0]);
        attributes.push(int("n_targets", 1));
        for replacement in replacements {
            attributes.retain(|attribute| attribute.name != replacement.name);
            attributes.push(replacement);
        }
        node("TreeEnsembleRegressor", 1, attributes)
    }

    /// The leaves for a value below, at and above the threshold, and for a missing one.
    #[test]
    fn branches_as_each_mode_says() {
        for (mode, holds) in [
            ("BRANCH_LEQ", [true, true, false, false]),
            ("BRANCH_LT", [true, false, false, false]),
            ("BRANCH_GTE", [false, true, true, false]),
            ("BRANCH_GT", [false, false, true, false]),
            ("BRANCH_EQ", [false, true, false, false]),
            ("BRANCH_NEQ", [true, false, true, true]),
        ] {
            for missing in [false, true] {
                let modes = [mode, "LEAF", "LEAF"].repeat(2);
                let node = regressor(vec![
                    strings("nodes_modes", &modes),
                    ints("nodes_missing_value_tracks_true", &[i64::from(missing); 6]),
                ]);
                let mut expected = holds.map(|holds| [if holds { 31f32 } else { 42.0 }]);
                if missing {
                    expected[3] = [31.0];
                }
                let rows = tensor2(&[[0.0f32], [0.5], [1.0], [f32::NAN]]);
                check(node, rows, &[tensor2(&expected)]);
            }
        }
    }

    #[test]
    fn doubles_are_compared_as_doubles() {
        // As a float the second value is the threshold.
        let rows = tensor2(&[[0.5f64], [0.5 + 1e-12]]);
        check(regressor(vec![]), rows, &[tensor2(&[[31f32], [42.0]])]);
    }

    #[test]
    fn refuses_what_is_no_forest() {
        for (attribute, reason) in [
            (floats("nodes_values", &[0.5]), "6 elements, got 1"),
            (ints("target_ids", &[0]), "4 elements, got 1"),
            (ints("target_ids", &[0, 1, 0, 0]), "not below 1"),
            (ints("target_ids", &[0, -1, 0, 0]), "not below 1"),
            (ints("target_nodeids", &[1, 2, 1, 9]), "node 9 of tree 1"),
            (
                ints("nodes_truenodeids", &[7, 0, 0, 1, 0, 0]),
                "leads to node 7",
            ),
            (
                ints("nodes_truenodeids", &[0, 0, 0, 1, 0, 0]),
                "reached twice",
            ),
            (
                ints("nodes_truenodeids", &[2, 0, 0, 1, 0, 0]),
                "reached twice",
            ),
            (ints("nodes_nodeids", &[0, 1, 1, 0, 1, 2]), "there twice"),
            (
                ints("nodes_featureids", &[-1, 0, 0, 0, 0, 0]),
                "is no feature",
            ),
            (
                ints("nodes_featureids", &[1 << 31, 0, 0, 0, 0, 0]),
                "is no feature",
            ),
            (strings("nodes_modes", &["MAYBE"; 6]), "MAYBE"),
        ] {
            let text = refusal(regressor(vec![attribute]));
            assert!(text.contains(reason), "{text} does not say: {reason}");
        }
    }

    #[test]
    fn a_row_must_have_the_features_that_are_tested() {
        let node = regressor(vec![ints("nodes_featureids", &[3, 0, 0, 0, 0, 0])]);
        assert!(refusal(node).contains("4 features"));
    }
}
