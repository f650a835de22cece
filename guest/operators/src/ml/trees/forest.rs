//! Decision trees as the `TreeEnsemble…` operators of `ai.onnx.ml` describe them.

use std::collections::HashMap;

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

/// All trees in one array, depth first: a branch is followed by what it leads to where its test holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    nodes: Vec<Node>,
    roots: Vec<u32>,
    votes: Vec<Vote>,
    /// How many targets or classes there are; every vote is for one below.
    pub n_targets: usize,
    /// How many features a row must have.
    pub n_features: usize,
}

/// What a leaf adds to one target or class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    pub target: u32,
    pub weight: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    test: Test,
    missing_holds: bool,
    /// The feature that a branch tests, or a leaf's first vote.
    feature: u32,
    threshold: f32,
    /// Where a branch goes when its test fails, or the end of a leaf's votes.
    otherwise: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Test {
    Leaf,
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
}

impl Forest {
    /// Reads the `nodes_*` attributes and the leaves' `<leaf>_*` ones. Refuses lists whose lengths
    /// disagree, ids that lead nowhere, and nodes that can be reached twice.
    pub fn parse(node: &NodeProto, leaf: &str, n_targets: usize) -> TractResult<Forest> {
        for name in [
            "nodes_values_as_tensor",
            &format!("{leaf}_weights_as_tensor"),
            "base_values_as_tensor",
        ] {
            if node
                .attribute
                .iter()
                .any(|attribute| attribute.name == name)
            {
                node.bail_attr::<()>(
                    name,
                    "double precision trees are not supported; convert the model with float inputs",
                )?;
            }
        }
        let rows = Rows::parse(node)?;
        let mut ballot = Ballot::parse(node, leaf, &rows, n_targets)?;
        let mut forest = Forest {
            nodes: vec![],
            roots: vec![],
            votes: vec![],
            n_targets,
            n_features: 0,
        };
        let mut visited = vec![false; rows.ids.len()];
        for &root in &rows.roots {
            forest.plant(node, &rows, &mut ballot, root, &mut visited)?;
        }
        Ok(forest)
    }

    fn plant(
        &mut self,
        node: &NodeProto,
        rows: &Rows,
        ballot: &mut Ballot,
        root: usize,
        visited: &mut [bool],
    ) -> TractResult<()> {
        self.roots.push(u32::try_from(self.nodes.len())?);
        // Rows still to be placed, each with the branch that goes there when its test fails.
        let mut open = vec![(root, None)];
        while let Some((row, parent)) = open.pop() {
            let (tree, id) = rows.ids[row];
            if std::mem::replace(&mut visited[row], true) {
                return node.bail(&format!(
                    "node {id} of tree {tree} is reached twice: this is no tree"
                ));
            }
            let here = self.nodes.len();
            if let Some(parent) = parent {
                let parent: &mut Node = &mut self.nodes[parent];
                parent.otherwise = u32::try_from(here)?;
            }
            if rows.tests[row] == Test::Leaf {
                let first = u32::try_from(self.votes.len())?;
                self.votes.append(&mut ballot.of_row[row]);
                let end = u32::try_from(self.votes.len())?;
                self.nodes.push(Node::leaf(first, end));
            } else {
                let branch = rows.branch(node, row)?;
                self.n_features = self.n_features.max(branch.feature as usize + 1);
                self.nodes.push(branch);
                open.push((rows.child(node, row, rows.if_false[row])?, Some(here)));
                open.push((rows.child(node, row, rows.if_true[row])?, None));
            }
        }
        Ok(())
    }

    pub fn n_trees(&self) -> usize {
        self.roots.len()
    }

    /// All the votes that can be cast.
    pub fn votes(&self) -> &[Vote] {
        &self.votes
    }

    /// The votes for `row`, tree by tree. The row has at least `n_features` values.
    pub fn votes_for<'a, X>(&'a self, row: &'a [X]) -> impl Iterator<Item = &'a [Vote]>
    where
        X: Copy + PartialOrd + From<f32>,
    {
        self.roots.iter().map(|&root| self.leaf(root as usize, row))
    }

    fn leaf<X: Copy + PartialOrd + From<f32>>(&self, root: usize, row: &[X]) -> &[Vote] {
        let mut at = root;
        loop {
            let node = &self.nodes[at];
            if node.test == Test::Leaf {
                return &self.votes[node.feature as usize..node.otherwise as usize];
            }
            let value = row[node.feature as usize];
            let threshold = X::from(node.threshold);
            let holds = match node.test {
                Test::LessOrEqual => value <= threshold,
                Test::Less => value < threshold,
                Test::GreaterOrEqual => value >= threshold,
                Test::Greater => value > threshold,
                Test::Equal => value == threshold,
                Test::NotEqual => value != threshold,
                Test::Leaf => false,
            };
            let holds = holds || (node.missing_holds && value.partial_cmp(&value).is_none());
            at = if holds {
                at + 1
            } else {
                node.otherwise as usize
            };
        }
    }
}

impl Node {
    fn leaf(first: u32, end: u32) -> Node {
        Node {
            test: Test::Leaf,
            missing_holds: false,
            feature: first,
            threshold: 0.0,
            otherwise: end,
        }
    }
}

