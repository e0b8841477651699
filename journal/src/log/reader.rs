//! The reader: walks a journal, finished or not, to the last step that is committed when it gets there.
//!
//! Invariants: it gives whole steps in order or says what is wrong; it writes nothing and takes no lock.

use std::path::Path;

use crate::record::{Sequence, Time};

use super::directory::Directory;
use super::error::JournalError;
use super::frame::Frame;
use super::storage::{Disk, Storage};
use super::traversal::Traversal;

/// Walks a journal from its start, or from where it was sent.
#[derive(Debug)]
pub struct Reader<S: Storage = Disk> {
    traversal: Traversal<S>,
}

impl Reader {
    /// Opens the journal in `dir` at its first step.
    ///
    /// # Errors
    /// [`JournalError::NoJournal`], [`JournalError::NewerFormat`], [`JournalError::Damaged`], [`JournalError::Io`].
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        Self::open_in(Disk::new(dir))
    }
}

impl<S: Storage> Reader<S> {
    /// Opens the journal in a storage at its first step.
    pub(super) fn open_in(storage: S) -> Result<Self, JournalError> {
        Ok(Self { traversal: Traversal::open(&Directory::new(storage))? })
    }

    /// Goes to the first step whose sequence is `sequence` or above; before the start that is the first one, behind
    /// the end there is none. Finds the segment by name, then a place near by its index.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn seek(&mut self, sequence: Sequence) -> Result<(), JournalError> {
        self.traversal.seek(sequence)
    }

    /// Goes to the first step whose time is `time` or later. Finds the segment by the times in the headers,
    /// then a place near by its index.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn seek_time(&mut self, time: Time) -> Result<(), JournalError> {
        self.traversal.seek_time(time)
    }

    /// Goes to the first step of the last turn of writing: of the writer that has the journal, or had it last.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn seek_turn(&mut self) -> Result<(), JournalError> {
        self.traversal.seek_turn()
    }

    /// The next step; `None` behind the last one that is committed now. Control frames are handled inside.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] where the bytes are not what was written; the reader stays there.
    #[expect(
        clippy::should_implement_trait,
        reason = "a frame borrows from the reader; an iterator's items may not"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, JournalError> {
        let mut found = self.traversal.advance()?;
        if found.is_none()
            && let Some(damage) = self.traversal.end_lost()?
        {
            // A writer may have gone on between the two looks; what it had committed then is there now.
            found = self.traversal.advance()?;
            if found.is_none() {
                return Err(self.traversal.damaged_here(damage));
            }
        }
        Ok(found.map(|found| self.traversal.frame(found)))
    }

    /// Sequence of the first step; 0 if there is none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn first_sequence(&self) -> Result<Sequence, JournalError> {
        let mut first = Self { traversal: Traversal::open(self.traversal.directory())? };
        Ok(first.next()?.map_or(Sequence(0), |frame| frame.sequence()))
    }

    /// Sequence of the last step that is committed now; 0 if there is none. Walks what the
    /// index of the last segment leaves of it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn last_sequence(&self) -> Result<Sequence, JournalError> {
        Ok(Sequence(self.end()?.next_sequence() - 1))
    }

    /// Sequence of the last step that the journal says is on disk now; 0 if it says so of none. As much work as
    /// [`Self::last_sequence`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn durable_sequence(&self) -> Result<Sequence, JournalError> {
        Ok(Sequence(self.end()?.durable()))
    }

    fn end(&self) -> Result<Traversal<S>, JournalError> {
        let mut end = Traversal::open(self.traversal.directory())?;
        end.seek_end()?;
        Ok(end)
    }

    /// The journal's id: random, the same for all of its segments.
    #[must_use]
    pub fn journal_id(&self) -> [u8; 16] {
        self.traversal.journal_id()
    }

    /// The journal's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.traversal.directory().storage.dir()
    }
}
