//! The reader: walks a journal, finished or not, to the last step that is committed when it gets there.
//!
//! Invariants: it gives whole steps in order or says what is wrong; it writes nothing and takes no lock.

use std::path::Path;

use crate::record::{Sequence, Time};

use super::cursor::Cursor;
use super::error::JournalError;
use super::frame::Frame;

/// Walks a journal from its start, or from where it was sent.
#[derive(Debug)]
pub struct Reader {
    cursor: Cursor,
}

impl Reader {
    /// Opens the journal in `dir` at its first step.
    ///
    /// # Errors
    /// [`JournalError::NoJournal`], [`JournalError::NewerFormat`], [`JournalError::Damaged`], [`JournalError::Io`].
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        Ok(Self { cursor: Cursor::open(dir)? })
    }

    /// Goes to the first step whose sequence is `sequence` or above; before the start that is the first one, behind
    /// the end there is none. Finds the segment by name, then walks it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn seek(&mut self, sequence: Sequence) -> Result<(), JournalError> {
        self.cursor.seek(sequence)
    }

    /// Goes to the first step whose time is `time` or later. Finds the segment by the times in the headers, then
    /// walks it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn seek_time(&mut self, time: Time) -> Result<(), JournalError> {
        self.cursor.seek_time(time)
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
        let mut found = self.cursor.advance()?;
        if found.is_none() && self.cursor.end_is_lost()? {
            // A writer may have gone on between the two looks; what it had committed then is there now.
            found = self.cursor.advance()?;
            if found.is_none() {
                return Err(self.cursor.lost_end());
            }
        }
        Ok(found.map(|found| self.cursor.frame(found)))
    }

    /// Sequence of the first step; 0 if there is none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn first_sequence(&self) -> Result<Sequence, JournalError> {
        let mut first = Self::open(self.dir())?;
        Ok(first.next()?.map_or(Sequence(0), |frame| frame.sequence()))
    }

    /// Sequence of the last step that is committed now; 0 if there is none. Walks the last segment.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn last_sequence(&self) -> Result<Sequence, JournalError> {
        let mut end = Cursor::open(self.dir())?;
        end.seek_end()?;
        Ok(Sequence(end.next_sequence() - 1))
    }

    /// The journal's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.cursor.directory().path()
    }
}
