//! The appender: the one writer of a journal.
//!
//! ```text
//!  create_or_open: Claim (lock > recover what is there) > new segment, next epoch   (never into an old segment)
//!  append:         asked for something? > room? > checksum > copy > one store  (no system call, lock, allocation)
//!  roll:           take a spare > its header > seal says so > go on in it      (no system call)
//! ```
//!
//! Invariants: sequences go up by one and times do not go back, across segments and epochs; whatever is committed
//! when this process dies is there for the next one.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use crate::record::{Sequence, Step, Time};

use super::background::Background;
use super::claim::Claim;
use super::control::{
    CONTROL_BYTES, DIGEST_BYTES, PAD_BYTES_MAX, SEAL_SPAN, SEALED_ENDED, SEALED_FAILED, SEALED_ROLLED, Sync,
};
use super::directory::{Directory, segment_name, spare_name};
use super::error::JournalError;
use super::flusher::{Flusher, Rolled};
use super::header::Fields;
use super::index::put_index;
use super::options::{Durability, JournalOptions};
use super::recovery::Turn;
use super::storage::{Disk, Storage};
use super::supplier::{Position, Spare, Stock, Supplier};
use super::watermark::{ASKED_DIGEST, ASKED_END, ASKED_PAD, ASKED_SYNC, DurablePlace, Supply, Watermarks};
use super::writer::SegmentWriter;

/// How long the writer waits for a segment between two looks at why there is none.
const WAIT: Duration = Duration::from_millis(1);

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
    /// The highest step that is whole in what was moved: what lies between it and `last_sequence` is lost, as only
    /// the death of a machine can do. 0 if there is none.
    pub lost_until: Sequence,
    /// Whether the writer before had sealed the journal itself (or there was none).
    pub was_clean: bool,
}

/// The one writer of a journal, until dropped. Dropped without [`Self::seal`] it leaves what a crash leaves, which
/// the next start recovers whole.
#[derive(Debug)]
pub struct Appender<S: Storage = Disk> {
    writer: SegmentWriter<S>,
    background: Background<S>,
    stock: Stock<S>,
    rolled: Sender<Rolled<S>>,
    position: Arc<Position>,
    watermarks: Watermarks,
    directory: Directory<S>,
    options: JournalOptions,
    finished_bytes: u64,
    told: u64,
    sealed: bool,
    recovered: Recovered,
    _lock: S::Lock,
}

impl Appender {
    /// Opens the journal in `dir` for writing; creates directory and journal if there is none.
    ///
    /// What a crash left behind is sealed first, what follows the last whole frame moved to quarantine. Writing goes
    /// on in a new segment. Interrupted anywhere, the next call does the rest. Two threads of the appender's own make
    /// the next segments and sync what is written. Who has still something to ask the journal takes a [`Claim`] first.
    ///
    /// # Errors
    /// Those of [`Claim::take`] and [`Claim::begin`].
    pub fn create_or_open(dir: &Path, options: &JournalOptions) -> Result<Self, JournalError> {
        Claim::take(dir, options)?.begin()
    }
}

impl<S: Storage> Appender<S> {
    /// Opens the journal in a storage; `start` says who does the background work.
    #[cfg(test)]
    pub(super) fn open_in(
        storage: S,
        options: &JournalOptions,
        start: impl FnOnce(Supplier<S>, Flusher<S>, Durability, &Watermarks) -> std::io::Result<Background<S>>,
    ) -> Result<Self, JournalError> {
        Claim::take_in(storage, options)?.begin_with(start)
    }

