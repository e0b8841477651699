//! The start of a run: the step that says what the numbers of a journal mean, kept beside a journal that was pruned.
//!
//! ```text
//!  pruned.run_started
//!  0       8   10    16           32   36     60    64
//!  | magic | v | 0.. | journal id | len | 0.. | crc | the step's frame, byte for byte as it stood in its segment |
//! ```
//!
//! A turn of writing that is a run begins with its `RunStarted`, so it is looked for in the first step of a turn only,
//! however long the turns are. All runs of one journal have the same settings, or the engine refuses to begin them:
//! any of them says what the numbers mean.
//!
//! Invariants: the copy is on disk before the marker that names it, and the marker before the first file goes, so at no
//! moment a journal has lost the start of its runs; a file that is not what was written is never used.

use std::path::{Path, PathBuf};

use crate::record::{Kind, STEP_BYTES_MAX, Sequence, Step, StepRef};

use super::beside;
use super::directory::{Directory, segment_name};
use super::error::JournalError;
use super::header::Fields;
use super::layout::layout;
use super::pruned::{Marker, first_fields, steady};
use super::segment::{Head, Segment, read_head};
use super::storage::{Disk, Region as _, Storage};
use super::walk::{Seen, Walk};

/// The file of the copy.
pub(super) const FILE: &str = "pruned.run_started";

const MAGIC: [u8; 8] = *b"PAWLRUNS";
const VERSION: u16 = 1;

layout! {
    /// What stands in front of the step.
    pub(super) struct CopyHeader: size 64 {
        /// [`MAGIC`].
        0 magic: [u8; 8],
        /// [`VERSION`].
        8 version: u16,
        /// Zero.
        10 reserved: [u8; 6],
        /// As in the headers of the segments.
        16 journal_id: [u8; 16],
        /// Bytes of the step's frame, to the end of the file.
        32 len: u32,
        /// Zero.
        36 reserved2: [u8; 24],
        /// CRC-32C of the 60 bytes before it and the frame.
        60 crc: u32,
    }
}

/// Most bytes that are read of it: one more than it may have.
const FILE_BYTES_MAX: usize = CopyHeader::BYTES + STEP_BYTES_MAX + 1;

