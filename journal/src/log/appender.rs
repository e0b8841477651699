//! The appender: the one writer of a journal.
//!
//! ```text
//!  create_or_open: lock > recover what is there > new segment, next epoch      (never into an old segment)
//!  append:         room? > checksum > copy > one store                         (no allocation, no lock)
//!  roll:           next segment is there > seal says so > go on in it
//! ```
//!
//! Invariants: sequences go up by one and times do not go back, across segments and epochs; whatever is committed
//! when this process dies is there for the next one.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::record::{Sequence, Step, Time};

use super::control::{CONTROL_BYTES, SEALED_ENDED, SEALED_FAILED, SEALED_ROLLED, Standing};
use super::directory::Directory;
use super::error::JournalError;
use super::header::Fields;
use super::lock::WriterLock;
use super::options::JournalOptions;
use super::recovery::{self, Turn};
use super::writer::SegmentWriter;

/// Why a writer ends its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealReason {
    /// In order.
    Ended,
    /// Because something failed, but the journal itself is sound.
    Failed,
}

/// What was found when the journal was opened for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Sequence of the last committed step; 0 in a new journal.
    pub last_sequence: Sequence,
    /// Time of that step; 0 in a new journal.
    pub last_time: Time,
    /// Bytes behind the last whole frame that were moved to `quarantine/`; 0 if there were none.
    pub quarantined_bytes: u64,
    /// Whether the writer before had sealed the journal itself (or there was none).
    pub was_clean: bool,
}

/// The one writer of a journal, until dropped. Dropped without [`Self::seal`] it leaves what a crash leaves, which
/// the next start recovers whole.
#[derive(Debug)]
pub struct Appender {
    writer: SegmentWriter,
    directory: Directory,
    options: JournalOptions,
    next: u64,
    time: i64,
    finished_bytes: u64,
    sealed: bool,
    recovered: Recovered,
    _lock: WriterLock,
}

impl Appender {
    /// Opens the journal in `dir` for writing; creates directory and journal if there is none.
    ///
    /// What a crash left behind is sealed first, what follows the last whole frame moved to quarantine. Writing goes
    /// on in a new segment. Interrupted anywhere, the next call does the rest.
    ///
    /// # Errors
    /// Every [`JournalError`] but [`JournalError::NoJournal`]; nothing is changed in a directory that is refused.
    pub fn create_or_open(dir: &Path, options: &JournalOptions) -> Result<Self, JournalError> {
        options.check()?;
        let directory = Directory::new(dir);
        directory.create()?;
        directory.check_file_system()?;
        let listing = directory.list()?;
        if let (true, Some(holds)) = (listing.segments.is_empty(), listing.foreign) {
            return Err(JournalError::NotAJournal { dir: dir.to_path_buf(), holds });
        }
        let lock = WriterLock::take(&directory)?;
        let listing = directory.list()?;
        for spare in &listing.spares {
            std::fs::remove_file(spare).map_err(|error| JournalError::io("write", spare, error))?;
        }
        let turn = if listing.segments.is_empty() {
            Turn::first(random()?)
        } else {
            recovery::recover(&directory, &listing.segments)?
        };
        let fields = Fields {
            index: turn.index,
            first_sequence: turn.standing.next,
            base_time: turn.standing.time,
            epoch: turn.epoch,
            predecessor_first_sequence: turn.predecessor_first_sequence,
            predecessor_used_bytes: turn.predecessor_used_bytes,
            ..Fields::new(turn.journal_id, u64::from_le_bytes(random()?), options.segment_bytes)
        };
        let writer = SegmentWriter::create(&directory, fields, |writer| {
            writer.put(&turn.standing.epoch(turn.epoch, turn.quarantined_bytes, turn.predecessor_reason))
        })?;
        Ok(Self {
            writer,
            directory,
            options: *options,
            next: turn.standing.next,
            time: turn.standing.time,
            finished_bytes: 0,
            sealed: false,
            recovered: turn.recovered(),
            _lock: lock,
        })
    }

    /// What was found when the journal was opened.
    #[must_use]
    pub const fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Commits a step: when this returns, every reader of the journal sees it, and it survives this process.
    ///
    /// # Errors
    /// Only when a new segment is due, or pages are: [`JournalError::DiskFull`], [`JournalError::Io`]. Then nothing
    /// was written, and the journal can still be sealed.
    ///
    /// # Panics
    /// If the step is not the next one, its time goes back, or the journal was sealed: bugs of the caller.
    #[inline]
    pub fn append(&mut self, step: &Step) -> Result<(), JournalError> {
        let (sequence, time) = (step.sequence().0, step.time().0);
        assert!(sequence == self.next, "step {sequence} appended where {} is next", self.next);
        assert!(time >= self.time, "step {sequence} is earlier than the one before it");
        assert!(!self.sealed, "step {sequence} appended to a sealed journal");
        let bytes = step.bytes();
        if !self.writer.has_room(bytes.len()) {
            self.roll()?;
        }
        self.writer.put(bytes)?;
        self.next = sequence + 1;
        self.time = time;
        Ok(())
    }

    /// Sequence that the next step must have.
    #[inline]
    #[must_use]
    pub const fn next_sequence(&self) -> Sequence {
        Sequence(self.next)
    }

    /// Time of the last step, which the next one may not be before; 0 in a new journal.
    #[inline]
    #[must_use]
    pub const fn last_time(&self) -> Time {
        Time(self.time)
    }

    /// The journal's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// Bytes of the journal used by this appender so far: headers, frames, their padding, seals.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.finished_bytes + self.writer.offset() as u64
    }

    /// Ends this writer's turn: seals the segment and waits until it is on disk. Sealing twice is sealing once.
    ///
    /// # Errors
    /// [`JournalError::Io`] if the seal could not be written or synced; the next start then recovers.
    pub fn seal(&mut self, reason: SealReason) -> Result<(), JournalError> {
        if self.sealed {
            return Ok(());
        }
        self.sealed = true;
        let reason = match reason {
            SealReason::Ended => SEALED_ENDED,
            SealReason::Failed => SEALED_FAILED,
        };
        self.writer.seal(self.standing(), reason)?;
        self.writer.sync()
    }

    fn standing(&self) -> Standing {
        Standing { next: self.next, time: self.time }
    }

    /// Goes on in a new segment. It is there before the seal sends anybody to it.
    #[cold]
    fn roll(&mut self) -> Result<(), JournalError> {
        let old = self.writer.segment().fields;
        let fields = Fields {
            index: old.index + 1,
            first_sequence: self.next,
            base_time: self.time,
            epoch: old.epoch,
            predecessor_first_sequence: old.first_sequence,
            predecessor_used_bytes: (self.writer.offset() + CONTROL_BYTES) as u64,
            ..Fields::new(old.journal_id, u64::from_le_bytes(random()?), self.options.segment_bytes)
        };
        let next = SegmentWriter::create(&self.directory, fields, |_| Ok(()))?;
        self.writer.seal(self.standing(), SEALED_ROLLED)?;
        self.finished_bytes += self.writer.offset() as u64;
        self.writer = next;
        Ok(())
    }
}

/// Random bytes, for what must differ between journals and segments and decides nothing.
fn random<const N: usize>() -> Result<[u8; N], JournalError> {
    let path = PathBuf::from("/dev/urandom");
    let mut bytes = [0; N];
    File::open(&path)
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(|error| JournalError::io("read", &path, error))?;
    Ok(bytes)
}
