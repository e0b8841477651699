//! The account: what a writer was told about its steps, to hold the journal to.
//!
//! ```text
//!  steps:  1 ........ durable ........ committed ... begun
//!          | survive a machine's death |             |
//!          | survive a process's death               |
//!          | may be there, and nothing else                 |
//! ```
//!
//! Invariants: durable <= committed <= begun <= committed + 1 while a writer is at work.

use std::sync::Arc;

use crate::log::storage::machine::Death;
use crate::log::watermark::Watermarks;

/// What a writer was told.
#[derive(Debug, Clone, Default)]
pub(in crate::log) struct Account {
    /// Every step that was begun: its frame, without the commit word.
    pub(in crate::log) steps: Vec<Arc<[u8]>>,
    /// The most steps that were ever begun since a recovery counted them.
    pub(in crate::log) begun: usize,
    /// Steps whose append has returned.
    pub(in crate::log) committed: usize,
    /// Steps that were durable when there were no watermarks, or that a tailer gave as durable.
    pub(in crate::log) told: usize,
    /// Whether a machine has died since the last recovery: what is there may have holes.
    pub(in crate::log) is_torn: bool,
    /// Whether a writer was at work when something died, and not a recovery.
    pub(in crate::log) was_open: bool,
    /// Of the writer, while there is one.
    pub(in crate::log) watermarks: Option<Watermarks>,
}

impl Account {
    /// Steps that the machine's death must leave.
    pub(in crate::log) fn durable(&self) -> usize {
        self.told.max(self.watermarks.as_ref().map_or(0, |watermarks| watermarks.durable().0 as usize))
    }

    /// The account that the next writer is held to. Nobody knows which of the steps behind `committed` there are.
    pub(in crate::log) fn at_death(&self, death: Death) -> Self {
        let told = self.durable();
        let committed = if death == Death::Machine { told } else { self.committed };
        let is_torn = self.is_torn || death == Death::Machine;
        let was_open = self.watermarks.is_some();
        let begun = self.begun.max(self.steps.len());
        Self { steps: self.steps.clone(), begun, committed, told, is_torn, was_open, watermarks: None }
    }

    /// The writer is gone, and nobody died.
    pub(in crate::log) fn settle(&mut self) {
        *self = self.at_death(Death::Process);
    }

    /// A writer has found this many steps, and says that they are durable.
    pub(in crate::log) fn recovered(&mut self, count: usize, watermarks: Option<Watermarks>) {
        self.steps.truncate(count);
        self.begun = count;
        (self.committed, self.told, self.is_torn, self.watermarks) = (count, count, false, watermarks);
    }
}