    /// The appender of a turn whose first segment is there.
    pub(super) fn begun(
        directory: Directory<S>,
        options: JournalOptions,
        turn: Turn<S>,
        (writer, position): (SegmentWriter<S>, Arc<Position>),
        lock: S::Lock,
        start: impl FnOnce(Supplier<S>, Flusher<S>, Durability, &Watermarks) -> std::io::Result<Background<S>>,
    ) -> Result<Self, JournalError> {
        let watermarks = Watermarks::new(turn.place.next - 1);
        let (rolled, receiver) = channel();
        let region = writer.region().clone();
        let current = (writer.fields.index, region.clone());
        let (supplier, stock) = Supplier::new(
            directory.clone(),
            options.segment_bytes,
            current,
            Arc::clone(&position),
            watermarks.clone(),
        );
        let recovered = turn.recovered();
        let open = (writer.fields, region);
        let flusher = Flusher::new(
            directory.clone(),
            watermarks.clone(),
            receiver,
            open,
            turn.predecessor,
            options.durability,
        );
        let background = start(supplier, flusher, options.durability, &watermarks)
            .map_err(|error| JournalError::io("start a thread for", directory.storage.dir(), error))?;
        Ok(Self {
            writer,
            background,
            stock,
            rolled,
            position,
            watermarks,
            directory,
            options,
            finished_bytes: 0,
            told: recovered.last_sequence.0,
            sealed: false,
            recovered,
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
    /// [`JournalError::SyncFailed`] once a sync has failed; [`JournalError::DiskFull`] or [`JournalError::Io`] when
    /// a new segment is due and cannot be made. Then nothing was written, and in the latter case the journal can
    /// still be sealed.
    ///
    /// # Panics
    /// If the step is not the next one, its time goes back, or the journal was sealed: bugs of the caller.
    #[inline]
    pub fn append(&mut self, step: &Step) -> Result<(), JournalError> {
        let (sequence, time) = (step.sequence().0, step.time().0);
        let place = self.writer.place();
        assert!(sequence == place.next, "step {sequence} appended where {} is next", place.next);
        assert!(time >= place.time, "step {sequence} is earlier than the one before it");
        assert!(!self.sealed, "step {sequence} appended to a sealed journal");
        self.tend()?;
        let bytes = step.bytes();
        if !self.writer.has_room(bytes.len()) {
            self.roll()?;
        }
        self.writer.put_step(bytes, sequence, time);
        Ok(())
    }

    /// Sequence that the next step must have.
    #[inline]
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        Sequence(self.writer.place().next)
    }

    /// Time of the last step, which the next one may not be before; 0 in a new journal.
    #[inline]
    #[must_use]
    pub fn last_time(&self) -> Time {
        Time(self.writer.place().time)
    }

    /// How far the journal is durable, and what that costs; for every thread of the process.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.watermarks.clone()
    }

    /// Does what the background threads have asked the writer for. Every append does it too; a writer that has
    /// nothing to append for a while calls this now and then. Costs one load when nothing was asked.
    ///
    /// # Errors
    /// [`JournalError::SyncFailed`] once a sync has failed.
    #[inline]
    pub fn tend(&mut self) -> Result<(), JournalError> {
        if self.watermarks.asked() == 0 { Ok(()) } else { self.answer() }
    }

    /// The journal's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.directory.storage.dir()
    }

