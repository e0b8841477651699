//! What a verification says: what a journal holds, and what is wrong with it, where.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::record::{Kind, OutputHash, Sequence, Time};

use super::error::{Damage, place};

/// Something wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The segment file, or one beside it.
    pub file: PathBuf,
    /// Where in it, in bytes from its start.
    pub offset: u64,
    /// The sequence expected there; 0 if that cannot be known.
    pub sequence: Sequence,
    /// What is wrong.
    pub what: Damage,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, offset, sequence, what } = self;
        if let Damage::Cursor(_) = what {
            return write!(f, "{}: {what}", file.display());
        }
        write!(f, "{} {}: {what}", file.display(), place(*offset, *sequence))
    }
}

/// What says of a step that it was on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurableSource {
    /// The header of a later segment.
    Header,
    /// A sync frame behind it.
    SyncFrame,
    /// The seal that ended a turn of writing.
    Seal,
}

/// What a journal holds, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Segment files.
    pub segments: u64,
    /// Whole steps that were read.
    pub steps: u64,
    /// Sequence of the first of them; 0 if there is none.
    pub first_sequence: Sequence,
    /// Sequence of the last of them; 0 if there is none.
    pub last_sequence: Sequence,
    /// Time of the first of them.
    pub first_time: Time,
    /// Time of the last of them.
    pub last_time: Time,
    /// Bytes of all segment files.
    pub bytes: u64,
    /// Records of each kind in these steps.
    pub record_counts: BTreeMap<Kind, u64>,
    /// Records of kinds that this build does not know.
    pub unknown_records: u64,
    /// Hash of everything these steps decided.
    pub output_hash: OutputHash,
    /// The last step that the journal says was durable; 0 if it says so of none.
    pub durable_sequence: Sequence,
    /// Where it says so; none if nowhere.
    pub durable_by: Option<DurableSource>,
    /// Segments whose bytes have the hash that a later segment holds of them.
    pub hashed_segments: u64,
    /// Everything that is wrong, in the order of the files, then by hashes, then with cursors. Empty: the journal is what was written.
    pub findings: Vec<Finding>,
    /// Whether the last segment ends in a seal: no writer has it, and none died with it.
    pub sealed: bool,
    /// Whether a writer had the journal when its end was read. If not, and it is not sealed, its writer died.
    pub is_written: bool,
}
