//! A segment: one open file of the journal, its header checked, its bytes at hand.
//!
//! Invariants: the header is whole and belongs to the file's name; the region never reaches past the end of the
//! file as it was when opened, nor past the length in the header.

use std::path::PathBuf;

use crate::record::Sequence;

use super::directory::{Directory, segment_name, spare_name};
use super::error::{Damage, HeaderDamage, JournalError};
use super::frame::Seed;
use super::header::{Fields, HEADER_BYTES, Refusal, is_torn};
use super::options::check_segment_bytes;
use super::storage::{Region as _, Storage};

/// Bound of sequences, indexes and epochs: client order ids hold a sequence shifted by six bits.
pub(super) const NUMBER_MAX: u64 = 1 << 58;

/// How often a file that is replaced while it is opened is opened again.
const OPEN_TRIES: u32 = 100;

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment<S: Storage> {
    /// Where it is, for messages.
    pub(super) path: PathBuf,
    /// Its header.
    pub(super) fields: Fields,
    /// Its bytes.
    pub(super) region: S::Region,
    /// What its checksums start from.
    pub(super) seed: Seed,
    /// Bytes of its file when it was opened.
    pub(super) file_bytes: u64,
}

/// The first page of a file that has a segment's name.
#[derive(Debug)]
pub(super) enum Head {
    /// A header that belongs to its file.
    Whole {
        /// What it says.
        fields: Fields,
        /// Bytes of the file.
        file_bytes: u64,
    },
    /// Part of it never reached the disk: the machine died before the header was durable.
    Torn,
}

impl<S: Storage> Segment<S> {
    /// Opens the segment that begins with `first_sequence` for reading; `None` if there is no such file.
    pub(super) fn open(directory: &Directory<S>, first_sequence: u64) -> Result<Option<Self>, JournalError> {
        Self::open_name(directory, &segment_name(first_sequence), first_sequence)
    }

    /// As [`Self::open`], for a segment that was listed or is named by another one: it must be there.
    pub(super) fn open_listed(directory: &Directory<S>, first_sequence: u64) -> Result<Self, JournalError> {
        Self::open(directory, first_sequence)?.ok_or_else(|| directory.missing(first_sequence))
    }

    /// Opens the segment that a writer went on in behind a roll: under its name, or in the spare with this index,
    /// which gets the name at some time after, perhaps between two looks. `None` if there is neither.
    pub(super) fn open_rolled(
        directory: &Directory<S>,
        index: u64,
        first_sequence: u64,
    ) -> Result<Option<Self>, JournalError> {
        if let Some(named) = Self::open(directory, first_sequence)? {
            return Ok(Some(named));
        }
        match Self::open_spare(directory, index, first_sequence)? {
            None => Self::open(directory, first_sequence),
            spare => Ok(spare),
        }
    }

    /// Opens a segment that still has a spare's name; `None` if there is none that begins with this sequence.
    pub(super) fn open_spare(
        directory: &Directory<S>,
        index: u64,
        first_sequence: u64,
    ) -> Result<Option<Self>, JournalError> {
        match directory.started_spare(index)? {
            Some(fields) if fields.first_sequence == first_sequence => {
                match Self::open_name(directory, &spare_name(index), first_sequence) {
                    // It got its name between the two looks.
                    Err(JournalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                        Ok(None)
                    }
                    other => other,
                }
            }
            _ => Ok(None),
        }
    }

    fn open_name(
        directory: &Directory<S>,
        name: &str,
        first_sequence: u64,
    ) -> Result<Option<Self>, JournalError> {
        let storage = &directory.storage;
        if let Some(fields) = directory.rebuilt(name) {
            let Some((_, file_bytes)) = storage.head(name, 0)? else { return Ok(None) };
            let region = storage.open(name, file_bytes.min(fields.segment_bytes))?;
            return Ok(Some(Self::new(storage.path(name), file_bytes, *fields, region)));
        }
        for _ in 0..OPEN_TRIES {
            match read_head(storage, name, Some(first_sequence))? {
                None => return Ok(None),
                Some(Head::Torn) => break,
                Some(Head::Whole { fields, file_bytes }) => {
                    let region = storage.open(name, file_bytes.min(fields.segment_bytes))?;
                    // A turn without a step is replaced by the next one: the name may have come to lead to
                    // another file between the two looks.
                    if Fields::of_page(region.committed(0, HEADER_BYTES)) == Ok(fields) {
                        return Ok(Some(Self::new(storage.path(name), file_bytes, fields, region)));
                    }
                }
            }
        }
        Err(damaged(storage, name, first_sequence, HeaderDamage::Torn.into()))
    }

