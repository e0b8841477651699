//! `Forest`: a tree ensemble laid out for one row at a time: eight bytes a node, eight trees at once.
//!
//! ```text
//!        63        32 31    16 15    8 7     0
//!  node | key        | child  | 0     | slot  |    next = child      if node >= keys[slot]
//!  leaf | its value  | itself | 0     | 255   |           child + 1  if node <  keys[slot]
//! ```
//!
//! The row becomes a table of keys: whole numbers in the order of the floats, each at two slots, so that a missing value
//! is above everything at the one and below everything at the other, as the node wants it. A step is then two loads, one
//! comparison and one addition, without a branch that depends on the data and without a bounds check; a leaf leads to
//! itself, so eight trees take as many steps as the deepest of them. What bounds the speed is the number of loads.
//!
//! Weights are added per output in the order of the trees, in single precision, as ONNX Runtime does on one thread. A sum
//! starts at +0.0 and so is never -0.0: adding +0.0 changes no bit of it, and stands for a tree that is not there.

use pawl_journal::record::{CLASSES_MAX, FEATURE_COLUMNS_MAX};

use super::ensemble::{Ensemble, Finish};
use super::error::ModelProblem;
use super::layout;

/// Trees walked at once.
pub(super) const LANES: usize = 8;

/// Slots of a row: every column with missing values above everything, then every column with them below.
const SLOTS: usize = 2 * FEATURE_COLUMNS_MAX;

/// The slot that is always 0, for leaves; it would be the last column's with missing values below everything.
pub(super) const ZERO_SLOT: u8 = u8::MAX;

/// Nodes that share one array: a child is 16 bits, and the one behind it may be the next.
pub(super) const NODES: usize = (1 << 16) + 1;

const _: () = assert!(SLOTS == 1 << 8, "a node has eight bits for its slot");

/// A node, as drawn above.
pub(super) type Node = u64;

/// A node that goes to `child` if the key at `slot` is at most `key`, else to the one behind it.
pub(super) const fn question(key: u32, slot: u8, child: u16) -> Node {
    (key as Node) << 32 | (child as Node) << 16 | slot as Node
}

/// A leaf at `place`.
pub(super) const fn leaf(value: u32, place: u16) -> Node {
    question(value, ZERO_SLOT, place)
}

/// The slot of a column for nodes that send a missing value to their first child, or to their second.
///
/// # Panics
/// For the last column's missing values to the first child: that slot is [`ZERO_SLOT`].
pub(super) fn slot(column: usize, missing_is_first: bool) -> u8 {
    let slot = if missing_is_first { FEATURE_COLUMNS_MAX + column } else { column };
    assert!(slot < usize::from(ZERO_SLOT), "a column has its slots");
    slot as u8
}

/// The place of a number in the order of all numbers, above 0 and below `u32::MAX`; -0.0 is just below 0.0.
pub(super) const fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    bits ^ (((bits.cast_signed() >> 31).cast_unsigned()) | 1 << 31)
}

/// A tree ensemble laid out for walking.
#[derive(Debug, Clone)]
pub(super) struct Forest {
    chunks: Vec<Box<[Node; NODES]>>,
    runs: Vec<Run>,
    leaves: Leaves,
    keys: Box<[u64; SLOTS]>,
    finish: Finish,
}

/// What the value of a leaf is.
#[derive(Debug, Clone)]
pub(super) enum Leaves {
    /// Its weight; all leaves of a run are of one output.
    One,
    /// The place of its weights: one for each output, and in the last lane, where there are two outputs, whether the
    /// second has any.
    Several(Vec<[f32; CLASSES_MAX]>),
}

/// Trees that are added up together.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// The output of their leaves, if that is one.
    pub(super) output: usize,
    pub(super) groups: Vec<Group>,
}

/// Eight trees of one chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) roots: [Node; LANES],
    pub(super) chunk: usize,
    /// Steps to the deepest leaf.
    pub(super) depth: u32,
}

impl Forest {
    /// Lays out an ensemble.
    ///
    /// # Errors
    /// [`ModelProblem::Unsupported`] if one tree alone is larger than a chunk.
    pub(super) fn new(ensemble: &Ensemble) -> Result<Self, ModelProblem> {
        let (chunks, runs, leaves) = layout::lay_out(ensemble)?;
        Ok(Self { chunks, runs, leaves, keys: Box::new([0; SLOTS]), finish: ensemble.finish.clone() })
    }

    /// How many numbers the answer has.
    pub(super) const fn outputs(&self) -> usize {
        self.finish.outputs
    }

    /// The answer for one row: class probabilities, or the regression's value.
    pub(super) fn score(&mut self, row: &[f32]) -> [f32; CLASSES_MAX] {
        self.take(row);
        let mut sums = [0.0; CLASSES_MAX];
        let mut scored = 0;
        for run in &self.runs {
            match &self.leaves {
                Leaves::One => {
                    let mut sum = 0.0;
                    for group in &run.groups {
                        self.walk(group).into_iter().for_each(|leaf| sum += f32::from_bits(value(leaf)));
                    }
                    sums[run.output] = sum;
                    scored |= 1 << run.output;
                }
                Leaves::Several(table) => {
                    for group in &run.groups {
                        for leaf in self.walk(group) {
                            let weights = &table[value(leaf) as usize];
                            sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
                        }
                    }
                    if self.finish.outputs == 2 {
                        scored = if std::mem::take(&mut sums[CLASSES_MAX - 1]) > 0.0 { 2 } else { 0 };
                    }
                }
            }
        }
        self.finish.apply(&mut sums, scored);
        sums
    }

    /// Fills the table of keys.
    fn take(&mut self, row: &[f32]) {
        let (above, below) = self.keys[..usize::from(ZERO_SLOT)].split_at_mut(FEATURE_COLUMNS_MAX);
        for (slot, x) in above.iter_mut().zip(row) {
            *slot = u64::from(if x.is_nan() { u32::MAX } else { key(*x) }) << 32;
        }
        for (slot, x) in below.iter_mut().zip(row) {
            *slot = u64::from(if x.is_nan() { 0 } else { key(*x) }) << 32;
        }
    }

    /// The leaves of eight trees.
    #[inline]
    fn walk(&self, group: &Group) -> [Node; LANES] {
        let nodes = &*self.chunks[group.chunk];
        let mut at = group.roots;
        for _ in 0..group.depth {
            for node in &mut at {
                let is_second = *node < self.keys[(*node & 0xFF) as usize];
                *node = nodes[(*node as u32 >> 16) as usize + usize::from(is_second)];
            }
        }
        at
    }
}

const fn value(leaf: Node) -> u32 {
    (leaf >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_the_floats_between_the_two_of_a_missing_value() {
        let tiny = f32::from_bits(1);
        let rising =
            [f32::NEG_INFINITY, f32::MIN, -1.0, -tiny, -0.0, 0.0, tiny, 1.0, f32::MAX, f32::INFINITY];
        assert!(rising.map(key).is_sorted_by(|left, right| left < right));
        assert_eq!(key(0.0) - key(-0.0), 1, "nothing is between them");
        assert!(key(f32::NEG_INFINITY) > 1 && key(f32::INFINITY) < u32::MAX);
    }
}
