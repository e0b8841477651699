//! The marker of a pruned journal, `pruned.json`: where it begins, and how readers tell a pruned start from a lost one.
//!
//! ```text
//!  [gone][gone][left over][kept][kept][being written]
//!                         ^ first_sequence of the marker, on disk before the first file went
//! ```
//!
//! Invariants: a journal that was pruned has a marker; what lies before the marker's first sequence is given up, there
//! or not; a reader that loses a race with a pruning looks again.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::record::{Sequence, Time};

use super::beside;
use super::directory::{Directory, segment_name};
use super::error::{Damage, HeaderDamage, JournalError};
use super::header::Fields;
use super::segment::{Head, read_head};
use super::storage::{Disk, Storage};

/// The marker's file.
pub(super) const MARKER: &str = "pruned.json";

/// Where a pruned journal begins and what was taken from it, from its beginning on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// First step that was kept. An interrupted pruning may have left older segments, which the next one deletes.
    pub first_sequence: Sequence,
    /// Index of the segment that begins there.
    pub segment_index: u64,
    /// When this was decided last.
    pub when: Time,
    /// Segments taken in all.
    pub removed_segments: u64,
    /// Steps in these.
    pub removed_steps: u64,
    /// Bytes of these and their indexes.
    pub removed_bytes: u64,
    /// The step in `pruned.run_started`, which [`run_start`](super::run_start) reads; 0 if no run began in what was
    /// taken.
    pub run_started: Sequence,
}

/// The marker as its file holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) journal_id: String,
    pub(super) first_sequence: u64,
    pub(super) segment_index: u64,
    pub(super) when_ns: i64,
    pub(super) removed_segments: u64,
    pub(super) removed_steps: u64,
    pub(super) removed_bytes: u64,
    /// Not there in the markers of a journal that was pruned before its runs' start was kept.
    #[serde(default)]
    pub(super) run_started: u64,
}

impl Marker {
    /// Writes the marker of a journal: on disk when this returns.
    pub(super) fn write(&self, directory: &Directory<Disk>) -> Result<(), JournalError> {
        beside::write(&directory.storage.dir().join(MARKER), self).map(drop)
    }
}

/// Where the journal in `dir` begins if it was pruned; `None` if it never was.
///
/// # Errors
/// [`JournalError::PrunedMarker`] if `pruned.json` is damaged or from another journal; [`JournalError::NoJournal`],
/// [`JournalError::NotAJournal`], [`JournalError::Damaged`], [`JournalError::NewerFormat`], [`JournalError::Io`].
pub fn pruned(dir: &Path) -> Result<Option<Pruned>, JournalError> {
    let directory = Directory::new(Disk::new(dir));
    directory.segments()?;
    let journal_id = beside::id_text(first_fields(&directory)?.journal_id);
    let marker = read_marker(&directory, &journal_id)?;
    Ok(marker.map(|marker| Pruned {
        first_sequence: Sequence(marker.first_sequence),
        segment_index: marker.segment_index,
        when: Time(marker.when_ns),
        removed_segments: marker.removed_segments,
        removed_steps: marker.removed_steps,
        removed_bytes: marker.removed_bytes,
        run_started: Sequence(marker.run_started),
    }))
}

/// What is wrong with a journal whose first segment is this one; `None` if it is its first ever, or what lies before
/// was pruned.
pub(super) fn damage_of_start<S: Storage>(
    directory: &Directory<S>,
    first: &Fields,
) -> Result<Option<Damage>, JournalError> {
    let first_sequence = first.first_sequence;
    match read_marker(directory, &beside::id_text(first.journal_id)) {
        Ok(_) if first.index == 1 => Ok(None),
        Ok(Some(marker)) if explains(&marker, first) => Ok(None),
        Ok(_) => Ok(Some(Damage::StartMissing { first_sequence })),
        Err(JournalError::PrunedMarker { .. }) => Ok(Some(Damage::PrunedMarker { first_sequence })),
        Err(error) => Err(error),
    }
}

/// Whether what lies before this segment was pruned: the journal begins there, or an interrupted pruning left it.
fn explains(marker: &Marker, first: &Fields) -> bool {
    let (kept, index) = (marker.first_sequence, marker.segment_index);
    if first.first_sequence == kept {
        first.index == index
    } else {
        first.first_sequence < kept && first.index < index
    }
}

/// The first step that the journal is said to hold: an interrupted pruning may have left older ones.
pub(super) fn begins_at<S: Storage>(directory: &Directory<S>, first: &Fields) -> Result<u64, JournalError> {
    let marker = read_marker(directory, &beside::id_text(first.journal_id))?;
    Ok(marker.map_or(0, |marker| marker.first_sequence).max(first.first_sequence))
}

/// The header of the first segment.
pub(super) fn first_fields<S: Storage>(directory: &Directory<S>) -> Result<Fields, JournalError> {
    steady(directory, || {
        let first = directory.segments()?[0];
        match read_head(&directory.storage, &segment_name(first), Some(first))? {
            Some(Head::Whole { fields, .. }) => Ok(fields),
            Some(Head::Torn) => Err(directory.damaged_header(first, HeaderDamage::Torn)),
            None => Err(directory.no_journal()),
        }
    })
}

/// Tries again what fails because a pruning takes away a segment between the look and the opening.
pub(super) fn steady<T, S: Storage>(
    directory: &Directory<S>,
    mut attempt: impl FnMut() -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    let mut first = directory.segments()?[0];
    loop {
        let failed = match attempt() {
            Err(error @ JournalError::NoJournal { .. }) => error,
            Err(JournalError::Io { doing, path, source }) if source.kind() == io::ErrorKind::NotFound => {
                JournalError::Io { doing, path, source }
            }
            other => return other,
        };
        let now = directory.segments()?[0];
        if now == first {
            return Err(failed);
        }
        first = now;
    }
}

/// Where the journal begins, if the segment with this step was given up by a pruning.
pub(super) fn given_up<S: Storage>(
    directory: &Directory<S>,
    sequence: u64,
) -> Result<Option<u64>, JournalError> {
    // Looked at first: a journal that was never pruned pays for nothing more.
    if directory.storage.head(MARKER, 0)?.is_none() {
        return Ok(None);
    }
    let begins = begins_at(directory, &first_fields(directory)?)?;
    Ok((sequence < begins).then_some(begins))
}

/// The marker of the journal with this id, if it was ever pruned.
pub(super) fn read_marker<S: Storage>(
    directory: &Directory<S>,
    journal_id: &str,
) -> Result<Option<Marker>, JournalError> {
    let Some((bytes, _)) = directory.storage.head(MARKER, beside::BYTES_MAX)? else { return Ok(None) };
    match beside::content_of::<Marker>(&bytes) {
        Some(marker) if marker.journal_id == journal_id => Ok(Some(marker)),
        _ => Err(JournalError::PrunedMarker { file: directory.storage.path(MARKER) }),
    }
}
