//! The verifier: reads every byte of a journal and says everything that is wrong, and changes nothing.
//!
//! ```text
//!  per segment: header > chain > frames (checksum, order, records, padding) > seal > zeros to the end > index
//!  of all:      hashes in digest frames, steps that are said to be durable and are not there
//! ```
//!
//! Invariants: arbitrary bytes give findings, never a panic, and never more work than the files are long; a journal
//! that a writer left in the middle of its work, or is still writing, is not damaged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::record::{Kind, OutputHash, Sequence, StepRef, Time};

use super::beside;
use super::control::{Digest, SEAL_SPAN, SEALED_ROLLED, Seal};
use super::cursor;
use super::directory::{Directory, index_name, segment_name};
use super::error::{Damage, JournalError};
use super::frame::{span, split_word};
use super::header::{COMPATIBLE_REBUILT, Fields, HEADER_BYTES};
use super::index::{Index, Samples};
use super::pruned;
use super::run_start;
use super::segment::Segment;
use super::storage::{Disk, Region as _, Storage};
use super::traversal::check_successor;
use super::verified::{DurableSource, Finding, Verified};
use super::walk::{Seen, Walk};

/// Bytes between two calls of the progress function.
const PROGRESS_BYTES: u64 = 4 << 20;

/// Bytes hashed at once, while they are still in the cache.
const HASH_BYTES: usize = 128 * 1024;

