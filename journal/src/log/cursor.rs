//! The cursor: a named place in a journal that outlives the tailer that keeps it.
//!
//! ```text
//!  JOURNAL/cursors/NAME.cursor    {"journal_id":"..","next_sequence":77,"saved_ns":..,"crc32c":".."}
//!
//!  open > Tailer at next_sequence > step > its effect > save(sequence + 1) > step > ..
//!              ^                              |
//!              +--- after a crash ------------+   what was not saved comes again: at least once, never skipped
//! ```
//!
//! Invariants: a cursor never goes back, and no pruning takes a step that one has still to see; its file is whole or
//! not there; one process at a time has it, the lock dies with the process; nothing here touches a segment.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::record::{Sequence, Time};

use super::beside;
use super::directory::Directory;
use super::error::{CursorDamage, JournalError};
use super::plain;
use super::pruned;
use super::reader::Reader;
use super::storage::{Disk, Storage as _};
use super::tailer::{From, Tailer};

/// The folder of the cursors; a lock on it keeps registration and pruning apart.
const FOLDER: &str = "cursors";
const SUFFIX: &str = ".cursor";

/// Longest name.
const NAME_BYTES_MAX: usize = 64;

/// A named, persistent place of a tailer in a journal.
///
/// From the moment a cursor is registered, [`Retention`](super::Retention) keeps every step at or behind its place.
/// Save the place *after* the effect of the step: then every step takes effect at least once, and after a crash those
/// since the last save take effect again. A tailer whose effects must not repeat stores the sequence with the effect.
///
/// Saving costs two syncs, so save now and then and not at every step. A cursor is on disk when [`Self::save`]
/// returns, the steps it has seen need not be: after a power cut a journal that was not written durably may end before
/// its cursor, which [`Self::open`] then says. A cursor that follows [`Tailer::durable`] is never ahead.
///
/// ```no_run
/// # use std::path::Path;
/// use pawl_journal::log::{Cursor, From, Tailer};
/// use pawl_journal::record::Sequence;
///
/// # fn store(_: pawl_journal::record::StepRef<'_>) {}
/// # fn example(journal: &Path) -> Result<(), pawl_journal::log::JournalError> {
/// let mut cursor = Cursor::open(journal, "database")?;
/// let mut tailer = Tailer::open(journal, From::Sequence(cursor.next_sequence()))?;
/// while let Some(frame) = tailer.poll()? {
///     store(frame.step());
///     if frame.sequence().0.is_multiple_of(1_000) {
///         cursor.save(Sequence(frame.sequence().0 + 1))?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cursor {
    name: String,
    path: PathBuf,
    place: Saved,
    is_new: bool,
    /// Holds the lock on the cursor's file.
    file: File,
}

/// What the file holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Saved {
    journal_id: String,
    next_sequence: u64,
    saved_ns: i64,
}

/// What a cursor's file says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorPlace {
    /// Its name.
    pub name: String,
    /// The first step it has not seen.
    pub next_sequence: Sequence,
    /// When this was saved, by the wall clock.
    pub saved: Time,
    /// Whether a process has it now.
    pub is_in_use: bool,
}

impl Cursor {
    /// Opens the cursor `name` of the journal in `dir`. If there is none it is registered, at the first step there is.
    ///
    /// # Errors
    /// [`JournalError::CursorName`] unless the name is 1 to 64 of `a-z`, `0-9`, `_` and `-`; [`JournalError::InUse`] if
    /// another process has it; [`JournalError::CursorUnusable`] if its file is damaged or from another journal, or if the
    /// journal does not hold its place any more or not yet; [`JournalError::NotWritable`]; those of [`Tailer::open`].
    pub fn open(dir: &Path, name: &str) -> Result<Self, JournalError> {
        Self::open_at(dir, name, From::Start)
    }

