//! The claim: a journal that is this process's to write, in order, and without anything of its own in it yet.
//!
//! ```text
//!  take:   lock > recover what is there ------------- a caller looks at the journal, and may drop the claim
//!  begin:  new segment, next epoch > background threads > Appender
//! ```
//!
//! Invariants: what was not begun leaves the directory as recovery left it, and one that held no journal as it was
//! found; a turn begins in a segment of its own, which has its name when everything in it is durable.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::record::Sequence;

use super::appender::{Appender, Recovered};
use super::background::Background;
use super::directory::{Directory, index_name, segment_name, spare_name};
use super::error::JournalError;
use super::flusher::Flusher;
use super::header::Fields;
use super::options::{Durability, JournalOptions};
use super::planted::{Bug, appended_into_crashed, planted};
use super::pruned;
use super::recovery::{self, Turn};
use super::storage::{Disk, Storage};
use super::supplier::{Position, Spare, Supplier};
use super::watermark::Watermarks;
use super::writer::SegmentWriter;

/// The right to write a journal, until dropped or begun.
///
/// Whatever may refuse to go on with a journal is asked while there is a claim and no turn: to look at it costs the
/// journal nothing.
#[derive(Debug)]
pub struct Claim<S: Storage = Disk> {
    turn: Turn<S>,
    directory: Directory<S>,
    options: JournalOptions,
    // Gone before the lock is.
    footprint: Footprint,
    lock: S::Lock,
}

impl Claim {
    /// Takes the journal in `dir` for writing, and makes a directory for one if there is none.
    ///
    /// What a crash left behind is sealed, what follows the last whole frame moved to quarantine. Interrupted anywhere,
    /// the next call does the rest.
    ///
    /// # Errors
    /// Every [`JournalError`] but [`JournalError::NoJournal`]; nothing is changed in a directory that is refused.
    pub fn take(dir: &Path, options: &JournalOptions) -> Result<Self, JournalError> {
        let footprint = Footprint::before(dir);
        Self::take_with(Disk::new(dir), options, footprint)
    }

    /// Begins to write: a new segment is there, on disk, and two threads of the appender's own make the next ones and
    /// sync what is written.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`], [`JournalError::NotWritable`], [`JournalError::Io`] if the segment cannot be made.
    pub fn begin(self) -> Result<Appender, JournalError> {
        self.begin_with(Background::start)
    }
}

impl<S: Storage> Claim<S> {
    /// Takes the journal in a storage.
    #[cfg(test)]
    pub(super) fn take_in(storage: S, options: &JournalOptions) -> Result<Self, JournalError> {
        Self::take_with(storage, options, Footprint::default())
    }

    fn take_with(
        storage: S,
        options: &JournalOptions,
        mut footprint: Footprint,
    ) -> Result<Self, JournalError> {
        options.check()?;
        storage.prepare()?;
        let directory = Directory::new(storage);
        let listing = directory.list()?;
        if let (true, Some(holds)) = (listing.segments.is_empty(), listing.foreign) {
            return Err(JournalError::NotAJournal { dir: directory.storage.dir().to_path_buf(), holds });
        }
        let lock = directory.storage.lock()?;
        footprint.is_locked = true;
        let recovered = if listing.segments.is_empty() {
            recovery::recover(&directory)
        } else {
            pruned::steady(&directory, || recovery::recover(&directory))
        };
        match recovered {
            Ok(turn) => Ok(Self { turn, directory, options: *options, footprint, lock }),
            Err(error) => {
                drop(footprint);
                drop(lock);
                Err(error)
            }
        }
    }

    /// Sequence of the first step of the turn that would begin; 1 in a new journal.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        Sequence(self.turn.place.next)
    }

    /// What was found in the journal.
    #[must_use]
    pub fn recovered(&self) -> Recovered {
        self.turn.recovered()
    }

    /// Begins to write; `start` says who does the background work.
    pub(super) fn begin_with(
        self,
        start: impl FnOnce(Supplier<S>, Flusher<S>, Durability, &Watermarks) -> std::io::Result<Background<S>>,
    ) -> Result<Appender<S>, JournalError> {
        // The footprint goes before the lock here too.
        let Self { lock, mut turn, directory, options, mut footprint } = self;
        let position = Arc::new(Position::default());
        let writer = match appended_into_crashed(&directory, &mut turn)? {
            Some(writer) => writer,
            None => begin_turn(&directory, options.segment_bytes, &turn, &position)?,
        };
        footprint.stays();
        Appender::begun(directory, options, turn, (writer, position), lock, start)
    }
}