/// Checks the whole journal in `dir`. Calls `progress` with the bytes done and the bytes of all, now and then and at
/// the end.
///
/// Behind damage the rest of that segment is not read: nothing in it can be trusted to be in order.
///
/// # Errors
/// [`JournalError::NoJournal`], [`JournalError::NotAJournal`] if there is nothing to verify,
/// [`JournalError::NewerFormat`], [`JournalError::Io`]. Damage is no error but a finding.
pub fn verify(dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, JournalError> {
    let mut verified = verify_in(Disk::new(dir), progress)?;
    verified.findings.extend(cursor::findings(&Directory::new(Disk::new(dir)))?);
    Ok(verified)
}

/// Checks the whole journal in a storage.
pub(super) fn verify_in<S: Storage>(
    storage: S,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, JournalError> {
    verify_directory(&Directory::new(storage), progress)
}

/// Checks the whole journal in a directory, with the headers that count there.
pub(super) fn verify_directory<S: Storage>(
    directory: &Directory<S>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, JournalError> {
    let segments = directory.segments()?;
    let mut verifier = Verifier::new(directory, &segments, progress);
    for first_sequence in segments {
        verifier.segment(first_sequence)?;
    }
    while verifier.segment_behind()? {}
    verifier.finish()
}

/// A segment that was walked to its end.
struct Walked<S: Storage> {
    segment: Segment<S>,
    walk: Walk,
    seal: Option<Seal>,
}

/// The hash of a segment's used bytes, as far as they were walked.
struct Hashing {
    hasher: blake3::Hasher,
    hashed: usize,
}

/// A segment whose bytes were hashed.
struct Hashed {
    path: PathBuf,
    first_sequence: u64,
    used_bytes: u64,
    hash: [u8; 32],
    /// Whether a repair has written its header anew since a digest frame may have been written of it.
    is_rebuilt: bool,
}

struct Verifier<'a, S: Storage> {
    directory: &'a Directory<S>,
    progress: &'a mut dyn FnMut(u64, u64),
    total_bytes: u64,
    done_bytes: u64,
    told_bytes: u64,
    before: Option<Walked<S>>,
    is_first: bool,
    /// The first segment's, if the first step is not the start of a run: then a copy of one may have to lie beside.
    begins_within_run: Option<Fields>,
    durable: u64,
    hashes: BTreeMap<u64, Hashed>,
    digests: BTreeMap<u64, Digest>,
    counts: [u64; 128],
    verified: Verified,
}

impl<'a, S: Storage> Verifier<'a, S> {
    fn new(directory: &'a Directory<S>, segments: &[u64], progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        let bytes = |first: &u64| {
            let head = directory.storage.head(&segment_name(*first), 0);
            head.ok().flatten().map_or(0, |(_, len)| len)
        };
        let total_bytes = segments.iter().map(bytes).sum();
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
            output_hash: OutputHash::default(),
            durable_sequence: Sequence(0),
            durable_by: None,
            hashed_segments: 0,
            findings: Vec::new(),
            sealed: false,
            is_written: false,
        };
        Self {
            directory,
            progress,
            total_bytes,
            done_bytes: 0,
            told_bytes: 0,
            before: None,
            is_first: true,
            begins_within_run: None,
            durable: 0,
            hashes: BTreeMap::new(),
            digests: BTreeMap::new(),
            counts: [0; 128],
            verified,
        }
    }

    fn finish(mut self) -> Result<Verified, JournalError> {
        (self.progress)(self.total_bytes, self.total_bytes);
        let known = |kind: &Kind| (*kind, self.counts[usize::from(kind.code())]);
        self.verified.record_counts = Kind::ALL.iter().map(known).filter(|(_, count)| *count > 0).collect();
        if self.before.is_none() {
            self.verified.is_written = self.directory.storage.is_locked();
        }
        if let Some(last) = self.before.take() {
            self.verified.sealed = last.seal.is_some();
            self.verified.is_written &= !self.verified.sealed;
            let next = last.walk.next;
            let is_rolled = last.seal.as_ref().is_some_and(|seal| seal.reason == SEALED_ROLLED);
            // A machine that died may have left the spare that the writer went on in without its header.
            if is_rolled && !self.directory.list()?.spares.contains(&(last.segment.fields.index + 1)) {
                let path = self.directory.storage.path(&segment_name(next));
                let missing = Segment { path, ..last.segment };
                self.find(&missing, 0, next, Damage::SegmentMissing { first_sequence: next });
            } else if next <= self.durable {
                let durable = self.durable;
                self.find(&last.segment, last.walk.offset, next, Damage::Durable { durable });
            }
        }
        self.check_digests();
        self.check_run_start()?;
        self.verified.durable_sequence = Sequence(self.durable);
        Ok(self.verified)
    }

    /// Notes that something says that the steps up to this one were on disk.
    fn note_durable(&mut self, sequence: u64, by: DurableSource) {
        if sequence > 0 && sequence >= self.durable {
            (self.durable, self.verified.durable_by) = (sequence, Some(by));
        }
    }

    /// Compares the hashes that digest frames hold with those of the segments.
    fn check_digests(&mut self) {
        for (index, digest) in &self.digests {
            // A segment that is not whole is a finding already.
            let Some(hashed) = self.hashes.get(index) else { continue };
            let is_it = digest.first_sequence == hashed.first_sequence
                && digest.used_bytes == hashed.used_bytes
                && digest.hash == hashed.hash;
            if is_it {
                self.verified.hashed_segments += 1;
            } else if !hashed.is_rebuilt {
                self.verified.findings.push(Finding {
                    file: hashed.path.clone(),
                    offset: 0,
                    sequence: Sequence(hashed.first_sequence),
                    what: Damage::Digest,
                });
            }
        }
    }

    /// Checks what is kept of the runs that began in segments that were pruned.
    fn check_run_start(&mut self) -> Result<(), JournalError> {
        let Some(first) = self.begins_within_run.take().filter(|first| first.index > 1) else {
            return Ok(());
        };
        let found = match pruned::read_marker(self.directory, &beside::id_text(first.journal_id)) {
            Ok(Some(marker)) => run_start::damage_of_kept(self.directory, &marker, first.journal_id)?,
            // That it is damaged or missing is a finding already.
            Ok(None) | Err(JournalError::PrunedMarker { .. }) => None,
            Err(error) => return Err(error),
        };
        if let Some((file, sequence, what)) = found {
            let what = Damage::RunStart(what);
            self.verified.findings.push(Finding { file, offset: 0, sequence, what });
        }
        Ok(())
    }

    fn find(&mut self, segment: &Segment<S>, offset: usize, sequence: u64, what: Damage) {
        let (file, sequence) = (segment.path.clone(), Sequence(sequence));
        self.verified.findings.push(Finding { file, offset: offset as u64, sequence, what });
    }

    /// Goes on in a segment that got its name after the listing, or has none yet.
    fn segment_behind(&mut self) -> Result<bool, JournalError> {
        let Some(Walked { segment, walk, seal: Some(seal) }) = &self.before else { return Ok(false) };
        if seal.reason != SEALED_ROLLED {
            return Ok(false);
        }
        let (directory, index, next) = (self.directory, segment.fields.index + 1, walk.next);
        let found = Segment::open_rolled(directory, index, next)?;
        // Whatever it says, the journal goes on in a later one only.
        let Some(found) = found.filter(|found| found.fields.index == index) else { return Ok(false) };
        self.verified.segments += 1;
        self.verified.bytes += found.file_bytes;
        self.total_bytes += found.file_bytes;
        self.opened(found)?;
        Ok(true)
    }

    fn segment(&mut self, first_sequence: u64) -> Result<(), JournalError> {
        let is_first = std::mem::take(&mut self.is_first);
        let segment = match Segment::open(self.directory, first_sequence) {
            Ok(Some(segment)) => segment,
            Ok(None) if pruned::given_up(self.directory, first_sequence)?.is_some() => {
                // Pruned since the listing: what follows is the start.
                (self.before, self.is_first) = (None, true);
                return Ok(());
            }
            Ok(None) => return Err(self.directory.no_journal()),
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
        if is_first && let Some(what) = pruned::damage_of_start(self.directory, &segment.fields)? {
            self.find(&segment, 0, first_sequence, what);
        }
        self.opened(segment)
    }

    fn opened(&mut self, segment: Segment<S>) -> Result<(), JournalError> {
        if let Some(before) = self.before.take() {
            self.chain(&before, &segment);
        }
        self.note_durable(segment.fields.durable_sequence, DurableSource::Header);
        let file_bytes = segment.file_bytes;
        self.before = self.frames(segment)?;
        self.done_bytes += file_bytes;
        Ok(())
    }

    /// Checks that a segment goes on where the one before it ended.
    fn chain(&mut self, before: &Walked<S>, segment: &Segment<S>) {
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
    fn frames(&mut self, segment: Segment<S>) -> Result<Option<Walked<S>>, JournalError> {
        let mut walk = Walk::start(&segment);
        let mut samples = Samples::for_segment(segment.fields.segment_bytes);
        let mut hashing = Hashing { hasher: blake3::Hasher::new(), hashed: 0 };
        if self.directory.rebuilt(&segment_name(segment.fields.first_sequence)).is_some() {
            hashing.hasher.update(&segment.fields.page());
            hashing.hashed = HEADER_BYTES;
        }
        loop {
            samples.note(&walk);
            let (at, next) = (walk.offset, walk.next);
            let seen = walk.advance(&segment);
            if matches!(seen, Ok(Some(_))) {
                self.fill(&segment, at, next);
            }
            match seen {
                Ok(Some(Seen::Step { offset, len })) => self.step(&segment, offset, len),
                Ok(Some(Seen::Control)) => {}
                Ok(Some(Seen::Sync(sync))) => {
                    self.note_durable(sync.durable_sequence, DurableSource::SyncFrame);
                }
                Ok(Some(Seen::Digest(digest))) => {
                    self.digests.insert(digest.index, digest);
                }
                Ok(Some(Seen::Seal(seal))) => {
                    self.finished(&segment, &seal, hashing, &samples)?;
                    self.zeros(&segment, walk.offset + SEAL_SPAN, walk.next, |bytes| Damage::NotZero {
                        bytes,
                    });
                    return Ok(Some(Walked { segment, walk, seal: Some(seal) }));
                }
                Ok(None) => {
                    let is_quiet = !self.directory.storage.is_locked();
                    self.verified.is_written = !is_quiet;
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
            // In whole blocks, of which the hash is a balanced tree and fastest.
            hashing.update(&segment, walk.offset / HASH_BYTES * HASH_BYTES, HASH_BYTES);
            let done_bytes = self.done_bytes + walk.offset as u64;
            if done_bytes - self.told_bytes >= PROGRESS_BYTES {
                self.told_bytes = done_bytes;
                (self.progress)(done_bytes, self.total_bytes);
            }
        }
    }

    /// A segment that ends in its seal: its hash, and the index beside it.
    fn finished(
        &mut self,
        segment: &Segment<S>,
        seal: &Seal,
        mut hashing: Hashing,
        samples: &Samples,
    ) -> Result<(), JournalError> {
        if seal.is_durable() {
            self.note_durable(seal.last_sequence, DurableSource::Seal);
        }
        hashing.update(segment, seal.used_bytes as usize, 1);
        let (fields, path) = (&segment.fields, segment.path.clone());
        let hash = *hashing.hasher.finalize().as_bytes();
        let (first_sequence, used_bytes) = (fields.first_sequence, seal.used_bytes);
        let is_rebuilt = fields.compatible & COMPATIBLE_REBUILT != 0;
        self.hashes.insert(fields.index, Hashed { path, first_sequence, used_bytes, hash, is_rebuilt });
        let what = match Index::read(self.directory, fields)? {
            Some(Ok(index)) if !index.is(samples) => "is not the one of its frames",
            Some(Err(what)) => what,
            _ => return Ok(()),
        };
        self.verified.findings.push(Finding {
            file: self.directory.storage.path(&index_name(first_sequence)),
            offset: 0,
            sequence: Sequence(first_sequence),
            what: Damage::Index(what),
        });
        Ok(())
    }

    /// Finds bytes from `from` to the end that are not zero.
    fn zeros(&mut self, segment: &Segment<S>, from: usize, sequence: u64, what: impl Fn(u64) -> Damage) {
        if let Some(end) = segment.region.last_nonzero(from, segment.region.len()) {
            self.find(segment, from, sequence, what((end - from) as u64));
        }
    }

    /// Finds bytes between a whole frame and where the next one begins that are not zero.
    fn fill(&mut self, segment: &Segment<S>, offset: usize, sequence: u64) {
        let (len, _) = split_word(segment.region.word(offset));
        let (from, to) = (offset + len as usize, offset + span(len as usize));
        if let Some(end) = segment.region.last_nonzero(from, to) {
            self.find(segment, from, sequence, Damage::NotZero { bytes: (end - from) as u64 });
        }
    }

    fn step(&mut self, segment: &Segment<S>, offset: usize, len: usize) {
        let step = StepRef::from_frame(segment.region.committed(offset, len)).expect("a step has a header");
        let Self { counts, verified, .. } = self;
        let is_well_formed = step.look(|kind| match kind {
            Some(kind) => counts[usize::from(kind.code())] += 1,
            None => verified.unknown_records += 1,
        });
        verified.output_hash = verified.output_hash.after(step);
        if !is_well_formed {
            self.find(segment, offset, step.sequence().0, Damage::Records);
        }
        if self.verified.steps == 0 {
            self.begins_within_run = (!run_start::is_start(step)).then_some(segment.fields);
            (self.verified.first_sequence, self.verified.first_time) = (step.sequence(), step.time());
        }
        (self.verified.last_sequence, self.verified.last_time) = (step.sequence(), step.time());
        self.verified.steps += 1;
    }
}

impl Hashing {
    /// Hashes what was walked since the last time, if that is as much as `least`.
    fn update<S: Storage>(&mut self, segment: &Segment<S>, to: usize, least: usize) {
        if to >= self.hashed + least {
            self.hasher.update(segment.region.committed(self.hashed, to - self.hashed));
            self.hashed = to;
        }
    }
}
