//! Decision trees as the `TreeEnsemble…` operators of `ai.onnx.ml` describe them.

use std::collections::HashMap;

use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::tract_num_traits::Float;

/// What thresholds and weights are: f32, or f64 in files that say so.
pub trait Number: Datum + Float + From<f32> + Into<f64> + std::iter::Sum {
    fn single(self) -> f32 {
        let double: f64 = self.into();
        double as f32
    }
}

impl Number for f32 {}
impl Number for f64 {}

/// All trees in one array, depth first: a branch is followed by what it leads to where its test holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest<W> {
    nodes: Vec<Node<W>>,
    roots: Vec<u32>,
    votes: Vec<Vote<W>>,
    /// What branches with [`Test::Member`] look for.
    members: HashMap<u32, Vec<W>>,
    /// Every branch tests for less or equal, which fails for a missing value: what most files have.
    plain: bool,
    /// How many targets or classes there are; every vote is for one below.
    pub n_targets: usize,
    /// How many features a row must have.
    pub n_features: usize,
}

/// What a leaf adds to one target or class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote<W> {
    pub target: u32,
    pub weight: W,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Node<W> {
    test: Test,
    missing_holds: bool,
    /// The feature that a branch tests, or a leaf's first vote.
    feature: u32,
    threshold: W,
    /// Where a branch goes when its test fails, or the end of a leaf's votes.
    otherwise: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Test {
    Leaf,
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    /// One of several numbers.
    Member,
}

/// What a file has at a place of a tree.
pub enum Place<W> {
    Leaf(Vec<Vote<W>>),
    Branch(Branch<W>),
}

pub struct Branch<W> {
    pub test: Test,
    pub missing_holds: bool,
    pub feature: i64,
    pub threshold: W,
    pub members: Vec<W>,
    /// The places it leads to.
    pub if_true: usize,
    pub if_false: usize,
}

impl<W: Number> Forest<W> {
    pub fn new(n_targets: usize) -> Forest<W> {
        Forest {
            nodes: vec![],
            roots: vec![],
            votes: vec![],
            members: HashMap::new(),
            plain: true,
            n_targets,
            n_features: 0,
        }
    }

    /// Adds the tree whose root is the place `root`. `at` tells what is at a place, and must fail for
    /// a branch that it was asked for before: such a tree would have no end.
    pub fn plant(
        &mut self,
        root: usize,
        mut at: impl FnMut(usize) -> TractResult<Place<W>>,
    ) -> TractResult<()> {
        self.roots.push(u32::try_from(self.nodes.len())?);
        // Places still to be planted, each with the branch that goes there when its test fails.
        let mut open = vec![(root, None)];
        while let Some((place, parent)) = open.pop() {
            let here = self.nodes.len();
            if let Some(parent) = parent {
                let parent: &mut Node<W> = &mut self.nodes[parent];
                parent.otherwise = u32::try_from(here)?;
            }
            match at(place)? {
                Place::Leaf(votes) => {
                    let first = u32::try_from(self.votes.len())?;
                    self.votes.extend(votes);
                    let end = u32::try_from(self.votes.len())?;
                    self.nodes.push(Node::leaf(first, end));
                }
                Place::Branch(branch) => {
                    open.push((branch.if_false, Some(here)));
                    open.push((branch.if_true, None));
                    self.add(branch)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, branch: Branch<W>) -> TractResult<()> {
        // Below 2^31, so that counting features does not overflow where a word has 32 bits.
        let feature = i32::try_from(branch.feature).ok();
        let Some(feature) = feature.and_then(|feature| u32::try_from(feature).ok()) else {
            bail!("{} is no feature", branch.feature);
        };
        self.n_features = self.n_features.max(feature as usize + 1);
        self.plain &= branch.test == Test::LessOrEqual && !branch.missing_holds;
        if branch.test == Test::Member {
            let here = u32::try_from(self.nodes.len())?;
            self.members.insert(here, branch.members);
        }
        self.nodes.push(Node {
            test: branch.test,
            missing_holds: branch.missing_holds,
            feature,
            threshold: branch.threshold,
            otherwise: 0,
        });
        Ok(())
    }

    pub fn n_trees(&self) -> usize {
        self.roots.len()
    }

    /// All the votes that can be cast.
    pub fn votes(&self) -> &[Vote<W>] {
        &self.votes
    }

    /// The votes for `row`, tree by tree. The row has at least `n_features` values.
    pub fn votes_for<'a, X>(&'a self, row: &'a [X]) -> impl Iterator<Item = &'a [Vote<W>]>
    where
        X: Number,
        W: Into<X>,
    {
        self.roots.iter().map(|&root| match self.plain {
            true => self.plain_leaf(root as usize, row),
            false => self.leaf(root as usize, row),
        })
    }

    fn plain_leaf<X: Number>(&self, root: usize, row: &[X]) -> &[Vote<W>]
    where
        W: Into<X>,
    {
        let mut at = root;
        loop {
            let node = &self.nodes[at];
            if node.test == Test::Leaf {
                return &self.votes[node.feature as usize..node.otherwise as usize];
            }
            at = if row[node.feature as usize] <= node.threshold.into() {
                at + 1
            } else {
                node.otherwise as usize
            };
        }
    }

    fn leaf<X: Number>(&self, root: usize, row: &[X]) -> &[Vote<W>]
    where
        W: Into<X>,
    {
        let mut at = root;
        loop {
            let node = &self.nodes[at];
            if node.test == Test::Leaf {
                return &self.votes[node.feature as usize..node.otherwise as usize];
            }
            let value = row[node.feature as usize];
            let threshold: X = node.threshold.into();
            let holds = match node.test {
                Test::LessOrEqual => value <= threshold,
                Test::Less => value < threshold,
                Test::GreaterOrEqual => value >= threshold,
                Test::Greater => value > threshold,
                Test::Equal => value == threshold,
                Test::NotEqual => value != threshold,
                Test::Member => self.is_member(at, value),
                Test::Leaf => false,
            };
            at = if holds || (node.missing_holds && value.is_nan()) {
                at + 1
            } else {
                node.otherwise as usize
            };
        }
    }

    fn is_member<X: Number>(&self, node: usize, value: X) -> bool
    where
        W: Into<X>,
    {
        let members = self.members.get(&(node as u32));
        members.is_some_and(|members| {
            let mut members = members.iter();
            members.any(|member| value == (*member).into())
        })
    }
}

impl<W: Number> Node<W> {
    fn leaf(first: u32, end: u32) -> Node<W> {
        Node {
            test: Test::Leaf,
            missing_holds: false,
            feature: first,
            threshold: W::zero(),
            otherwise: end,
        }
    }
}
