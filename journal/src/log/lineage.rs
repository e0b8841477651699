//! The lineage: which segment holds a step, so that two histories with the same sequences can be told apart.
//!
//! ```text
//!  seen:  | turn 3: 1 .............. 100 ...... 119 |      a cursor behind step 119, which segment 1 of turn 3 held
//!  cut:   | turn 3: 1 .............. 100 |
//!  now:   | turn 3: 1 .............. 100 | turn 4: 101 ................. 150 |      another segment holds a step 119
//! ```
//!
//! Nobody writes on in a segment that was cut, and what its checksums start from is random. So a step is the one that was
//! seen if the same segment holds it, and then so is every step before it.
//!
//! Invariants: headers are read and no frames, one of them unless something is wrong; a segment that the writer has gone
//! on in counts before it has its name.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::record::Sequence;

use super::directory::{Directory, segment_name};
use super::error::{HeaderDamage, JournalError};
use super::frame::Seed;
use super::header::Fields;
use super::pruned;
use super::recovery::follows;
use super::segment::{Head, read_head};
use super::storage::{Disk, Storage};

/// Which segment a step was in: by this a step that was seen can be told from one that took its sequence after a
/// recovery or a repair had cut the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The segment's first sequence.
    first_sequence: u64,
    /// The turn it was written in.
    epoch: u64,
    /// What its checksums start from.
    seed: u32,
}

/// Where a history was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// The first step that is not the one that was seen.
    pub(super) at: u64,
    /// Whether a later turn begins there. If not, the turn there has a number that the history that was seen had too:
    /// a repair took turns away and their numbers were given again, or nothing was written behind the cut yet.
    pub(super) is_sure: bool,
}

impl Origin {
    /// The origin of a step of the journal in `dir`; `None` if the journal begins behind it.
    ///
    /// # Errors
    /// [`JournalError::NoJournal`], [`JournalError::NotAJournal`], [`JournalError::NewerFormat`],
    /// [`JournalError::Damaged`], [`JournalError::Io`].
    pub fn of_step(dir: &Path, sequence: Sequence) -> Result<Option<Self>, JournalError> {
        Self::find(&Directory::new(Disk::new(dir)), sequence.0)
    }

    /// Whether the journal in `dir` still goes on from the step that was seen with this sequence, and so from every
    /// one before it.
    ///
    /// # Errors
    /// As [`Self::of_step`].
    pub fn holds(&self, dir: &Path, sequence: Sequence) -> Result<bool, JournalError> {
        let now = Self::of_step(dir, sequence)?;
        Ok(now.is_some_and(|now| (now.first_sequence, now.seed) == (self.first_sequence, self.seed)))
    }

    /// The origin as three numbers, for whoever keeps it.
    #[must_use]
    pub const fn words(self) -> [u64; 3] {
        [self.first_sequence, self.epoch, self.seed as u64]
    }

    /// The origin that [`Self::words`] gave.
    #[must_use]
    pub const fn from_words([first_sequence, epoch, seed]: [u64; 3]) -> Self {
        Self { first_sequence, epoch, seed: seed as u32 }
    }

    fn of(fields: &Fields) -> Self {
        let seed = Seed::new(fields.salt, fields.epoch).value();
        Self { first_sequence: fields.first_sequence, epoch: fields.epoch, seed }
    }

    /// The segment that holds a step, or would if the journal went so far; `None` if the journal begins behind it.
    pub(super) fn find<S: Storage>(
        directory: &Directory<S>,
        sequence: u64,
    ) -> Result<Option<Self>, JournalError> {
        Ok(holder(directory, sequence)?.as_ref().map(Self::of))
    }

    /// Where the history was cut, if this segment held `sequence` and another one does now, or would.
    pub(super) fn cut<S: Storage>(
        &self,
        directory: &Directory<S>,
        sequence: u64,
    ) -> Result<Option<Cut>, JournalError> {
        let Some(holder) = holder(directory, sequence)? else { return Ok(None) };
        // The seed holds the epoch, and is all that a header which was rebuilt from frames has to keep.
        let is_this = |fields: &Fields| {
            let of = Self::of(fields);
            (of.first_sequence, of.seed) == (self.first_sequence, self.seed)
        };
        if is_this(&holder) {
            return Ok(None);
        }
        let segments = directory.segments()?;
        let mut turn = None;
        for (index, first) in segments.iter().enumerate().take_while(|(_, first)| **first <= sequence) {
            let fields = head(directory, *first)?;
            if is_this(&fields) {
                return Ok(segments.get(index + 1).map(|at| Cut { at: *at, is_sure: true }));
            }
            if fields.epoch > self.epoch {
                return Ok(Some(Cut { at: *first, is_sure: true }));
            }
            if fields.epoch == holder.epoch {
                turn = turn.or(Some(*first));
            }
        }
        Ok(Some(Cut { at: turn.unwrap_or(holder.first_sequence), is_sure: false }))
    }
}

/// The header of the segment that holds a step, or would if the journal went so far.
fn holder<S: Storage>(directory: &Directory<S>, sequence: u64) -> Result<Option<Fields>, JournalError> {
    pruned::steady(directory, || {
        loop {
            let Some(named) = named(directory, sequence)? else { return Ok(None) };
            let mut fields = head(directory, named)?;
            // Behind the last name there may be spares that the writer has gone on in.
            while let Some(next) = directory.started_spare(fields.index + 1)? {
                let is_next = follows(&fields, &next, false).is_ok() && next.epoch == fields.epoch;
                if !is_next || next.first_sequence > sequence {
                    break;
                }
                fields = next;
            }
            // One may have got its name between the two looks.
            if self::named(directory, sequence)?.is_none_or(|now| now <= fields.first_sequence) {
                return Ok(Some(fields));
            }
        }
    })
}

/// The last segment with a name that begins at or before a step.
fn named<S: Storage>(directory: &Directory<S>, sequence: u64) -> Result<Option<u64>, JournalError> {
    let segments = directory.segments()?;
    Ok(segments[..segments.partition_point(|first| *first <= sequence)].last().copied())
}

fn head<S: Storage>(directory: &Directory<S>, first_sequence: u64) -> Result<Fields, JournalError> {
    match read_head(&directory.storage, &segment_name(first_sequence), Some(first_sequence))? {
        Some(Head::Whole { fields, .. }) => Ok(fields),
        Some(Head::Torn) => Err(directory.damaged_header(first_sequence, HeaderDamage::Torn)),
        None => Err(directory.no_journal()),
    }
}