/// What taking a journal makes that was not there: directories, deepest first, and the lock's file. It goes with the
/// claim, so that one that was refused leaves nothing behind.
#[derive(Debug, Default)]
struct Footprint {
    directories: Vec<PathBuf>,
    lock: Option<PathBuf>,
    /// Whether the lock is held: the file of another writer's is not this one's to take away.
    is_locked: bool,
}

impl Footprint {
    fn before(dir: &Path) -> Self {
        let is_new = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let directories = dir.ancestors().take_while(is_new).map(Path::to_path_buf).collect();
        let lock = dir.join("LOCK");
        Self { directories, lock: (!lock.exists()).then_some(lock), is_locked: false }
    }

    /// It is part of a journal from now on.
    fn stays(&mut self) {
        self.directories.clear();
        self.lock = None;
    }
}

impl Drop for Footprint {
    fn drop(&mut self) {
        // What is in use by others stays: a directory goes only if it is empty.
        if let Some(lock) = self.lock.as_ref().filter(|_| self.is_locked) {
            let _ = fs::remove_file(lock);
        }
        self.directories.iter().all(|path| fs::remove_dir(path).is_ok());
    }
}

/// Makes the segment that a writer begins its turn with, and gives it its name when everything in it is durable.
fn begin_turn<S: Storage>(
    directory: &Directory<S>,
    segment_bytes: u64,
    turn: &Turn<S>,
    position: &Arc<Position>,
) -> Result<SegmentWriter<S>, JournalError> {
    let storage = &directory.storage;
    let spare = spare_name(turn.index);
    // One that is there says that the segment behind a roll was never begun, and stays whatever happens.
    let was_there = storage.head(&spare, 0)?.is_some();
    let made = make_first(directory, segment_bytes, turn, position);
    let writer = made.inspect_err(|_| {
        if !was_there {
            let _ = storage.remove(&spare);
        }
    })?;
    storage.rename(&spare, &segment_name(turn.place.next))?;
    if !planted(Bug::DroppedNames) {
        storage.sync_names()?;
    }
    for index in &turn.stale_spares {
        storage.remove(&spare_name(*index))?;
    }
    Ok(writer)
}

/// Makes that segment, durable and without its name.
fn make_first<S: Storage>(
    directory: &Directory<S>,
    segment_bytes: u64,
    turn: &Turn<S>,
    position: &Arc<Position>,
) -> Result<SegmentWriter<S>, JournalError> {
    let storage = &directory.storage;
    let spare = Spare::make(directory, turn.index, segment_bytes)?;
    let fields = Fields {
        index: turn.index,
        first_sequence: turn.place.next,
        base_time: turn.place.time,
        epoch: turn.epoch,
        predecessor_first_sequence: turn.predecessor_first_sequence,
        predecessor_used_bytes: turn.predecessor_used_bytes,
        durable_sequence: turn.place.next - 1,
        ..Fields::new(turn.journal_id, spare.salt, segment_bytes)
    };
    let name = segment_name(fields.first_sequence);
    let mut writer = SegmentWriter::begin(spare.bytes, fields, spare.samples, Arc::clone(position));
    let epoch = writer.standing().epoch(turn.epoch, turn.quarantined_bytes, turn.predecessor_reason);
    writer.put(&epoch);
    writer.sync(0).map_err(|error| JournalError::io("sync", &storage.path(&name), error))?;
    // The index of a segment without a step, whose place this one takes.
    if storage.head(&index_name(fields.first_sequence), 0)?.is_some() {
        storage.remove(&index_name(fields.first_sequence))?;
    }
    Ok(writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::proof::random::Random;
    use crate::log::storage::machine::{Call, Machine};
    use crate::log::storage::simulated::Simulated;

    fn names(storage: &Simulated) -> Vec<String> {
        storage.machine().names().map(str::to_owned).collect()
    }

    #[test]
    fn a_turn_that_cannot_begin_leaves_no_file_behind() {
        let storage = Simulated::new(Machine::new(Random::new(1)));
        let options =
            JournalOptions { segment_bytes: JournalOptions::SEGMENT_BYTES_MIN, ..Default::default() };
        let begin = || {
            let claim = Claim::take_in(storage.clone(), &options).unwrap();
            claim.begin_with(|supplier, flusher, _, _| Ok(Background::Inline { supplier, flusher }))
        };
        for turn in 0..3 {
            let before = names(&storage);
            for call in [Call::Create, Call::Sync] {
                // In a journal that is there, recovery has synced the last seal before.
                let syncs_before = usize::from(turn > 0 && call == Call::Sync);
                storage.machine().failing = Some((call, syncs_before));
                assert!(begin().is_err());
                assert!(storage.machine().failing.is_none(), "{call:?}");
                assert_eq!(names(&storage), before, "{call:?}");
            }
            let mut appender = begin().unwrap();
            appender.seal(super::super::appender::SealReason::Ended).unwrap();
        }
    }
}
