//! `lay_out`: where every node of an ensemble goes, so that a walk touches few cache lines.
//!
//! ```text
//!  ensemble -> parts (every comparison as `key <= value`) -> pairs of siblings, four to a cache line -> chunks
//!
//!  line | pair of a node | pairs of its children | pair of a grandchild |    a tree of depth 6 is left after three lines
//! ```
//!
//! Trees are walked in runs. Where every tree has one output, its leaves hold their weights, and a run is the trees of one
//! output in their order; otherwise there is one run, and leaves point at lists of weights.
//!
//! Invariants: siblings lie side by side; the trees of a group lie in one chunk; a chunk begins with a
//! leaf of no tree, for groups of fewer than eight.

use std::collections::VecDeque;

use pawl_journal::record::{CLASSES_MAX, FEATURE_COLUMNS_MAX};

use super::ensemble::{Branch, Comparison, Ensemble};
use super::error::ModelProblem;
use super::forest::{Group, LANES, Leaves, NODES, Node, Run, key, leaf, question, slot};

/// Pairs of siblings in a cache line.
const PAIRS: usize = 4;

/// Nodes in a cache line.
const LINE: usize = 2 * PAIRS;

type Chunk = Box<[Node; NODES]>;

/// Lays out an ensemble: its chunks, its runs, and what a leaf's value means.
///
/// # Errors
/// [`ModelProblem::Unsupported`] if one tree alone is larger than a chunk.
pub(super) fn lay_out(ensemble: &Ensemble) -> Result<(Vec<Chunk>, Vec<Run>, Leaves), ModelProblem> {
    let outputs: Option<Vec<usize>> = ensemble.roots.iter().map(|root| output(ensemble, *root)).collect();
    let mut parts = Parts::new(ensemble, outputs.is_some());
    let mut places = Places::default();
    let mut runs = Vec::new();
    for output in 0..if outputs.is_some() { CLASSES_MAX } else { 1 } {
        let is_here = |at: usize| outputs.as_ref().is_none_or(|outputs| outputs[at] == output);
        let roots = ensemble.roots.iter().enumerate().filter(|(at, _)| is_here(*at));
        let groups = places.groups(&mut parts, roots.map(|(_, root)| *root))?;
        if !groups.is_empty() {
            runs.push(Run { output, groups });
        }
    }
    let leaves = if outputs.is_some() { Leaves::One } else { Leaves::Several(parts.weights) };
    Ok((places.chunks, runs, leaves))
}

/// The one output of all leaves of a tree; none if there are several.
fn output(ensemble: &Ensemble, root: usize) -> Option<usize> {
    let mut found = None;
    let mut open = vec![root];
    while let Some(at) = open.pop() {
        match &ensemble.nodes[at] {
            Branch::Split { yes, no, .. } => open.extend([*yes, *no]),
            Branch::Leaf(weights) => {
                let [(output, _)] = weights.as_slice() else { return None };
                if *found.get_or_insert(*output) != *output {
                    return None;
                }
            }
        }
    }
    found
}

/// A node, its comparison made a `key <= value`. Two may lead to the same part.
#[derive(Debug, Clone, Copy)]
enum Part {
    Question { key: u32, slot: u8, children: [usize; 2] },
    Leaf(u32),
}

/// The parts of an ensemble: those with its nodes' indices first, then what some comparisons need besides.
struct Parts {
    parts: Vec<Part>,
    /// Of leaves with several weights; the first is the one of no tree.
    weights: Vec<[f32; CLASSES_MAX]>,
    /// Where the pair of a part's children is.
    pairs: Vec<Option<u16>>,
    /// Steps to its deepest leaf, and the pairs below it, as far as they matter.
    depths: Vec<(u32, usize)>,
}

