//! A slice: the files that hold a range of a journal's steps, and are a journal by themselves.
//!
//! ```text
//!  journal  [seg 1][seg 2][seg 3 ............ until .......... seal][seg 4]
//!  slice           [seg 2][seg 3 ............ until | 0 0 0 0 0 0 0]           pruned.json, pruned.run_started
//! ```
//!
//! Segments are taken whole, the last one up to the step that ends the slice: what lies behind it is zero, as in a
//! segment that is being written. A slice that does not begin with the journal is a pruned journal.
//!
//! Invariants: a slice is made of committed frames only, byte for byte, so the journal may be one that is being written;
//! the same slice of the same journal is always the same bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::record::Sequence;

use super::beside;
use super::control::SEALED_ROLLED;
use super::directory::{Directory, segment_name};
use super::error::JournalError;
use super::header::Fields;
use super::pruned::{MARKER, Marker, read_marker};
use super::run_start::{self, Keeping};
use super::segment::Segment;
use super::storage::Disk;
use super::walk::{Seen, Walk};

/// The files of a range of steps.
#[derive(Debug)]
pub struct Slice {
    /// The first step in them.
    pub first: Sequence,
    /// The last.
    pub last: Sequence,
    /// The files, by name.
    pub files: Vec<SliceFile>,
}

/// One of them.
#[derive(Debug)]
pub struct SliceFile {
    /// Its name in the directory of the journal.
    pub name: String,
    /// How many bytes it has.
    pub bytes: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// So many bytes of this file, then zeros.
    Segment { path: PathBuf, used_bytes: u64 },
    /// These.
    Bytes(Vec<u8>),
}

impl SliceFile {
    /// Its bytes, from the first on.
    ///
    /// # Errors
    /// If it cannot be opened: a pruning may have taken it away.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &self.content {
            Content::Segment { path, used_bytes } => {
                let zeros = io::repeat(0).take(self.bytes - used_bytes);
                Box::new(File::open(path)?.take(*used_bytes).chain(zeros))
            }
            Content::Bytes(bytes) => Box::new(bytes.as_slice()),
        })
    }
}

/// The files that hold the steps from `from` to `until` of the journal in `dir`. The slice begins with the segment of
/// `from`, so usually earlier; it ends before `until` if the steps up to there are not committed, or are in a segment
/// that has no name yet.
///
/// # Errors
/// [`JournalError::NoJournal`], [`JournalError::NotAJournal`], [`JournalError::NewerFormat`], [`JournalError::Io`];
/// [`JournalError::Damaged`] if the last of the segments is, or where the start of the runs would be.
pub fn slice(dir: &Path, from: Sequence, until: Sequence) -> Result<Slice, JournalError> {
    let directory = Directory::new(Disk::new(dir));
    let segments = directory.segments()?;
    let begins = segments.partition_point(|first| *first <= from.0).max(1) - 1;
    let ends = segments.partition_point(|first| *first <= until.0).max(begins + 1);
    let mut files = Vec::new();
    let mut head = None;
    let mut last = 0;
    for first in &segments[begins..ends] {
        let segment = Segment::open_listed(&directory, *first)?;
        head.get_or_insert(segment.fields);
        let bytes = segment.fields.segment_bytes;
        // All but the last are used to their seals: what is behind a seal is zero.
        let (path, mut used_bytes) = (segment.path.clone(), bytes);
        if *first == segments[ends - 1] {
            (last, used_bytes) = end_of(&segment, until)?;
        }
        files.push(SliceFile {
            name: segment_name(*first),
            bytes,
            content: Content::Segment { path, used_bytes },
        });
    }
    if let Some(fields) = head.filter(|fields| fields.index > 1) {
        files.extend(beginning_of(&directory, &fields, &segments[..begins])?);
    }
    Ok(Slice { first: Sequence(segments[begins]), last: Sequence(last), files })
}

/// The last step of a segment that is not behind `until`, and how many of its bytes belong to a slice that ends there.
fn end_of(segment: &Segment<Disk>, until: Sequence) -> Result<(u64, u64), JournalError> {
    let mut walk = Walk::start(segment);
    let mut end = walk.offset;
    loop {
        let seen = walk.advance(segment).map_err(|what| segment.damaged(walk.offset, walk.next, what))?;
        match seen {
            // What a segment was left for is not in the slice.
            None => break,
            Some(Seen::Seal(seal)) if seal.reason == SEALED_ROLLED => break,
            Some(Seen::Seal(seal)) => return Ok((walk.next - 1, seal.used_bytes)),
            Some(Seen::Step { .. }) if walk.next - 1 > until.0 => return Ok((until.0, end as u64)),
            Some(_) => end = walk.offset,
        }
    }
    Ok((walk.next - 1, end as u64))
}

/// What stands beside a journal that begins with this segment, which is not its first; those of `gone` are before it.
fn beginning_of(
    directory: &Directory<Disk>,
    fields: &Fields,
    gone: &[u64],
) -> Result<Vec<SliceFile>, JournalError> {
    let journal_id = beside::id_text(fields.journal_id);
    let before = read_marker(directory, &journal_id)?;
    let gone: Vec<Fields> = gone
        .iter()
        .map(|first| Ok(Segment::open_listed(directory, *first)?.fields))
        .collect::<Result<_, JournalError>>()?;
    let keeping = Keeping::of(directory, &gone.iter().collect::<Vec<_>>(), before.as_ref())?;
    let marker = Marker {
        journal_id,
        first_sequence: fields.first_sequence,
        segment_index: fields.index,
        // When it was cut out, and of how many bytes, is no property of a slice.
        when_ns: 0,
        removed_segments: fields.index - 1,
        removed_steps: fields.first_sequence - 1,
        removed_bytes: 0,
        run_started: keeping.sequence,
    };
    let kept = keeping.file(directory, fields.journal_id)?;
    let file = |name: &str, bytes: Vec<u8>| SliceFile {
        name: name.to_owned(),
        bytes: bytes.len() as u64,
        content: Content::Bytes(bytes),
    };
    let marker = file(MARKER, beside::text_of(&marker).into_bytes());
    Ok([marker].into_iter().chain(kept.map(|bytes| file(run_start::FILE, bytes))).collect())
}
