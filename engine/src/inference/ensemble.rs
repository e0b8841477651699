//! `Ensemble`: a tree ensemble as ONNX-ML writes it, read and checked, not yet laid out for speed.
//!
//! ```text
//! tree 0: node 0 -yes-> node 1 ...      every list of attributes is parallel over the nodes of all trees;
//!                -no--> node 2 ...      a leaf adds its weights to the scores of its targets
//! ```
//!
//! Invariants of a value of this type: every tree is a tree (each node has one parent, no cycle), every feature is a
//! column, every target is below the number of targets, every leaf has a weight, and none has two for a target. Meaning
//! of the attributes: ONNX-ML operators `TreeEnsembleClassifier` and `TreeEnsembleRegressor`
//! (<https://onnx.ai/onnx/operators/>); where the text leaves a case open (one class id for two classes, base values),
//! ONNX Runtime's answer is taken.

use std::collections::BTreeMap;

use pawl_journal::record::{CLASSES_MAX, FEATURE_COLUMNS_MAX};

use super::error::ModelProblem;
use super::onnx::Node;
use super::transform::{Transform, logistic};

/// Most nodes of one ensemble.
pub(super) const NODES_MAX: usize = 1 << 22;

/// How a node compares the column with its value to answer yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

/// A node of a tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Branch {
    /// Asks about a column; the children are indices into [`Ensemble::nodes`].
    Split { comparison: Comparison, feature: usize, value: f32, missing_is_yes: bool, yes: usize, no: usize },
    /// Adds its weights to the scores of their targets.
    Leaf(Vec<(usize, f32)>),
}

/// A tree ensemble, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ensemble {
    /// The nodes of all trees.
    pub(super) nodes: Vec<Branch>,
    /// The root of each tree, in the order in which the trees are added up.
    pub(super) roots: Vec<usize>,
    /// What becomes of the sums.
    pub(super) finish: Finish,
}

/// What becomes of the sums over all trees.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finish {
    /// Classes of a classifier; 1 for a regressor.
    pub(super) outputs: usize,
    classifier: bool,
    /// Divisor of the sums: the number of trees, for averages.
    trees: Option<f32>,
    base_values: Vec<f32>,
    /// Of two classes only one has weights, and none is negative: its sum is a probability.
    is_probability: bool,
    transform: Transform,
}

fn invalid(problem: impl Into<String>) -> ModelProblem {
    ModelProblem::Invalid(problem.into())
}

fn unsupported(what: impl Into<String>) -> ModelProblem {
    ModelProblem::Unsupported(what.into())
}

impl Comparison {
    fn from_name(name: &[u8]) -> Result<Option<Self>, ModelProblem> {
        Ok(Some(match name {
            b"LEAF" => return Ok(None),
            b"BRANCH_LEQ" => Self::Leq,
            b"BRANCH_LT" => Self::Lt,
            b"BRANCH_GTE" => Self::Gte,
            b"BRANCH_GT" => Self::Gt,
            b"BRANCH_EQ" => Self::Eq,
            b"BRANCH_NEQ" => Self::Neq,
            other => return Err(unsupported(format!("node mode {}", String::from_utf8_lossy(other)))),
        }))
    }
}

impl Ensemble {
    /// Reads a `TreeEnsembleClassifier` or `TreeEnsembleRegressor` node over rows of `columns` columns.
    ///
    /// # Errors
    /// [`ModelProblem::Unsupported`] for what ONNX allows and this backend does not evaluate,
    /// [`ModelProblem::Invalid`] for lists that contradict each other.
    pub(super) fn read(node: &Node, columns: usize) -> Result<Self, ModelProblem> {
        let classifier = node.op_type == "TreeEnsembleClassifier";
        if node.attribute.iter().any(|attribute| attribute.name.ends_with("_as_tensor")) {
            return Err(unsupported(format!("{} in double precision", node.op_type)));
        }
        let outputs = if classifier {
            node.ints("classlabels_int64s").len().max(node.texts("classlabels_strings").len())
        } else {
            usize::try_from(node.int("n_targets", 1)).unwrap_or(0)
        };
        if outputs == 0
            || outputs > CLASSES_MAX
            || (classifier && outputs < 2)
            || (!classifier && outputs != 1)
        {
            return Err(unsupported(format!("{} with {outputs} outputs", node.op_type)));
        }
        let (mut nodes, roots) = read_nodes(node, columns)?;
        let classes =
            read_weights(node, if classifier { "class" } else { "target" }, outputs, &roots, &mut nodes)?;
        check_trees(&nodes, &roots.values)?;
        let finish = read_finish(node, classifier, outputs, roots.values.len(), &classes)?;
        Ok(Self { nodes, roots: roots.values, finish })
    }
}

