//! The verifier: reads every byte of a journal and says everything that is wrong, and changes nothing.
//!
//! ```text
//!  per segment: header > chain > frames (checksum, order, records, padding) > seal > zeros to the end
//! ```
//!
//! Invariants: arbitrary bytes give findings, never a panic, and never more work than the files are long; a journal
//! that a writer left in the middle of its work, or is still writing, is not damaged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::record::{Kind, OutputHash, OutputHasher, Sequence, StepRef, Time};

use super::control::SEALED_ROLLED;
use super::control::{SEAL_SPAN, Seal};
use super::cursor::check_successor;
use super::directory::Directory;
use super::error::{Damage, JournalError};
use super::frame::span;
use super::lock::WriterLock;
use super::segment::Segment;
use super::walk::{Seen, Walk};

/// Bytes between two calls of the progress function.
const PROGRESS_BYTES: u64 = 4 << 20;

/// Something wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The segment file.
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
        write!(f, "{} at offset {offset} (sequence {sequence}): {what}", file.display())
    }
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
    /// Everything that is wrong, in the order of the files. Empty: the journal is what was written.
    pub findings: Vec<Finding>,
    /// Whether the last segment ends in a seal: no writer has it, and none died with it.
    pub sealed: bool,
}

/// Checks the whole journal in `dir`. Calls `progress` with the bytes done and the bytes of all, now and then and at
/// the end.
///
/// Behind damage the rest of that segment is not read: nothing in it can be trusted to be in order.
///
/// # Errors
/// [`JournalError::NoJournal`], [`JournalError::NotAJournal`] if there is nothing to verify,
/// [`JournalError::NewerFormat`], [`JournalError::Io`]. Damage is no error but a finding.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, JournalError> {
    let directory = Directory::new(dir);
    let listing = directory.list()?;
    if let (true, Some(holds)) = (listing.segments.is_empty(), listing.foreign) {
        return Err(JournalError::NotAJournal { dir: dir.to_path_buf(), holds });
    }
    let segments = directory.segments()?;
    let mut verifier = Verifier::new(&directory, &segments, progress);
    for first_sequence in segments {
        verifier.segment(first_sequence)?;
    }
    Ok(verifier.finish())
}

/// A segment that was walked to its end.
struct Walked {
    segment: Segment,
    walk: Walk,
    seal: Option<Seal>,
}

struct Verifier<'a> {
    directory: &'a Directory,
    progress: &'a mut dyn FnMut(u64, u64),
    total_bytes: u64,
    done_bytes: u64,
    told_bytes: u64,
    before: Option<Walked>,
    is_first: bool,
    hasher: OutputHasher,
    counts: [u64; 128],
    verified: Verified,
}

impl<'a> Verifier<'a> {
    fn new(directory: &'a Directory, segments: &[u64], progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        let bytes =
            |first: &u64| std::fs::metadata(directory.segment_path(*first)).map_or(0, |file| file.len());
        let total_bytes = segments.iter().map(bytes).sum();
        let hasher = OutputHasher::new();
        let verified = Verified {
            segments: segments.len() as u64,
            steps: 0,
            first_sequence: Sequence(0),
            last_sequence: Sequence(0),
            first_time: Time(0),
            last_time: Time(0),
            bytes: total_bytes,
            record_counts: BTreeMap::new(),
            unknown_records: 0,
            output_hash: hasher.finish(),
            findings: Vec::new(),
            sealed: false,
        };
        Self {
            directory,
            progress,
            total_bytes,
            done_bytes: 0,
            told_bytes: 0,
            before: None,
            is_first: true,
            hasher,
            counts: [0; 128],
            verified,
        }
    }

    fn finish(mut self) -> Verified {
        (self.progress)(self.total_bytes, self.total_bytes);
        let known = |kind: &Kind| (*kind, self.counts[usize::from(kind.code())]);
        self.verified.record_counts = Kind::ALL.iter().map(known).filter(|(_, count)| *count > 0).collect();
        self.verified.output_hash = self.hasher.finish();
        if let Some(last) = self.before.take() {
            self.verified.sealed = last.seal.is_some();
            if last.seal.as_ref().is_some_and(|seal| seal.reason == SEALED_ROLLED) {
                let first_sequence = last.walk.next;
                let missing = Segment { path: self.directory.segment_path(first_sequence), ..last.segment };
                self.find(&missing, 0, first_sequence, Damage::SegmentMissing { first_sequence });
            }
        }
        self.verified
    }

    fn find(&mut self, segment: &Segment, offset: usize, sequence: u64, what: Damage) {
        let (file, sequence) = (segment.path.clone(), Sequence(sequence));
        self.verified.findings.push(Finding { file, offset: offset as u64, sequence, what });
    }