impl Parts {
    fn new(ensemble: &Ensemble, one_output: bool) -> Self {
        let mut own = Self {
            parts: vec![Part::Leaf(0); ensemble.nodes.len()],
            weights: vec![[0.0; CLASSES_MAX]],
            pairs: Vec::new(),
            depths: Vec::new(),
        };
        for (at, node) in ensemble.nodes.iter().enumerate() {
            match node {
                Branch::Split { comparison, feature, value, missing_is_yes, yes, no } => {
                    own.split(at, *comparison, (*feature, *value, *missing_is_yes), (*yes, *no));
                }
                Branch::Leaf(weights) if one_output => {
                    let weight = weights.first().map_or(0.0, |(_, weight)| *weight);
                    own.parts[at] = Part::Leaf(weight.to_bits());
                }
                Branch::Leaf(weights) => {
                    own.parts[at] = Part::Leaf(own.weights.len() as u32);
                    own.weights.push(lanes(weights, ensemble.finish.outputs));
                }
            }
        }
        own.pairs = vec![None; own.parts.len()];
        own.depths = vec![(0, 0); own.parts.len()];
        own
    }

    /// A split as one or two questions.
    fn split(
        &mut self,
        at: usize,
        comparison: Comparison,
        (column, value, missing): (usize, f32, bool),
        (yes, no): (usize, usize),
    ) {
        // -0.0 and 0.0 are equal and their keys are neighbours.
        let up_to = key(value + 0.0);
        let below = key(if value == 0.0 { -0.0 } else { value }) - 1;
        self.parts[at] = match comparison {
            Comparison::Leq => self.question(column, up_to, missing, [yes, no]),
            Comparison::Lt => self.question(column, below, missing, [yes, no]),
            Comparison::Gt => self.question(column, up_to, !missing, [no, yes]),
            Comparison::Gte => self.question(column, below, !missing, [no, yes]),
            Comparison::Eq => {
                let under = self.question(column, below, false, [no, yes]);
                let under = self.push(under);
                self.question(column, up_to, missing, [under, no])
            }
            // Only `!=` is true of a missing value by itself.
            Comparison::Neq => {
                let under = self.question(column, below, false, [yes, no]);
                let under = self.push(under);
                self.question(column, up_to, false, [under, yes])
            }
        };
    }

    fn question(
        &mut self,
        column: usize,
        key_max: u32,
        missing_is_first: bool,
        children: [usize; 2],
    ) -> Part {
        let question = |key, missing_is_first, children| Part::Question {
            key,
            slot: slot(column, missing_is_first),
            children,
        };
        if missing_is_first && column == FEATURE_COLUMNS_MAX - 1 {
            // This slot is the leaves': whether the value is there is a question of its own.
            let there = self.push(question(key_max, false, children));
            return question(key(f32::INFINITY), false, [there, children[0]]);
        }
        question(key_max, missing_is_first, children)
    }

    fn push(&mut self, part: Part) -> usize {
        self.parts.push(part);
        self.parts.len() - 1
    }

    /// Works out the depths of a tree, children first.
    fn measure(&mut self, root: usize) {
        let mut open = vec![(root, false)];
        while let Some((at, is_below_done)) = open.pop() {
            let Part::Question { children, .. } = self.parts[at] else { continue };
            if is_below_done {
                let [(left, left_pairs), (right, right_pairs)] = children.map(|child| self.depths[child]);
                self.depths[at] = (1 + left.max(right), (1 + left_pairs + right_pairs).min(PAIRS));
            } else if self.depths[at].0 == 0 {
                open.push((at, true));
                open.extend(children.map(|child| (child, false)));
            }
        }
    }

    /// The node for a part that stands at `place`.
    fn node(&self, at: usize, place: u16) -> Node {
        match self.parts[at] {
            Part::Question { key, slot, .. } => question(key, slot, self.pairs[at].unwrap_or(place)),
            Part::Leaf(value) => leaf(value, place),
        }
    }
}

/// The weights of a leaf by output, with the mark of a second one.
fn lanes(weights: &[(usize, f32)], outputs: usize) -> [f32; CLASSES_MAX] {
    let mut lanes = [0.0; CLASSES_MAX];
    for (output, weight) in weights {
        lanes[*output] = *weight;
        if outputs == 2 && *output == 1 {
            lanes[CLASSES_MAX - 1] = 1.0;
        }
    }
    lanes
}