    /// As [`Self::open`], but a cursor that is not there yet is registered at `from`: at the first step there is that
    /// fits, or behind the last one if none does.
    ///
    /// # Errors
    /// As [`Self::open`]; [`JournalError::CursorUnusable`] also for a new one at a sequence behind the next step's.
    pub fn open_at(dir: &Path, name: &str, from: From) -> Result<Self, JournalError> {
        check_name(name)?;
        let directory = Directory::new(Disk::new(dir));
        // Looked at before anything is created, so that a refusal leaves nothing behind.
        directory.segments()?;
        pruned::first_fields(&directory)?;
        create_folder(&directory)?;
        let _registering = lock_folder(&directory)?;
        let path = path_of(&directory, name);
        let start = pruned::first_fields(&directory)?;
        let first = pruned::begins_at(&directory, &start)?;
        let journal_id = beside::id_text(start.journal_id);
        if let Some(file) = beside::claim(&path)? {
            let place = beside::read_file(&file, &path, || unusable(&path, CursorDamage::Bytes))?;
            check_place(dir, &path, &place, &journal_id, first)?;
            return Ok(Self { name: name.to_owned(), path, place, is_new: false, file });
        }
        let next_sequence = first_of(dir, from)?.max(first);
        let place = Saved { journal_id: journal_id.clone(), next_sequence, saved_ns: now().0 };
        check_place(dir, &path, &place, &journal_id, first)?;
        let file = beside::write(&path, &place)?;
        Ok(Self { name: name.to_owned(), path, place, is_new: true, file })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first step that was not seen: where a tailer goes on.
    #[must_use]
    pub const fn next_sequence(&self) -> Sequence {
        Sequence(self.place.next_sequence)
    }

    /// Whether it was registered by this opening.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Saves the place: `next` is the first step that was not seen, one above the last one whose effect is done. When
    /// this returns it is on disk. Saving the place it has already does nothing.
    ///
    /// # Errors
    /// [`JournalError::CursorBack`] below the place it has: what lies behind may be pruned. To begin anew, remove the
    /// cursor and open it. [`JournalError::DiskFull`], [`JournalError::NotWritable`], [`JournalError::Io`]: then the last
    /// place that was saved is still there.
    pub fn save(&mut self, next: Sequence) -> Result<(), JournalError> {
        let at = self.place.next_sequence;
        if next.0 < at {
            return Err(JournalError::CursorBack { name: self.name.clone(), at: Sequence(at), asked: next });
        }
        if next.0 == at {
            return Ok(());
        }
        let place = Saved { next_sequence: next.0, saved_ns: now().0, ..self.place.clone() };
        // The lock of the new file is held before the one of the old file goes.
        self.file = beside::write(&self.path, &place)?;
        self.place = place;
        Ok(())
    }

    /// Every cursor of the journal in `dir`, by name.
    ///
    /// # Errors
    /// [`JournalError::CursorUnusable`] for the first that is damaged or from another journal: where it stands is not
    /// known, so nothing may be pruned. [`JournalError::NoJournal`], [`JournalError::NotAJournal`],
    /// [`JournalError::Damaged`], [`JournalError::NewerFormat`], [`JournalError::Io`].
    pub fn list(dir: &Path) -> Result<Vec<CursorPlace>, JournalError> {
        let directory = Directory::new(Disk::new(dir));
        directory.segments()?;
        let journal_id = beside::id_text(pruned::first_fields(&directory)?.journal_id);
        places(&directory, &journal_id)
    }

    /// Removes a cursor, damaged or not: nothing is kept for it any more. Gives its place if its file still says one.
    ///
    /// # Errors
    /// [`JournalError::NoCursor`], [`JournalError::InUse`], [`JournalError::CursorName`], [`JournalError::NotWritable`],
    /// [`JournalError::NoJournal`], [`JournalError::NotAJournal`], [`JournalError::NewerFormat`], [`JournalError::Io`].
    pub fn remove(dir: &Path, name: &str) -> Result<Option<Sequence>, JournalError> {
        check_name(name)?;
        let directory = Directory::new(Disk::new(dir));
        directory.segments()?;
        // A journal that is damaged is no reason to keep a cursor; one of a later format may have other cursors.
        if let Err(newer @ JournalError::NewerFormat { .. }) = pruned::first_fields(&directory) {
            return Err(newer);
        }
        let path = path_of(&directory, name);
        let Some(file) = beside::claim(&path)? else {
            return Err(JournalError::NoCursor { name: name.to_owned(), dir: dir.to_path_buf() });
        };
        let place = beside::read_file(&file, &path, || unusable(&path, CursorDamage::Bytes));
        beside::remove(&path)?;
        folder(&directory).storage.sync_names()?;
        Ok(place.ok().map(|place: Saved| Sequence(place.next_sequence)))
    }
}

/// Every cursor of a journal with this id, by name.
pub(super) fn places(
    directory: &Directory<Disk>,
    journal_id: &str,
) -> Result<Vec<CursorPlace>, JournalError> {
    let folder = folder(directory);
    let failed = |error| JournalError::io("list", folder.storage.dir(), error);
    if plain::open_folder_if_there(folder.storage.dir())?.is_none() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder.storage.dir()).map_err(failed)?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(name) = file_name.strip_suffix(SUFFIX) else { continue };
        check_name(name).map_err(|_| unusable(&path, CursorDamage::Name))?;
        let damaged = || unusable(&path, CursorDamage::Bytes);
        // Gone between the two looks: it was removed.
        let Some(place) = beside::read::<Saved>(&path, damaged)? else { continue };
        if place.journal_id != journal_id {
            return Err(unusable(&path, CursorDamage::Journal));
        }
        found.push(CursorPlace {
            name: name.to_owned(),
            next_sequence: Sequence(place.next_sequence),
            saved: Time(place.saved_ns),
            is_in_use: beside::is_claimed(&path),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Creates the folder of the cursors if it is not there.
pub(super) fn create_folder(directory: &Directory<Disk>) -> Result<(), JournalError> {
    let folder = folder(directory);
    match fs::create_dir(folder.storage.dir()) {
        Ok(()) => directory.storage.sync_names(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(JournalError::io("create", folder.storage.dir(), error)),
    }
}

/// Keeps every other process from registering a cursor, or from deciding what to prune, until dropped.
pub(super) fn lock_folder(directory: &Directory<Disk>) -> Result<File, JournalError> {
    let folder = folder(directory);
    let gone = || JournalError::io("lock", folder.storage.dir(), io::ErrorKind::NotFound.into());
    beside::claim_folder(folder.storage.dir())?.ok_or_else(gone)
}

fn folder(directory: &Directory<Disk>) -> Directory<Disk> {
    Directory::new(Disk::new(&directory.storage.dir().join(FOLDER)))
}

fn path_of(directory: &Directory<Disk>, name: &str) -> PathBuf {
    directory.storage.dir().join(FOLDER).join(format!("{name}{SUFFIX}"))
}

fn check_name(name: &str) -> Result<(), JournalError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(JournalError::CursorName { name: name.to_owned() })
    }
}

/// Refuses a place that this journal does not have.
fn check_place(
    dir: &Path,
    path: &Path,
    place: &Saved,
    journal_id: &str,
    first: u64,
) -> Result<(), JournalError> {
    let at = place.next_sequence;
    if place.journal_id != journal_id {
        return Err(unusable(path, CursorDamage::Journal));
    }
    if at < first {
        return Err(unusable(path, CursorDamage::Pruned { at, first }));
    }
    // Below the start of the last segment it cannot be ahead, and the walk through that one is spared.
    if at > *Directory::new(Disk::new(dir)).segments()?.last().expect("a journal has a segment") {
        let last = pruned::steady(&Directory::new(Disk::new(dir)), || Reader::open(dir)?.last_sequence())?.0;
        if at > last + 1 {
            return Err(unusable(path, CursorDamage::Ahead { at, last }));
        }
    }
    Ok(())
}

/// The sequence of the step at which a new cursor begins.
fn first_of(dir: &Path, from: From) -> Result<u64, JournalError> {
    if let From::Sequence(sequence) = from {
        return Ok(sequence.0);
    }
    let mut tailer = pruned::steady(&Directory::new(Disk::new(dir)), || Tailer::open(dir, from))?;
    if let Some(frame) = tailer.poll()? {
        return Ok(frame.sequence().0);
    }
    Ok(tailer.next_sequence().0)
}

fn unusable(path: &Path, what: CursorDamage) -> JournalError {
    JournalError::CursorUnusable { file: path.to_path_buf(), what }
}

/// The wall-clock time, which decides nothing here.
pub(super) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