    /// Bytes of the journal used by this appender so far: headers, frames, their padding, seals.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.finished_bytes + self.writer.place().offset as u64
    }

    /// Ends this writer's turn: makes everything durable, seals the segment, and makes the seal durable. Sealing twice
    /// is sealing once.
    ///
    /// # Errors
    /// [`JournalError::SyncFailed`], [`JournalError::Io`] if the journal could not be made durable; then there is no
    /// seal, and the next start recovers.
    pub fn seal(&mut self, reason: SealReason) -> Result<(), JournalError> {
        if self.sealed {
            return Ok(());
        }
        self.sealed = true;
        let flusher = self.background.end(true);
        self.remove_spares();
        // Nothing is asked any more, but what was asked is done.
        self.answer()?;
        self.sync(flusher.map_or(0, |flusher| flusher.synced()))?;
        let reason = match reason {
            SealReason::Ended => SEALED_ENDED,
            SealReason::Failed => SEALED_FAILED,
        };
        let unsealed = self.writer.place().offset;
        self.writer.seal(reason);
        self.sync(unsealed)?;
        let place = self.writer.place();
        let bytes = place.offset as u64;
        let fields = &self.writer.fields;
        self.watermarks
            .advance(place.next - 1, DurablePlace { segment_first_sequence: fields.first_sequence, bytes });
        // An index may be missing; a seek then takes longer.
        drop(put_index(&self.directory, fields, self.writer.samples(), bytes));
        Ok(())
    }

    /// Writes what the background threads have asked for.
    #[cold]
    fn answer(&mut self) -> Result<(), JournalError> {
        let asked = self.watermarks.asked();
        if asked & ASKED_END != 0 {
            return Err(self.failure());
        }
        if asked & ASKED_SYNC != 0 {
            self.watermarks.answered(ASKED_SYNC);
            let durable = self.watermarks.durable().0;
            if durable > self.told && self.writer.has_room(CONTROL_BYTES) {
                let place = self.watermarks.durable_place();
                let sync = Sync {
                    durable_sequence: durable,
                    segment_first_sequence: place.segment_first_sequence,
                    durable_bytes: place.bytes,
                    mode: self.options.durability.code(),
                    reserved: [0; 6],
                };
                self.writer.put(&self.writer.standing().sync(&sync));
                self.told = durable;
            }
        }
        if asked & ASKED_DIGEST != 0 {
            self.watermarks.answered(ASKED_DIGEST);
            while self.writer.has_room(DIGEST_BYTES)
                && let Some(digest) = self.watermarks.pop_digest()
            {
                self.writer.put(&self.writer.standing().digest(&digest));
            }
        }
        if asked & ASKED_PAD != 0 {
            self.pad();
            self.watermarks.answered(ASKED_PAD);
        }
        Ok(())
    }

    /// Goes on at the next page, if the segment has one.
    fn pad(&mut self) {
        let offset = self.writer.place().offset;
        let len = offset.next_multiple_of(PAD_BYTES_MAX) - offset;
        if len > 0 && self.writer.has_room(len) {
            let mut frame = [0; PAD_BYTES_MAX];
            self.writer.put(self.writer.standing().pad(&mut frame, len));
            self.watermarks.count_pad(len as u64);
        }
    }

    /// Waits until everything from `from` of the segment being written is on disk.
    fn sync(&self, from: usize) -> Result<(), JournalError> {
        let name = segment_name(self.writer.fields.first_sequence);
        let path = self.directory.storage.path(&name);
        self.writer.sync(from).map_err(|error| JournalError::io("sync", &path, error))
    }

    /// Deletes the spares that nobody went on in.
    fn remove_spares(&self) {
        while let Some(spare) = self.stock.take() {
            // The next start deletes what stays.
            drop(self.directory.storage.remove(&spare_name(spare.index)));
        }
    }

    fn failure(&self) -> JournalError {
        JournalError::SyncFailed {
            dir: self.dir().to_path_buf(),
            durable: self.watermarks.durable(),
            what: self.watermarks.failure().unwrap_or_default().to_owned(),
        }
    }

    /// Goes on in a new segment. It is there before the seal sends anybody to it.
    #[cold]
    fn roll(&mut self) -> Result<(), JournalError> {
        let spare = self.take_spare()?;
        let old = &self.writer.fields;
        let place = self.writer.place();
        let fields = Fields {
            index: spare.index,
            first_sequence: place.next,
            base_time: place.time,
            epoch: old.epoch,
            predecessor_first_sequence: old.first_sequence,
            predecessor_used_bytes: (place.offset + SEAL_SPAN) as u64,
            durable_sequence: self.watermarks.durable().0,
            ..Fields::new(old.journal_id, spare.salt, self.options.segment_bytes)
        };
        let next: SegmentWriter<S> =
            SegmentWriter::begin(spare.bytes, fields, spare.samples, Arc::clone(&self.position));
        let next_region = next.region().clone();
        self.writer.seal(SEALED_ROLLED);
        let used_bytes = self.writer.place().offset as u64;
        self.finished_bytes += used_bytes;
        let (region, fields, samples) = std::mem::replace(&mut self.writer, next).into_parts();
        let rolled = Rolled { fields, region, samples, used_bytes, next: (self.writer.fields, next_region) };
        // The flusher lives as long as this appender, or its end was asked for above.
        let _ = self.rolled.send(rolled);
        Ok(())
    }

    /// The next spare; waits for it if none is ready.
    fn take_spare(&mut self) -> Result<Spare<S>, JournalError> {
        if let Some(spare) = self.stock.take() {
            self.watermarks.count_roll(false);
            // None could be made and the last one is taken: nobody has to find that out by trying again.
            if self.stock.is_empty() && self.watermarks.supply() == Supply::Low {
                self.watermarks.set_supply(Supply::Out);
            }
            return Ok(spare);
        }
        self.watermarks.count_roll(true);
        // What failed before may have been put right: the next try counts.
        drop(self.stock.failure());
        loop {
            self.background.hurry();
            if let Some(spare) = self.stock.take_within(WAIT) {
                return Ok(spare);
            }
            self.tend()?;
            if self.watermarks.supply() == Supply::Out
                && let Some(error) = self.stock.failure()
            {
                return Err(error);
            }
        }
    }
}

#[cfg(test)]
impl<S: Storage> Appender<S> {
    /// Who does the background work.
    pub(super) fn background(&mut self) -> &mut Background<S> {
        &mut self.background
    }

    /// Where the next frame comes in its segment.
    pub(super) fn offset(&self) -> usize {
        self.writer.place().offset
    }
}

impl<S: Storage> Drop for Appender<S> {
    fn drop(&mut self) {
        if let Some(mut flusher) = self.background.end(false) {
            flusher.name_all();
        }
        self.remove_spares();
    }
}