/// The `nodes_*` lists, of one length, in the order of the file.
struct Rows {
    /// Tree and node.
    ids: Vec<(i64, i64)>,
    /// The row of each id.
    by_id: HashMap<(i64, i64), usize>,
    /// The first row of each tree.
    roots: Vec<usize>,
    tests: Vec<Test>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    missing_holds: Vec<bool>,
    if_true: Vec<i64>,
    if_false: Vec<i64>,
}

impl Rows {
    fn parse(node: &NodeProto) -> TractResult<Rows> {
        let modes: Vec<&str> = node.get_attr_vec("nodes_modes")?;
        let n_rows = modes.len();
        let trees: Vec<i64> = list(node, "nodes_treeids", n_rows)?;
        let nodes: Vec<i64> = list(node, "nodes_nodeids", n_rows)?;
        let ids: Vec<(i64, i64)> = trees.into_iter().zip(nodes).collect();
        let mut by_id = HashMap::with_capacity(n_rows);
        let mut roots = vec![];
        let mut known = std::collections::HashSet::new();
        for (row, &(tree, id)) in ids.iter().enumerate() {
            if by_id.insert((tree, id), row).is_some() {
                node.bail::<()>(&format!("node {id} of tree {tree} is there twice"))?;
            }
            if known.insert(tree) {
                roots.push(row);
            }
        }
        let missing = "nodes_missing_value_tracks_true";
        let missing_holds = match node.get_attr_opt_vec::<i64>(missing)?.unwrap_or_default() {
            none if none.is_empty() => vec![false; n_rows],
            _ => list::<i64>(node, missing, n_rows)?
                .into_iter()
                .map(|flag| flag != 0)
                .collect(),
        };
        Ok(Rows {
            tests: modes
                .into_iter()
                .map(|mode| Test::parse(node, mode))
                .collect::<TractResult<_>>()?,
            features: list(node, "nodes_featureids", n_rows)?,
            thresholds: list(node, "nodes_values", n_rows)?,
            if_true: list(node, "nodes_truenodeids", n_rows)?,
            if_false: list(node, "nodes_falsenodeids", n_rows)?,
            ids,
            by_id,
            roots,
            missing_holds,
        })
    }

    /// The branch at `row`, of which it is not known yet where it goes when its test fails.
    fn branch(&self, node: &NodeProto, row: usize) -> TractResult<Node> {
        // Below 2^31, so that counting features does not overflow where a word has 32 bits.
        let feature = i32::try_from(self.features[row]).ok();
        let Some(feature) = feature.and_then(|feature| u32::try_from(feature).ok()) else {
            return node.bail_attr(
                "nodes_featureids",
                &format!("{} is no feature", self.features[row]),
            );
        };
        Ok(Node {
            test: self.tests[row],
            missing_holds: self.missing_holds[row],
            feature,
            threshold: self.thresholds[row],
            otherwise: 0,
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

impl Test {
    fn parse(node: &NodeProto, mode: &str) -> TractResult<Test> {
        Ok(match mode {
            "LEAF" => Test::Leaf,
            "BRANCH_LEQ" => Test::LessOrEqual,
            "BRANCH_LT" => Test::Less,
            "BRANCH_GTE" => Test::GreaterOrEqual,
            "BRANCH_GT" => Test::Greater,
            "BRANCH_EQ" => Test::Equal,
            "BRANCH_NEQ" => Test::NotEqual,
            unknown => {
                node.bail_attr("nodes_modes", &format!("`{unknown}` is no mode of a node"))?
            }
        })
    }
}

/// The votes of each row. A vote at a branch is never counted, and is allowed.
struct Ballot {
    of_row: Vec<Vec<Vote>>,
}

impl Ballot {
    fn parse(node: &NodeProto, leaf: &str, rows: &Rows, n_targets: usize) -> TractResult<Ballot> {
        let attribute = |name| format!("{leaf}_{name}");
        let weights: Vec<f32> = node.get_attr_vec(&attribute("weights"))?;
        let trees: Vec<i64> = list(node, &attribute("treeids"), weights.len())?;
        let nodes: Vec<i64> = list(node, &attribute("nodeids"), weights.len())?;
        let targets: Vec<i64> = list(node, &attribute("ids"), weights.len())?;
        let mut of_row = vec![vec![]; rows.ids.len()];
        for (((&tree, &id), &target), &weight) in
            trees.iter().zip(&nodes).zip(&targets).zip(&weights)
        {
            let Some(&row) = rows.by_id.get(&(tree, id)) else {
                return node.bail(&format!(
                    "a weight is for node {id} of tree {tree}, which is not there"
                ));
            };
            match u32::try_from(target) {
                Ok(target) if (target as usize) < n_targets => {
                    of_row[row].push(Vote { target, weight })
                }
                _ => node.bail_attr(
                    &attribute("ids"),
                    &format!("{target} is not below {n_targets}"),
                )?,
            }
        }
        Ok(Ballot { of_row })
    }
}

/// A list attribute that must have `length` elements.
fn list<'a, T>(node: &'a NodeProto, name: &str, length: usize) -> TractResult<Vec<T>>
where
    T: tract_onnx::pb_helpers::AttrTVecType<'a>,
{
    let list: Vec<T> = node.get_attr_vec(name)?;
    node.expect_attr(name, list.len() == length, || {
        format!("{length} elements, got {}", list.len())
    })?;
    Ok(list)
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
            (floats("nodes_values_as_tensor", &[]), "double precision"),
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