    fn segment(&mut self, first_sequence: u64) -> Result<(), JournalError> {
        let path = self.directory.segment_path(first_sequence);
        let is_first = std::mem::take(&mut self.is_first);
        let segment = match Segment::open(path, first_sequence) {
            Ok(Some(segment)) => segment,
            Ok(None) => return Err(JournalError::NoJournal { dir: self.directory.path().to_path_buf() }),
            Err(JournalError::Damaged { file, offset, sequence, what }) => {
                self.verified.findings.push(Finding { file, offset, sequence, what });
                self.before = None;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(what) = segment.truncated() {
            self.find(&segment, segment.region.len(), 0, what);
        }
        if is_first && segment.fields.index > 1 {
            self.find(&segment, 0, first_sequence, Damage::StartMissing { first_sequence });
        }
        if let Some(before) = self.before.take() {
            self.chain(&before, &segment);
        }
        let file_bytes = segment.file_bytes;
        self.before = self.frames(segment)?;
        self.done_bytes += file_bytes;
        Ok(())
    }

    /// Checks that a segment goes on where the one before it ended.
    fn chain(&mut self, before: &Walked, segment: &Segment) {
        let Walked { segment: old, walk, seal } = before;
        let new = &segment.fields;
        let stepless = walk.next == old.fields.first_sequence;
        if new.first_sequence > walk.next && new.index > old.fields.index + 1 {
            let first_sequence = walk.next;
            self.find(segment, 0, first_sequence, Damage::SegmentMissing { first_sequence });
        } else if let Err(what) = check_successor(old, new, walk, stepless) {
            self.find(segment, 0, walk.next, what.into());
        } else if seal.is_none() && new.epoch != old.fields.epoch {
            // In the same epoch only the seal is missing: a roll that is going on, or was interrupted.
            self.find(old, walk.offset, walk.next, Damage::NotSealed);
        }
    }

    /// Walks the frames of a segment; `None` if damage ended the walk.
    fn frames(&mut self, segment: Segment) -> Result<Option<Walked>, JournalError> {
        let mut walk = Walk::start(&segment);
        loop {
            match walk.advance(&segment) {
                Ok(Some(Seen::Step { offset, len })) => self.step(&segment, offset, len),
                Ok(Some(Seen::Control)) => {}
                Ok(Some(Seen::Seal(seal))) => {
                    self.zeros(&segment, walk.offset + SEAL_SPAN, walk.next, |bytes| Damage::NotZero {
                        bytes,
                    });
                    return Ok(Some(Walked { segment, walk, seal: Some(seal) }));
                }
                Ok(None) => {
                    let is_quiet = !WriterLock::is_held(self.directory);
                    if is_quiet && segment.region.word(walk.offset) != 0 {
                        continue;
                    }
                    if is_quiet {
                        self.zeros(&segment, walk.offset, walk.next, |bytes| Damage::Tail { bytes });
                    }
                    return Ok(Some(Walked { segment, walk, seal: None }));
                }
                Err(newer @ Damage::FrameKind { .. }) => {
                    return Err(segment.damaged(walk.offset, walk.next, newer));
                }
                Err(Damage::Truncated { .. }) if segment.truncated().is_some() => return Ok(None),
                Err(what) => {
                    self.find(&segment, walk.offset, walk.next, what);
                    return Ok(None);
                }
            }
            let done_bytes = self.done_bytes + walk.offset as u64;
            if done_bytes - self.told_bytes >= PROGRESS_BYTES {
                self.told_bytes = done_bytes;
                (self.progress)(done_bytes, self.total_bytes);
            }
        }
    }

    /// Finds bytes from `from` to the end that are not zero.
    fn zeros(&mut self, segment: &Segment, from: usize, sequence: u64, what: impl Fn(u64) -> Damage) {
        if let Some(end) = segment.region.last_nonzero(from, segment.region.len()) {
            self.find(segment, from, sequence, what((end - from) as u64));
        }
    }

    fn step(&mut self, segment: &Segment, offset: usize, len: usize) {
        let step = StepRef::from_frame(segment.region.committed(offset, len)).expect("a step has a header");
        if let Some(end) = segment.region.last_nonzero(offset + len, offset + span(len)) {
            let bytes = (end - offset - len) as u64;
            self.find(segment, offset + len, step.sequence().0, Damage::NotZero { bytes });
        }
        if !step.is_well_formed() {
            self.find(segment, offset, step.sequence().0, Damage::Records);
        }
        for record in step.records() {
            match record.kind() {
                Some(kind) => self.counts[usize::from(kind.code())] += 1,
                None => self.verified.unknown_records += 1,
            }
        }
        self.hasher.step(step);
        if self.verified.steps == 0 {
            (self.verified.first_sequence, self.verified.first_time) = (step.sequence(), step.time());
        }
        (self.verified.last_sequence, self.verified.last_time) = (step.sequence(), step.time());
        self.verified.steps += 1;
    }
}