    /// A segment from its parts.
    pub(super) fn new(path: PathBuf, file_bytes: u64, fields: Fields, region: S::Region) -> Self {
        let seed = Seed::new(fields.salt, fields.epoch);
        Self { path, fields, region, seed, file_bytes }
    }

    /// The error for damage in this segment.
    #[cold]
    pub(super) fn damaged(&self, offset: usize, sequence: u64, what: Damage) -> JournalError {
        let (file, sequence) = (self.path.clone(), Sequence(sequence));
        match what {
            Damage::FrameKind { kind } => {
                JournalError::NewerFormat { file, feature: format!("frame kind {kind}") }
            }
            _ => JournalError::Damaged { file, offset: offset as u64, sequence, what },
        }
    }

    /// Bytes that the file misses at its end, as damage.
    pub(super) fn truncated(&self) -> Option<Damage> {
        let (expected, found) = (self.fields.segment_bytes, self.file_bytes);
        (expected != found).then_some(Damage::Truncated { expected, found })
    }

    /// Offset where the zeros at the end of the region begin, or `from` if that is further.
    pub(super) fn end_of_bytes(&self, from: usize) -> usize {
        let len = self.region.len();
        if len <= from {
            return from;
        }
        let whole = len / 8 * 8;
        // The last word of a file that was cut within it.
        if len > whole && self.region.committed(whole, len - whole).iter().any(|byte| *byte != 0) {
            return len;
        }
        self.region.last_nonzero(from, whole).unwrap_or(from)
    }
}

fn damaged<S: Storage>(storage: &S, name: &str, first_sequence: u64, what: Damage) -> JournalError {
    JournalError::Damaged { file: storage.path(name), offset: 0, sequence: Sequence(first_sequence), what }
}

/// Reads and checks the header of a file that has a segment's name, or a spare's if `first_sequence` is none.
/// `None` if there is no such file.
pub(super) fn read_head<S: Storage>(
    storage: &S,
    name: &str,
    first_sequence: Option<u64>,
) -> Result<Option<Head>, JournalError> {
    let Some((page, file_bytes)) = storage.head(name, HEADER_BYTES)? else { return Ok(None) };
    let damaged = |what: Damage| damaged(storage, name, first_sequence.unwrap_or(0), what);
    if page.len() < HEADER_BYTES {
        return Err(damaged(Damage::Truncated { expected: HEADER_BYTES as u64, found: file_bytes }));
    }
    let fields = match Fields::of_page(&page) {
        Ok(fields) => fields,
        Err(Refusal::Damaged(_)) if is_torn(&page) => return Ok(Some(Head::Torn)),
        Err(Refusal::Damaged(what)) => return Err(damaged(what.into())),
        Err(Refusal::Newer(feature)) => {
            return Err(JournalError::NewerFormat { file: storage.path(name), feature });
        }
    };
    match contradiction(&fields, first_sequence) {
        Some(field) => Err(damaged(HeaderDamage::File(field).into())),
        None => Ok(Some(Head::Whole { fields, file_bytes })),
    }
}

/// What a whole header says that cannot be, in a file that is named by this sequence if it is a segment's.
pub(super) fn contradiction(fields: &Fields, first_sequence: Option<u64>) -> Option<&'static str> {
    let numbers = [fields.first_sequence, fields.index, fields.epoch];
    if first_sequence.is_some_and(|first_sequence| fields.first_sequence != first_sequence) {
        Some("name")
    } else if check_segment_bytes(fields.segment_bytes).is_err() {
        Some("length")
    } else if !numbers.iter().all(|number| (1..NUMBER_MAX).contains(number))
        || fields.durable_sequence >= fields.first_sequence
    {
        Some("numbers")
    } else if fields.header_bytes as usize != HEADER_BYTES {
        Some("header length")
    } else {
        None
    }
}
