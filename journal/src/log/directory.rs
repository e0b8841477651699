//! The directory of a journal: which names are in it and what they say.
//!
//! ```text
//!  LOCK  ctl.sock  pruned.json  pruned.run_started                              ours, and not the journal itself
//!  snapshots/  quarantine/  cursors/  repairs/  followers/  counters
//!  00000000000000000001.pawl  00000000000000000001.idx                         a segment, by its first sequence
//!  spare-00000000000000000003.pawl                                             a segment to be, by its index
//! ```
//!
//! Invariants: a segment is made as a spare and gets its name by `rename`; a spare whose header is whole and follows
//! the last segment is a segment that was not renamed yet.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;

use super::error::{Damage, HeaderDamage, JournalError};
use super::header::Fields;
use super::segment::{Head, NUMBER_MAX, read_head};
use super::storage::Storage;
use crate::record::Sequence;

/// The directory of one journal.
#[derive(Debug, Clone)]
pub(super) struct Directory<S> {
    pub(super) storage: S,
    /// Headers that a repair is about to write, by the files that they belong in.
    rebuilt: Arc<BTreeMap<String, Fields>>,
}

/// What is in the directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// First sequences of the segments, ascending.
    pub(super) segments: Vec<u64>,
    /// Indexes of the spares, ascending.
    pub(super) spares: Vec<u64>,
    /// Something that is not ours.
    pub(super) foreign: Option<String>,
}

/// File name of the segment that begins with this sequence.
pub(super) fn segment_name(first_sequence: u64) -> String {
    format!("{first_sequence:020}.pawl")
}

/// File name of the index of that segment.
pub(super) fn index_name(first_sequence: u64) -> String {
    format!("{first_sequence:020}.idx")
}

/// File name of the spare that is to become the segment with this index.
pub(super) fn spare_name(index: u64) -> String {
    format!("spare-{index:020}.pawl")
}

/// Whether a file of this name in a directory makes that a journal's: a segment, or one to be.
#[must_use]
pub fn is_segment_name(name: &OsStr) -> bool {
    matches!(Name::of(name), Name::Segment(_) | Name::Spare(_))
}

impl<S: Storage> Directory<S> {
    /// The directory of a storage.
    pub(super) fn new(storage: S) -> Self {
        Self { storage, rebuilt: Arc::default() }
    }

    /// The directory as it is when a file has this header.
    pub(super) fn with_header(mut self, name: String, fields: Fields) -> Self {
        Arc::make_mut(&mut self.rebuilt).insert(name, fields);
        self
    }

    /// The header that counts for this file in place of the one that is in it.
    pub(super) fn rebuilt(&self, name: &str) -> Option<&Fields> {
        self.rebuilt.get(name)
    }

    /// Everything in the directory.
    pub(super) fn list(&self) -> Result<Listing, JournalError> {
        let mut listing = Listing::default();
        for name in self.storage.names()? {
            match Name::of(&name) {
                Name::Segment(first_sequence) => listing.segments.push(first_sequence),
                Name::Spare(index) => listing.spares.push(index),
                Name::Ours => {}
                Name::Foreign(name) => listing.foreign = Some(name),
            }
        }
        listing.segments.sort_unstable();
        listing.spares.sort_unstable();
        Ok(listing)
    }

    /// The segments, of which there must be one.
    pub(super) fn segments(&self) -> Result<Vec<u64>, JournalError> {
        let Listing { segments, foreign, .. } = self.list()?;
        match (segments.is_empty(), foreign) {
            (false, _) => Ok(segments),
            (true, Some(holds)) => {
                Err(JournalError::NotAJournal { dir: self.storage.dir().to_path_buf(), holds })
            }
            (true, None) => Err(self.no_journal()),
        }
    }

    /// The error for a journal that is not there.
    pub(super) fn no_journal(&self) -> JournalError {
        JournalError::NoJournal { dir: self.storage.dir().to_path_buf() }
    }

    /// The error for a segment that is not there.
    pub(super) fn missing(&self, first_sequence: u64) -> JournalError {
        self.damaged_start(first_sequence, Damage::SegmentMissing { first_sequence })
    }

    /// The error for a header that is not what it must be.
    pub(super) fn damaged_header(&self, first_sequence: u64, what: HeaderDamage) -> JournalError {
        self.damaged_start(first_sequence, what.into())
    }

    fn damaged_start(&self, first_sequence: u64, what: Damage) -> JournalError {
        JournalError::Damaged {
            file: self.storage.path(&segment_name(first_sequence)),
            offset: 0,
            sequence: Sequence(first_sequence),
            what,
        }
    }

    /// The header of a spare with this index that the writer has gone on in, and that has no segment's name yet.
    pub(super) fn started_spare(&self, index: u64) -> Result<Option<Fields>, JournalError> {
        let name = spare_name(index);
        match read_head(&self.storage, &name, None) {
            Ok(Some(Head::Whole { fields, .. })) if fields.index == index => Ok(Some(fields)),
            Ok(_) | Err(JournalError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a name in the directory says.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Segment(u64),
    Spare(u64),
    Ours,
    Foreign(String),
}

impl Name {
    fn of(name: &OsStr) -> Self {
        let Some(text) = name.to_str() else {
            return Self::Foreign(name.to_string_lossy().into_owned());
        };
        if let Some(stem) = text.strip_suffix(".pawl") {
            if stem.len() == 20
                && stem.bytes().all(|byte| byte.is_ascii_digit())
                && let Ok(first_sequence @ 1..NUMBER_MAX) = stem.parse()
            {
                return Self::Segment(first_sequence);
            }
            if let Some(index) = stem.strip_prefix("spare-").and_then(|index| index.parse().ok()) {
                return Self::Spare(index);
            }
        }
        match text {
            "LOCK" | "ctl.sock" | "snapshots" | "quarantine" | "cursors" | "repairs" | "followers"
            | "counters" | "pruned.json" | "pruned.run_started" => Self::Ours,
            _ if text.ends_with(".idx") || text.ends_with(".unfinished") || text.starts_with("spare-") => {
                Self::Ours
            }
            _ => Self::Foreign(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let name = |text: &str| Name::of(OsStr::new(text));
        assert_eq!(name("00000000000000000001.pawl"), Name::Segment(1));
        assert_eq!(name("00000000000000233017.pawl"), Name::Segment(233_017));
        assert_eq!(name("spare-00000000000000000002.pawl"), Name::Spare(2));
        for ours in [
            "LOCK",
            "ctl.sock",
            "snapshots",
            "quarantine",
            "cursors",
            "repairs",
            "followers",
            "counters",
            "pruned.json",
            "pruned.run_started",
            "1.idx",
        ] {
            assert_eq!(name(ours), Name::Ours, "{ours}");
        }
        for foreign in [
            "1.pawl",
            "00000000000000000000.pawl",
            "99999999999999999999.pawl",
            "+0000000000000000001.pawl",
            "notes.txt",
            "lock",
        ] {
            assert_eq!(name(foreign), Name::Foreign(foreign.to_owned()));
            assert!(!is_segment_name(OsStr::new(foreign)));
        }
        assert!(is_segment_name(OsStr::new("00000000000000000001.pawl")));
        assert!(is_segment_name(OsStr::new("spare-00000000000000000002.pawl")));
        assert!(!is_segment_name(OsStr::new("00000000000000000001.idx")));
    }
}