/// What the file of the copy holds.
#[derive(Debug)]
pub(super) enum Kept {
    /// There is no such file.
    Missing,
    /// It is not what was written, or not of this journal.
    Unusable(&'static str),
    /// The step.
    Whole(Step),
}

/// The step that began a run of the journal in `dir`: the first step there is, if it is one; else the last one that
/// was pruned away, from the copy beside the journal; else that of the first later run. All runs of a journal have the
/// same settings, so it says what every point, lot and column in it means. `None` if there is none anywhere.
///
/// # Errors
/// [`JournalError::RunStart`] if there is none but a copy that cannot be used, [`JournalError::Damaged`] if there is none
/// but damage where one may have been; [`JournalError::NoJournal`], [`JournalError::NotAJournal`],
/// [`JournalError::NewerFormat`], [`JournalError::Io`].
pub fn run_start(dir: &Path) -> Result<Option<Step>, JournalError> {
    let directory = Directory::new(Disk::new(dir));
    let mut refusal = None;
    let first = steady(&directory, || first_of(&directory, directory.segments()?[0]));
    if let Some(start) = unless_damaged(first, &mut refusal)? {
        return Ok(Some(start));
    }
    if let Some(fields) = unless_damaged(first_fields(&directory).map(Some), &mut refusal)?
        && fields.index > 1
    {
        match kept(&directory, fields.journal_id)? {
            Kept::Whole(start) => return Ok(Some(start)),
            Kept::Unusable(what) => refusal = Some(unusable(&directory, what)),
            Kept::Missing => {}
        }
    }
    let mut epoch = None;
    for first_sequence in directory.segments()? {
        let name = segment_name(first_sequence);
        let head = read_head(&directory.storage, &name, Some(first_sequence)).map(|head| match head {
            Some(Head::Whole { fields, .. }) => Some(fields),
            Some(Head::Torn) | None => None,
        });
        let Some(fields) = unless_damaged(head, &mut refusal)? else { continue };
        if epoch.replace(fields.epoch) != Some(fields.epoch)
            && let Some(start) = unless_damaged(first_of(&directory, first_sequence), &mut refusal)?
        {
            return Ok(Some(start));
        }
    }
    refusal.map_or(Ok(None), Err)
}

/// What was found; damage is remembered instead, the first one.
fn unless_damaged<T>(
    found: Result<Option<T>, JournalError>,
    refusal: &mut Option<JournalError>,
) -> Result<Option<T>, JournalError> {
    match found {
        Err(damaged @ JournalError::Damaged { .. }) => {
            refusal.get_or_insert(damaged);
            Ok(None)
        }
        other => other,
    }
}

/// The first step of a segment, if it began a run; `None` also if the segment is not there any more.
fn first_of<S: Storage>(directory: &Directory<S>, first_sequence: u64) -> Result<Option<Step>, JournalError> {
    Ok(first_frame(directory, first_sequence)?.as_deref().and_then(start_of))
}

/// The frame of the first step of a segment, if it began a run.
fn first_frame<S: Storage>(
    directory: &Directory<S>,
    first_sequence: u64,
) -> Result<Option<Vec<u8>>, JournalError> {
    let Some(segment) = Segment::open(directory, first_sequence)? else { return Ok(None) };
    let mut walk = Walk::start(&segment);
    loop {
        match walk.advance(&segment) {
            Ok(Some(Seen::Step { offset, len })) => {
                let frame = segment.region.committed(offset, len);
                return Ok(start_of(frame).map(|_| frame.to_vec()));
            }
            Ok(Some(Seen::Seal(_)) | None) => return Ok(None),
            Ok(Some(_)) => {}
            Err(damage) => return Err(segment.damaged(walk.offset, walk.next, damage)),
        }
    }
}

/// The step in a frame, if it began a run.
fn start_of(frame: &[u8]) -> Option<Step> {
    Step::of_frame(frame).filter(|step| is_start(step.view()))
}

/// Whether a step began a run.
pub(super) fn is_start(step: StepRef<'_>) -> bool {
    step.input().is_some_and(|input| input.kind() == Some(Kind::RunStarted))
}

/// The start of a run that is to be kept when segments go.
#[derive(Debug)]
pub(super) struct Keeping {
    /// The step's number; 0 if no run began in what goes or went.
    pub(super) sequence: u64,
    /// Its frame, if it is not beside the journal yet.
    frame: Option<Vec<u8>>,
}

impl Keeping {
    /// The last start of a run in the segments that go, oldest first, or what an earlier pruning has kept.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if one may have been where a segment is damaged, and no other is whole: then the journal
    /// would lose what its numbers mean.
    pub(super) fn of(
        directory: &Directory<Disk>,
        going: &[&Fields],
        marker: Option<&Marker>,
    ) -> Result<Self, JournalError> {
        let named = marker.map_or(0, |marker| marker.run_started);
        let Some(first) = going.first() else { return Ok(Self { sequence: named, frame: None }) };
        let beside = match kept(directory, first.journal_id)? {
            Kept::Whole(step) => step.sequence().0,
            Kept::Missing | Kept::Unusable(_) => 0,
        };
        let mut refusal = None;
        for (index, fields) in going.iter().enumerate().rev() {
            if index > 0 && going[index - 1].epoch == fields.epoch {
                continue;
            }
            let found = first_frame(directory, fields.first_sequence);
            if let Some(frame) = unless_damaged(found, &mut refusal)? {
                let sequence = fields.first_sequence;
                let is_new = sequence > beside;
                return Ok(Self { sequence: sequence.max(named), frame: is_new.then_some(frame) });
            }
        }
        match refusal {
            Some(damaged) if beside == 0 => Err(damaged),
            _ => Ok(Self { sequence: named, frame: None }),
        }
    }

    /// Puts it beside the journal: on disk when this returns.
    pub(super) fn write(
        &self,
        directory: &Directory<Disk>,
        journal_id: [u8; 16],
    ) -> Result<(), JournalError> {
        let Some(frame) = &self.frame else { return Ok(()) };
        directory.storage.put(FILE, &file_of(journal_id, frame))
    }

