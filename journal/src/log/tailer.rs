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

use super::directory::Directory;
use super::error::JournalError;
use super::frame::Frame;
use super::storage::{Disk, Storage};
use super::traversal::{Found, Traversal};

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
pub struct Tailer<S: Storage = Disk> {
    traversal: Traversal<S>,
    /// Runs ahead to learn what is durable, if only that is to be given.
    scout: Option<Traversal<S>>,
    /// A step that is committed and not durable yet.
    held: Option<Found>,
}

impl Tailer {
    /// Opens the journal in `dir`, which must exist. The tailer gives every step that is committed.
    ///
    /// # Errors
    /// [`JournalError::NoJournal`], [`JournalError::NewerFormat`], [`JournalError::Damaged`], [`JournalError::Io`].
    pub fn open(dir: &Path, from: From) -> Result<Self, JournalError> {
        Self::open_in(&Disk::new(dir), from, false)
    }

    /// As [`Self::open`], for the process that writes the journal and from a step on that it writes itself: the checksum
    /// of a step without an order, which its own thread has worked out a moment ago, is not worked out again.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn beside_writer(dir: &Path, from: Sequence) -> Result<Self, JournalError> {
        let mut tailer = Self::open_in(&Disk::new(dir), From::Sequence(from), false)?;
        tailer.traversal.trust_own();
        Ok(tailer)
    }

    /// As [`Self::open`], but gives only steps that the writer has said to be durable, in the journal's sync frames
    /// or by sealing it. While a run in page-cache mode goes on that is what lies in finished segments.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn durable(dir: &Path, from: From) -> Result<Self, JournalError> {
        Self::open_in(&Disk::new(dir), from, true)
    }
}

impl<S: Storage> Tailer<S> {
    /// Opens the journal in a storage.
    pub(super) fn open_in(storage: &S, from: From, durable: bool) -> Result<Self, JournalError> {
        let place = || {
            let mut traversal = Traversal::open(&Directory::new(storage.clone()))?;
            match from {
                From::Start => {}
                From::Sequence(sequence) => traversal.seek(sequence)?,
                From::Time(time) => traversal.seek_time(time)?,
                From::Now => traversal.seek_end()?,
            }
            Ok(traversal)
        };
        // The scout is behind the tailer at first, so that it sees whatever the tailer waits for.
        let scout = if durable { Some(place()?) } else { None };
        Ok(Self { traversal: place()?, scout, held: None })
    }

    /// The next step, or `None` if none is committed (or durable) yet. Never blocks: nothing new costs one atomic
    /// load, a step its checksum, a roll the opening of the next segment. Behind a seal that ended a writer's turn
    /// every poll looks whether the next segment is there.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] where the bytes are not what was written; the tailer stays there.
    #[inline]
    pub fn poll(&mut self) -> Result<Option<Frame<'_>>, JournalError> {
        let found = match self.held.take() {
            Some(found) => found,
            None => match self.traversal.advance()? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        if let Some(scout) = &mut self.scout {
            let sequence = self.traversal.next_sequence() - 1;
            while scout.durable() < sequence {
                if scout.advance()?.is_none() && scout.durable() < sequence {
                    self.held = Some(found);
                    return Ok(None);
                }
            }
        }
        Ok(Some(self.traversal.frame(found)))
    }

    /// Makes sure that a place where nothing more is committed is the end, and no hole in front of steps that are there;
    /// false if there is more by now. For whoever takes the end for one: [`Self::poll`] costs too little to look.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if steps are missing here; [`JournalError::Io`].
    pub fn check_end(&mut self) -> Result<bool, JournalError> {
        let Self { traversal, scout, held } = self;
        // A step is held while the scout has come to an end.
        let end = if held.is_some() { scout.as_mut().unwrap_or(traversal) } else { traversal };
        let Some(damage) = end.end_lost()? else { return Ok(true) };
        // A writer may have gone on between the two looks.
        match end.advance()? {
            None => Err(end.damaged_here(damage)),
            found => {
                *held = held.take().or(found);
                Ok(false)
            }
        }
    }

    /// The sequence this tailer has come to: that of the next step of the journal, whether or not the tailer was
    /// told to skip it.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        Sequence(self.traversal.next_sequence() - u64::from(self.held.is_some()))
    }

    /// Whether this tailer has come to the end of a journal that was closed: behind the seal of the last turn of
    /// writing. A writer that is gone while this is false died.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.held.is_none() && self.traversal.is_closed()
    }

    /// Whether a writer has the journal now. A follower that wants to end with the writer asks first and polls
    /// once more after a no.
    #[must_use]
    pub fn writer_alive(&self) -> bool {
        self.traversal.directory().storage.is_locked()
    }
}