/// The nodes' places by tree and node id, and the roots.
struct Roots {
    values: Vec<usize>,
    places: BTreeMap<(i64, i64), usize>,
}

fn read_nodes(node: &Node, columns: usize) -> Result<(Vec<Branch>, Roots), ModelProblem> {
    let (trees, ids) = (node.ints("nodes_treeids"), node.ints("nodes_nodeids"));
    let (yes, no) = (node.ints("nodes_truenodeids"), node.ints("nodes_falsenodeids"));
    let (features, values) = (node.ints("nodes_featureids"), node.floats("nodes_values"));
    let (modes, missing) = (node.texts("nodes_modes"), node.ints("nodes_missing_value_tracks_true"));
    let count = ids.len();
    if [trees.len(), yes.len(), no.len(), features.len(), values.len(), modes.len()] != [count; 6]
        || count == 0
    {
        return Err(invalid("the lists of its tree nodes differ in length or are empty"));
    }
    if count > NODES_MAX {
        return Err(unsupported(format!("{count} tree nodes (at most {NODES_MAX})")));
    }
    let mut roots = Roots { values: Vec::new(), places: BTreeMap::new() };
    let mut seen = std::collections::BTreeSet::new();
    for at in 0..count {
        if roots.places.insert((trees[at], ids[at]), at).is_some() {
            return Err(invalid(format!("node {} of tree {} is there twice", ids[at], trees[at])));
        }
        if at == 0 || trees[at] != trees[at - 1] {
            if !seen.insert(trees[at]) {
                return Err(unsupported("trees whose nodes are not listed together"));
            }
            roots.values.push(at);
        }
    }
    let child = |at: usize, id: i64| {
        roots.places.get(&(trees[at], id)).copied().ok_or_else(|| {
            invalid(format!("node {} of tree {} leads to node {id}, which is not there", ids[at], trees[at]))
        })
    };
    let mut nodes = Vec::with_capacity(count);
    for at in 0..count {
        let Some(comparison) = Comparison::from_name(&modes[at])? else {
            nodes.push(Branch::Leaf(Vec::new()));
            continue;
        };
        let feature = usize::try_from(features[at]).unwrap_or(usize::MAX);
        if feature >= columns.min(FEATURE_COLUMNS_MAX) {
            return Err(invalid(format!("a node asks for column {}, the model has {columns}", features[at])));
        }
        if values[at].is_nan() {
            return Err(invalid("a tree node compares with NaN"));
        }
        nodes.push(Branch::Split {
            comparison,
            feature,
            value: values[at],
            missing_is_yes: missing.get(at) == Some(&1),
            yes: child(at, yes[at])?,
            no: child(at, no[at])?,
        });
    }
    Ok((nodes, roots))
}

/// What the weights say about a classifier.
struct Classes {
    /// The class of every weight, if it is one.
    single: Option<usize>,
    /// No weight is negative.
    positive: bool,
}