    /// The bytes of the file as they are beside the journal once it is kept; `None` if there is nothing to keep.
    pub(super) fn file(
        &self,
        directory: &Directory<Disk>,
        journal_id: [u8; 16],
    ) -> Result<Option<Vec<u8>>, JournalError> {
        match &self.frame {
            Some(frame) => Ok(Some(file_of(journal_id, frame))),
            None if self.sequence == 0 => Ok(None),
            None => Ok(directory.storage.head(FILE, FILE_BYTES_MAX)?.map(|(bytes, _)| bytes)),
        }
    }
}

/// The bytes of the file.
fn file_of(journal_id: [u8; 16], frame: &[u8]) -> Vec<u8> {
    let head = CopyHeader {
        magic: MAGIC,
        version: VERSION,
        reserved: [0; 6],
        journal_id,
        len: frame.len() as u32,
        reserved2: [0; 24],
        crc: 0,
    };
    let mut file = vec![0; CopyHeader::BYTES];
    file.extend_from_slice(frame);
    head.put(&mut file);
    let crc = checksum(&file);
    CopyHeader { crc, ..head }.put(&mut file);
    file
}

/// CRC-32C of everything but the checksum.
fn checksum(file: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&file[..60]), &file[CopyHeader::BYTES..])
}

/// What is kept beside the journal with this id.
pub(super) fn kept<S: Storage>(directory: &Directory<S>, journal_id: [u8; 16]) -> Result<Kept, JournalError> {
    let Some((bytes, _)) = directory.storage.head(FILE, FILE_BYTES_MAX)? else { return Ok(Kept::Missing) };
    Ok(step_of(&bytes, journal_id).map_or_else(Kept::Unusable, Kept::Whole))
}

/// The step in the bytes of a file, or what is wrong with them.
fn step_of(bytes: &[u8], journal_id: [u8; 16]) -> Result<Step, &'static str> {
    const DAMAGED: &str = "is damaged";
    if bytes.len() < CopyHeader::BYTES {
        return Err(DAMAGED);
    }
    let (head, frame) = (CopyHeader::get(bytes), &bytes[CopyHeader::BYTES..]);
    if head.magic != MAGIC || head.crc != checksum(bytes) || head.len as usize != frame.len() {
        return Err(DAMAGED);
    }
    if head.version != VERSION {
        return Err("is of a later version of pawl");
    }
    if head.journal_id != journal_id {
        return Err("belongs to another journal");
    }
    start_of(frame).ok_or(DAMAGED)
}

/// What is wrong with the copy beside a journal that begins behind the start of its run; its path, and the step that
/// it should hold. `None` if it is as it must be, or if the marker names none.
pub(super) fn damage_of_kept<S: Storage>(
    directory: &Directory<S>,
    marker: &Marker,
    journal_id: [u8; 16],
) -> Result<Option<(PathBuf, Sequence, &'static str)>, JournalError> {
    let named = marker.run_started;
    if named == 0 || marker.journal_id != beside::id_text(journal_id) {
        return Ok(None);
    }
    let what = match kept(directory, journal_id)? {
        // A later one is there when a pruning died before it had written its marker.
        Kept::Whole(step) if step.sequence().0 >= named => return Ok(None),
        Kept::Whole(_) => "is of an earlier run",
        Kept::Missing => "is missing",
        Kept::Unusable(what) => what,
    };
    Ok(Some((directory.storage.path(FILE), Sequence(named), what)))
}

fn unusable<S: Storage>(directory: &Directory<S>, what: &'static str) -> JournalError {
    JournalError::RunStart { file: directory.storage.path(FILE), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RunStarted, Tick, Time};

    fn file(settings: usize) -> Vec<u8> {
        let mut step = Step::new();
        step.begin(Sequence(7), Time(9));
        step.push_with_tail(&RunStarted::default(), &vec![b'x'; settings]);
        file_of([3; 16], step.bytes())
    }

    #[test]
    fn every_changed_bit_and_every_missing_end_is_noticed() {
        let whole = file(100);
        let step = step_of(&whole, [3; 16]).unwrap();
        assert_eq!((step.sequence(), step.bytes()), (Sequence(7), &whole[64..]));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(step_of(&bytes, [3; 16]).is_err(), "bit {bit} of byte {at}");
            }
            assert!(step_of(&whole[..at], [3; 16]).is_err(), "cut at {at}");
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert!(step_of(&longer, [3; 16]).is_err());
        assert_eq!(step_of(&whole, [4; 16]).unwrap_err(), "belongs to another journal");
    }

    #[test]
    fn the_largest_step_fits_and_another_step_is_none() {
        let largest = STEP_BYTES_MAX - 32 - 8 - 32;
        assert_eq!(step_of(&file(largest), [3; 16]).unwrap().bytes().len(), STEP_BYTES_MAX);
        let mut step = Step::new();
        step.begin(Sequence(7), Time(9));
        step.push(&Tick::default());
        assert!(step_of(&file_of([3; 16], step.bytes()), [3; 16]).is_err());
    }
}
