//! A segment: one open file of the journal, its header checked, its bytes mapped.
//!
//! Invariants: the header is whole and belongs to the file's name; the region never reaches past the end of the
//! file as it was when opened, nor past the length in the header.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::record::Sequence;

use super::error::{Damage, HeaderDamage, JournalError};
use super::frame::Seed;
use super::header::{Fields, HEADER_BYTES, Refusal};
use super::options::JournalOptions;
use super::region::Region;

/// Bound of sequences, indexes and epochs: client order ids hold a sequence shifted by six bits.
const NUMBER_MAX: u64 = 1 << 58;

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Its header.
    pub(super) fields: Fields,
    /// Its bytes.
    pub(super) region: Region,
    /// What its checksums start from.
    pub(super) seed: Seed,
    /// Bytes of its file when it was opened.
    pub(super) file_bytes: u64,
    /// The file.
    pub(super) file: File,
}

impl Segment {
    /// Opens the segment at `path`, which its name says begins with `first_sequence`, for reading. `None` if there
    /// is no such file.
    pub(super) fn open(path: PathBuf, first_sequence: u64) -> Result<Option<Self>, JournalError> {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| JournalError::io("open", &path, error))?,
        };
        let (fields, file_bytes) = read_header(&file, &path, first_sequence)?;
        let len = file_bytes.min(fields.segment_bytes) as usize;
        let region = Region::readable(&file, len).map_err(|error| JournalError::io("map", &path, error))?;
        Ok(Some(Self::new(path, file, file_bytes, fields, region)))
    }

    /// Opens a segment that another writer left, for the one who has the lock now and has allocated all of it.
    pub(super) fn reopen(path: PathBuf, first_sequence: u64) -> Result<Self, JournalError> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| JournalError::io("write to", &path, error))?;
        let (fields, file_bytes) = read_header(&file, &path, first_sequence)?;
        let region = Region::writable(&file, fields.segment_bytes as usize)
            .map_err(|error| JournalError::io("map", &path, error))?;
        Ok(Self::new(path, file, file_bytes, fields, region))
    }

    /// A segment from its parts.
    pub(super) fn new(path: PathBuf, file: File, file_bytes: u64, fields: Fields, region: Region) -> Self {
        let seed = Seed::new(fields.salt, fields.epoch);
        Self { path, fields, region, seed, file_bytes, file }
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
}

/// Reads and checks the header of a segment; also gives the file's length.
pub(super) fn read_header(
    file: &File,
    path: &Path,
    first_sequence: u64,
) -> Result<(Fields, u64), JournalError> {
    let failed = |error| JournalError::io("read", path, error);
    let damaged = |what: Damage| JournalError::Damaged {
        file: path.to_path_buf(),
        offset: 0,
        sequence: Sequence(first_sequence),
        what,
    };
    let file_bytes = file.metadata().map_err(failed)?.len();
    if file_bytes < HEADER_BYTES as u64 {
        return Err(damaged(Damage::Truncated { expected: HEADER_BYTES as u64, found: file_bytes }));
    }
    let mut page = [0; HEADER_BYTES];
    file.read_exact_at(&mut page, 0).map_err(failed)?;
    let fields = Fields::of_page(&page).map_err(|refusal| match refusal {
        Refusal::Damaged(what) => damaged(what.into()),
        Refusal::Newer(feature) => JournalError::NewerFormat { file: path.to_path_buf(), feature },
    })?;
    let contradiction = if fields.first_sequence != first_sequence {
        Some("name")
    } else if (JournalOptions { segment_bytes: fields.segment_bytes }).check().is_err() {
        Some("length")
    } else if ![first_sequence, fields.index, fields.epoch].iter().all(|n| (1..NUMBER_MAX).contains(n)) {
        Some("numbers")
    } else if fields.header_bytes as usize != HEADER_BYTES {
        Some("header length")
    } else {
        None
    };
    match contradiction {
        Some(field) => Err(damaged(HeaderDamage::File(field).into())),
        None => Ok((fields, file_bytes)),
    }
}
