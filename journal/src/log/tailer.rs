//! The tailer: follows a journal while it is written, in the writer's process or in any other.
//!
//! ```text
//!  poll:  word at my offset == 0 ? nothing yet : verify > frame          a quiet journal costs one atomic load
//!         seal ? enter the next segment (there already, or with the writer's next turn)
//! ```
//!
//! Invariants: it sees every committed step from its start on, once and in order, across rolls, crashes and
//! restarts of the writer; it never waits and never writes.

use std::path::Path;

use crate::record::{Sequence, Time};

use super::cursor::Cursor;
use super::error::JournalError;
use super::frame::Frame;
use super::lock::WriterLock;

/// Where a tailer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the first step of the journal.
    Start,
    /// At the step with this sequence, which may be yet to come.
    Sequence(Sequence),
    /// At the first step that is not before this time, which may be yet to come.
    Time(Time),
    /// Behind the last step that is committed now.
    Now,
}

/// Follows a journal.
#[derive(Debug)]
pub struct Tailer {
    cursor: Cursor,
}

impl Tailer {
    /// Opens the journal in `dir`, which must exist.
    ///
    /// # Errors
    /// [`JournalError::NoJournal`], [`JournalError::NewerFormat`], [`JournalError::Damaged`], [`JournalError::Io`].
    pub fn open(dir: &Path, from: From) -> Result<Self, JournalError> {
        let mut cursor = Cursor::open(dir)?;
        match from {
            From::Start => {}
            From::Sequence(sequence) => cursor.seek(sequence)?,
            From::Time(time) => cursor.seek_time(time)?,
            From::Now => cursor.seek_end()?,
        }
        Ok(Self { cursor })
    }

    /// The next step, or `None` if none is committed yet. Never blocks: nothing new costs one atomic load, a step
    /// its checksum, a roll the opening of the next segment. Behind a seal that ended a writer's turn every poll
    /// looks whether the next segment is there.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] where the bytes are not what was written; the tailer stays there.
    #[inline]
    pub fn poll(&mut self) -> Result<Option<Frame<'_>>, JournalError> {
        match self.cursor.advance()? {
            Some(found) => Ok(Some(self.cursor.frame(found))),
            None => Ok(None),
        }
    }

    /// The sequence this tailer has come to: that of the next step of the journal, whether or not the tailer was
    /// told to skip it.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        Sequence(self.cursor.next_sequence())
    }

    /// Whether a writer has the journal now. A follower that wants to end with the writer asks first and polls
    /// once more after a no.
    #[must_use]
    pub fn writer_alive(&self) -> bool {
        WriterLock::is_held(self.cursor.directory())
    }
}