/// The chunks, and how far the last one is filled.
#[derive(Default)]
struct Places {
    chunks: Vec<Chunk>,
    /// The first place of the last chunk at the start of a cache line.
    first: usize,
    next: usize,
}

impl Places {
    /// Places trees, in groups.
    fn groups(
        &mut self,
        parts: &mut Parts,
        roots: impl Iterator<Item = usize>,
    ) -> Result<Vec<Group>, ModelProblem> {
        let mut groups: Vec<Group> = Vec::new();
        let mut used = LANES;
        for root in roots {
            parts.measure(root);
            let node = self.tree(parts, root)?;
            let chunk = self.chunks.len() - 1;
            if used == LANES || groups.last().is_some_and(|group| group.chunk != chunk) {
                let nothing = leaf(0, self.first as u16);
                groups.push(Group { roots: [nothing; LANES], chunk, depth: 0 });
                used = 0;
            }
            if let Some(group) = groups.last_mut() {
                group.roots[used] = node;
                group.depth = group.depth.max(parts.depths[root].0);
            }
            used += 1;
        }
        Ok(groups)
    }

    /// Places a tree; its root is for the group.
    fn tree(&mut self, parts: &mut Parts, root: usize) -> Result<Node, ModelProblem> {
        if self.chunks.is_empty() {
            self.begin();
        }
        let placed = match self.pairs(parts, root) {
            Some(placed) => placed,
            None => {
                self.begin();
                self.pairs(parts, root).ok_or_else(|| {
                    ModelProblem::Unsupported("a tree that takes more than 65,536 nodes".to_owned())
                })?
            }
        };
        let nodes = self.chunks.last_mut().expect("one was begun");
        for at in placed {
            let (Part::Question { children, .. }, Some(pair)) = (parts.parts[at], parts.pairs[at]) else {
                continue;
            };
            for (place, child) in (pair..).zip(children) {
                nodes[usize::from(place)] = parts.node(child, place);
            }
        }
        // A root that is a leaf stands in the chunk too, since it leads to itself.
        let place = self.next as u16;
        let node = parts.node(root, place);
        if matches!(parts.parts[root], Part::Leaf(_)) {
            nodes[usize::from(place)] = node;
            self.next += 2;
        }
        Ok(node)
    }

    /// Gives every pair of siblings of a tree its place; the parts they belong to, or nothing if there is no room.
    fn pairs(&mut self, parts: &mut Parts, root: usize) -> Option<Vec<usize>> {
        let start = self.next;
        let mut placed = Vec::new();
        let mut tops = VecDeque::from([root]);
        while let Some(top) = tops.pop_front() {
            let free = (LINE - (self.next - self.first) % LINE) / 2;
            if parts.depths[top].1 > free {
                self.next += 2 * free;
            }
            let mut line = VecDeque::from([top]);
            let end = self.next + LINE - (self.next - self.first) % LINE;
            while let Some(at) = line.pop_front() {
                let Part::Question { children, .. } = parts.parts[at] else { continue };
                if parts.pairs[at].is_some() {
                    continue;
                }
                if self.next == end {
                    tops.push_back(at);
                    continue;
                }
                parts.pairs[at] = u16::try_from(self.next).ok();
                placed.push(at);
                line.extend(children);
                self.next += 2;
            }
            // Room for one more, so that a root that is a leaf always finds it.
            if self.next + 4 > NODES {
                placed.into_iter().for_each(|at| parts.pairs[at] = None);
                self.next = start;
                return None;
            }
        }
        Some(placed)
    }

    /// Begins a chunk, with the leaf of no tree in it.
    fn begin(&mut self) {
        let mut nodes: Chunk = vec![0; NODES].into_boxed_slice().try_into().expect("it has that length");
        self.first = nodes.as_ptr().addr().wrapping_neg() % 64 / size_of::<Node>();
        nodes[self.first] = leaf(0, self.first as u16);
        self.next = self.first + 2;
        self.chunks.push(nodes);
    }
}
