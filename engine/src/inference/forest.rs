//! `Forest`: a tree ensemble laid out for walking: eight bytes a node, eight trees at once.
//!
//! ```text
//!  node  | value f32 | child 22 bits | split | equal | missing | column 7 bits |
//!
//!  split: next = child      if row[column] <= value (or is NaN and missing is set), else child + 1
//!  leaf : next = itself; value is its weight (or, where leaves have several, the place of its list), column its target
//! ```
//!
//! Every comparison of ONNX becomes `<=` (or `==`) when the ensemble is laid out: `x < v` is `x <= v'` with v' the
//! float below v; `>` and `>=` swap the children. A leaf leads to itself, so eight trees are walked side by side for as
//! many steps as the deepest of them, without a branch that depends on the data. The weights are added in the order of
//! the trees, in single precision, as ONNX Runtime does on one thread.

use pawl_journal::record::{CLASSES_MAX, FEATURE_COLUMNS_MAX};

use super::ensemble::{Branch, Comparison, Ensemble, Finish};

/// Trees walked at once.
const LANES: usize = 8;

const COLUMN: u32 = (FEATURE_COLUMNS_MAX - 1) as u32;
const MISSING: u32 = 1 << 7;
const EQUAL: u32 = 1 << 8;
const SPLIT: u32 = 1 << 9;
const CHILD_SHIFT: u32 = 10;

const _: () = assert!(FEATURE_COLUMNS_MAX == 128, "a node has seven bits for its column");
const _: () =
    assert!(super::ensemble::NODES_MAX <= 1 << (32 - CHILD_SHIFT), "a node has 22 bits for its child");

/// A row with room for every column a node may name.
pub(super) type Row = [f32; FEATURE_COLUMNS_MAX];

#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    value: f32,
    bits: u32,
}

const _: () = assert!(size_of::<Node>() == 8);

/// A tree ensemble laid out for walking.
#[derive(Debug, Clone)]
pub(super) struct Forest {
    nodes: Box<[Node]>,
    /// The roots of eight trees and the steps to the deepest of their leaves.
    groups: Box<[Group]>,
    /// Where leaves have several weights: for each leaf the range of its entries.
    lists: Box<[(u32, u32)]>,
    entries: Box<[(u32, f32)]>,
    has_equal: bool,
    finish: Finish,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    roots: [u32; LANES],
    trees: usize,
    depth: u32,
}

impl Forest {
    /// Lays out an ensemble.
    pub(super) fn new(ensemble: &Ensemble) -> Self {
        let mut builder = Builder {
            ensemble,
            nodes: Vec::with_capacity(ensemble.nodes.len()),
            lists: Vec::new(),
            entries: Vec::new(),
            several: ensemble
                .nodes
                .iter()
                .any(|node| matches!(node, Branch::Leaf(weights) if weights.len() > 1)),
            has_equal: false,
        };
        let trees: Vec<(u32, u32)> = ensemble.roots.iter().map(|root| builder.tree(*root)).collect();
        let groups = trees.chunks(LANES).map(|trees| {
            let mut roots = [trees[0].0; LANES];
            for (root, tree) in roots.iter_mut().zip(trees) {
                *root = tree.0;
            }
            let depth = trees.iter().map(|tree| tree.1).max().unwrap_or(0);
            Group { roots, trees: trees.len(), depth }
        });
        Self {
            groups: groups.collect(),
            nodes: builder.nodes.into(),
            lists: builder.lists.into(),
            entries: builder.entries.into(),
            has_equal: builder.has_equal,
            finish: ensemble.finish.clone(),
        }
    }

    /// How many numbers the answer has.
    pub(super) const fn outputs(&self) -> usize {
        self.finish.outputs
    }

    /// The answer for one row: class probabilities, or the regression's value.
    pub(super) fn score(&self, row: &Row) -> [f32; CLASSES_MAX] {
        let mut sums = [0.0; CLASSES_MAX];
        let mut scored = 0;
        for group in &self.groups {
            let leaves =
                if self.has_equal { self.walk::<true>(group, row) } else { self.walk::<false>(group, row) };
            for leaf in &leaves[..group.trees] {
                let node = self.nodes[*leaf as usize];
                if self.lists.is_empty() {
                    let target = node.bits as usize & (CLASSES_MAX - 1);
                    sums[target] += node.value;
                    scored |= 1 << target;
                } else {
                    let (start, end) = self.lists[node.value.to_bits() as usize];
                    for (target, weight) in &self.entries[start as usize..end as usize] {
                        sums[*target as usize & (CLASSES_MAX - 1)] += weight;
                        scored |= 1 << target;
                    }
                }
            }
        }
        self.finish.apply(&mut sums, scored);
        sums
    }

