//! `Schema`: the names and order of the columns, and the one number that stands for them.

use xxhash_rust::xxh3::xxh3_64;

use super::interval::BarInterval;

/// The names and order of the columns, and the interval of the bars that some are computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    columns: Vec<String>,
    bars: BarInterval,
    hash: u64,
}

impl Schema {
    pub(super) fn new(columns: Vec<String>, bars: BarInterval) -> Self {
        let mut text = format!("{bars}\n");
        for name in &columns {
            text.push_str(name);
            text.push('\n');
        }
        Self { hash: xxh3_64(text.as_bytes()), columns, bars }
    }

    /// The columns' names, in order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The interval of the bars.
    #[must_use]
    pub const fn bars(&self) -> BarInterval {
        self.bars
    }

    /// Hash of names, order and bar interval: XXH3 (64 bits, seed 0) of the interval in its canonical form and of
    /// every name, each followed by a line feed.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Where in the vector this column stands.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}