fn read_weights(
    node: &Node,
    prefix: &str,
    outputs: usize,
    roots: &Roots,
    nodes: &mut [Branch],
) -> Result<Classes, ModelProblem> {
    let list = |name: &str| node.ints(&format!("{prefix}_{name}"));
    let (trees, ids, targets) = (list("treeids"), list("nodeids"), list("ids"));
    let weights = node.floats(&format!("{prefix}_weights"));
    if [ids.len(), targets.len(), weights.len()] != [trees.len(); 3] {
        return Err(invalid("the lists of its leaf weights differ in length"));
    }
    for at in 0..trees.len() {
        let place = *roots.places.get(&(trees[at], ids[at])).ok_or_else(|| {
            invalid(format!("a weight is for node {} of tree {}, which is not there", ids[at], trees[at]))
        })?;
        let target = usize::try_from(targets[at]).unwrap_or(usize::MAX);
        if target >= outputs {
            return Err(invalid(format!("a weight is for output {}, the model has {outputs}", targets[at])));
        }
        if !weights[at].is_finite() {
            return Err(invalid("a leaf weight is not finite"));
        }
        // Weights of inner nodes, as old exporters wrote them, are ignored.
        if let Branch::Leaf(leaf) = &mut nodes[place] {
            if leaf.iter().any(|(other, _)| *other == target) {
                return Err(unsupported("a leaf with two weights for one output"));
            }
            leaf.push((target, weights[at]));
        }
    }
    Ok(Classes {
        single: targets
            .first()
            .filter(|first| targets.iter().all(|target| target == *first))
            .map(|it| *it as usize),
        positive: weights.iter().all(|weight| *weight >= 0.0),
    })
}

/// Every node that can be reached has one parent, and every leaf a weight.
fn check_trees(nodes: &[Branch], roots: &[usize]) -> Result<(), ModelProblem> {
    let mut seen = vec![false; nodes.len()];
    let mut open: Vec<usize> = roots.to_vec();
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut seen[at], true) {
            return Err(invalid("a tree node can be reached in two ways"));
        }
        match &nodes[at] {
            Branch::Split { yes, no, .. } => open.extend([*yes, *no]),
            Branch::Leaf(weights) if weights.is_empty() => return Err(invalid("a leaf has no weight")),
            Branch::Leaf(_) => {}
        }
    }
    Ok(())
}

fn read_finish(
    node: &Node,
    classifier: bool,
    outputs: usize,
    trees: usize,
    classes: &Classes,
) -> Result<Finish, ModelProblem> {
    let name = node.text("post_transform", "NONE");
    let transform = match Transform::from_name(&name) {
        Some(transform) if classifier || transform == Transform::None => transform,
        _ => return Err(unsupported(format!("{} with post_transform {name}", node.op_type))),
    };
    let aggregate = node.text("aggregate_function", "SUM");
    let trees = match aggregate.as_str() {
        "AVERAGE" if !classifier => Some(trees as f32),
        "SUM" => None,
        _ => return Err(unsupported(format!("{} with aggregate_function {aggregate}", node.op_type))),
    };
    let base_values = node.floats("base_values").to_vec();
    if base_values.len() > outputs || base_values.iter().any(|value| !value.is_finite()) {
        return Err(invalid("its base values are not finite or more than its outputs"));
    }
    if outputs == 2 && !base_values.is_empty() && (base_values.len() > 1 || classes.single != Some(0)) {
        // ONNX does not say what this means, and ONNX Runtime leaves out some of the numbers.
        return Err(unsupported("base values for two classes that both have weights"));
    }
    Ok(Finish {
        outputs,
        classifier,
        trees,
        base_values,
        is_probability: classes.single.is_some() && classes.positive,
        transform,
    })
}

impl Finish {
    /// Turns the sums over all trees into the model's answer, in place. Bit `k` of `scored` says that a weight was
    /// added to target `k`.
    pub(super) fn apply(&self, sums: &mut [f32; CLASSES_MAX], scored: u32) {
        if !self.classifier {
            if let Some(trees) = self.trees {
                sums[0] /= trees;
            }
            sums[0] += self.base_values.first().copied().unwrap_or(0.0);
            return;
        }
        if self.outputs > 2 {
            for (sum, base) in sums.iter_mut().zip(&self.base_values) {
                *sum += base;
            }
            return self.transform.apply(&mut sums[..self.outputs]);
        }
        if scored & 2 != 0 {
            return self.transform.apply(&mut sums[..2]);
        }
        // One score for two classes: the second class's.
        let score = sums[0] + self.base_values.first().copied().unwrap_or(0.0);
        if self.transform == Transform::Logistic {
            (sums[0], sums[1]) = (logistic(-score), logistic(score));
        } else if self.is_probability {
            (sums[0], sums[1]) = (1.0 - score, score);
        } else {
            (sums[0], sums[1]) = (-score, score);
        }
    }
}