    #[inline]
    fn walk<const HAS_EQUAL: bool>(&self, group: &Group, row: &Row) -> [u32; LANES] {
        let mut at = group.roots;
        for _ in 0..group.depth {
            for place in &mut at {
                let node = self.nodes[*place as usize];
                let x = row[(node.bits & COLUMN) as usize];
                let below =
                    if HAS_EQUAL && node.bits & EQUAL != 0 { x == node.value } else { x <= node.value };
                let yes = below | (x.is_nan() & (node.bits & MISSING != 0));
                let no = u32::from(!yes) & u32::from(node.bits & SPLIT != 0);
                *place = (node.bits >> CHILD_SHIFT) + no;
            }
        }
        at
    }
}

const _: () = assert!(CLASSES_MAX.is_power_of_two());

struct Builder<'a> {
    ensemble: &'a Ensemble,
    nodes: Vec<Node>,
    lists: Vec<(u32, u32)>,
    entries: Vec<(u32, f32)>,
    several: bool,
    has_equal: bool,
}

impl Builder<'_> {
    /// Lays out one tree, breadth first with siblings side by side; returns its root and its depth.
    fn tree(&mut self, root: usize) -> (u32, u32) {
        let start = self.nodes.len();
        let mut queue = vec![(root, 0)];
        self.nodes.push(Node { value: 0.0, bits: 0 });
        let mut done = 0;
        let mut depth = 0;
        while let Some(&(at, level)) = queue.get(done) {
            let place = start + done;
            done += 1;
            depth = depth.max(level);
            match &self.ensemble.nodes[at] {
                Branch::Leaf(weights) => self.nodes[place] = self.leaf(place, weights),
                Branch::Split { comparison, feature, value, missing_is_yes, yes, no } => {
                    let child = self.nodes.len();
                    let (node, swapped) = split(*comparison, *value, *missing_is_yes, *feature, child);
                    self.has_equal |= node.bits & EQUAL != 0;
                    self.nodes[place] = node;
                    self.nodes.extend([Node { value: 0.0, bits: 0 }; 2]);
                    let (first, second) = if swapped { (*no, *yes) } else { (*yes, *no) };
                    queue.extend([(first, level + 1), (second, level + 1)]);
                }
            }
        }
        (start as u32, depth)
    }

    fn leaf(&mut self, place: usize, weights: &[(usize, f32)]) -> Node {
        let bits = (place as u32) << CHILD_SHIFT;
        if !self.several {
            let (target, weight) = weights[0];
            return Node { value: weight, bits: bits | target as u32 };
        }
        let start = self.entries.len() as u32;
        self.entries.extend(weights.iter().map(|(target, weight)| (*target as u32, *weight)));
        self.lists.push((start, self.entries.len() as u32));
        Node { value: f32::from_bits(self.lists.len() as u32 - 1), bits }
    }
}

/// A split as `<=` or `==`, and whether its children are swapped.
fn split(
    comparison: Comparison,
    value: f32,
    missing_is_yes: bool,
    column: usize,
    child: usize,
) -> (Node, bool) {
    // Nothing is below minus infinity; a comparison with NaN is always false.
    let below = if value == f32::NEG_INFINITY { f32::NAN } else { value.next_down() };
    let (value, equal, swapped) = match comparison {
        Comparison::Leq => (value, false, false),
        Comparison::Lt => (below, false, false),
        Comparison::Gt => (value, false, true),
        Comparison::Gte => (below, false, true),
        Comparison::Eq => (value, true, false),
        Comparison::Neq => (value, true, true),
    };
    // Where the children are swapped, a missing value that answers yes must not answer yes here, and a missing value
    // that fails its comparison must. Only `!=` is true of a missing value by itself.
    let missing = match comparison {
        Comparison::Neq => false,
        _ => missing_is_yes != swapped,
    };
    let mut bits = column as u32 | SPLIT | ((child as u32) << CHILD_SHIFT);
    if missing {
        bits |= MISSING;
    }
    if equal {
        bits |= EQUAL;
    }
    (Node { value, bits }, swapped)
}
