//! The cursor: a named place in a journal that outlives the tailer that keeps it.
//!
//! ```text
//!  JOURNAL/cursors/NAME.cursor    {"journal_id":"..","next_sequence":77,"saved_ns":..,"segment":{..},"crc32c":".."}
//!
//!  open > Tailer at next_sequence > step > its effect > save(sequence + 1) > step > ..
//!              ^                              |
//!              +--- after a crash ------------+   what was not saved comes again: at least once, never skipped
//! ```
//!
//! Invariants: a cursor never goes back, and no pruning takes a step that one has still to see; it goes on only in the
//! history that it has seen, of which it keeps the segment of its last step; its file is whole or not there; one process
//! at a time has it, the lock dies with the process; nothing here changes a segment.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::record::{Sequence, Time};

use super::beside;
use super::directory::Directory;
use super::error::{CursorDamage, Damage, JournalError};
use super::lineage::{Cut, Origin};
use super::plain;
use super::pruned;
use super::reader::Reader;
use super::storage::{Disk, Storage as _};
use super::tailer::{From, Tailer};
use super::verified::Finding;

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
/// its cursor, and go on with other steps of the same sequences, which [`Self::open`] then refuses. A cursor that follows
/// [`Tailer::durable`] is never beyond such a cut; only `pawl repair` gives up steps that were on disk.
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
    directory: Directory<Disk>,
    /// Holds the lock on the cursor's file.
    file: File,
}

/// What the file holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Saved {
    journal_id: String,
    next_sequence: u64,
    saved_ns: i64,
    /// What held the step before; none if the journal begins here, or in a file from before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<Origin>,
}

/// A cursor as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorEntry {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// Where it stands; none if its file does not say so.
    pub place: Option<CursorPlace>,
    /// Whether a process has it now.
    pub is_in_use: bool,
    /// Why it cannot be used.
    pub damage: Option<CursorDamage>,
}

/// Where a cursor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorPlace {
    /// The first step it has not seen.
    pub next_sequence: Sequence,
    /// When this was saved, by the wall clock.
    pub saved: Time,
}

impl Cursor {
    /// Opens the cursor `name` of the journal in `dir`. If there is none it is registered, at the first step there is.
    ///
    /// # Errors
    /// [`JournalError::CursorName`] unless the name is 1 to 64 of `a-z`, `0-9`, `_` and `-`; [`JournalError::InUse`] if
    /// another process has it; [`JournalError::CursorUnusable`] if its file is damaged or from another journal, or if the
    /// journal does not hold the history that it has seen; [`JournalError::NotWritable`]; those of [`Tailer::open`].
    pub fn open(dir: &Path, name: &str) -> Result<Self, JournalError> {
        Self::open_at(dir, name, From::Start)
    }

    /// As [`Self::open`], but a cursor that is not there yet is registered at `from`: at the first step there is that
    /// fits, or behind the last one if none does.
    ///
    /// # Errors
    /// As [`Self::open`]; [`JournalError::CursorBegin`] for a new one at a sequence behind the next step's.
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
            let mut history = History { directory: &directory, journal_id: &journal_id, first, last: None };
            return match history.damage_of(&place)? {
                Some(what) => Err(unusable(&path, what)),
                None => Ok(Self { name: name.to_owned(), path, place, is_new: false, directory, file }),
            };
        }
        let next_sequence = first_of(dir, from)?.max(first);
        let segment = origin_before(&directory, next_sequence)?;
        let place = Saved { journal_id: journal_id.clone(), next_sequence, saved_ns: now().0, segment };
        let mut history = History { directory: &directory, journal_id: &journal_id, first, last: None };
        if let Some(CursorDamage::Ahead { at, last }) = history.damage_of(&place)? {
            let (asked, last) = (Sequence(at), Sequence(last));
            return Err(JournalError::CursorBegin { name: name.to_owned(), asked, last });
        }
        let file = beside::write(&path, &place)?;
        Ok(Self { name: name.to_owned(), path, place, is_new: true, directory, file })
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
    /// cursor and open it. [`JournalError::CursorUnusable`] if the history was cut before the place it has;
    /// [`JournalError::Damaged`], [`JournalError::DiskFull`], [`JournalError::NotWritable`], [`JournalError::Io`]. Then the
    /// last place that was saved is still there.
    pub fn save(&mut self, next: Sequence) -> Result<(), JournalError> {
        let at = self.place.next_sequence;
        if next.0 < at {
            return Err(JournalError::CursorBack { name: self.name.clone(), at: Sequence(at), asked: next });
        }
        if next.0 == at {
            return Ok(());
        }
        if let Some(cut) = cut_before(&self.directory, &self.place)? {
            return Err(unusable(&self.path, CursorDamage::Replaced { at: cut.at, next: at }));
        }
        let segment = origin_before(&self.directory, next.0)?;
        let place = Saved { next_sequence: next.0, saved_ns: now().0, segment, ..self.place.clone() };
        // The lock of the new file is held before the one of the old file goes.
        self.file = beside::write(&self.path, &place)?;
        self.place = place;
        Ok(())
    }

    /// Every cursor of the journal in `dir`, by name, those that cannot be used among them.
    ///
    /// # Errors
    /// [`JournalError::NoJournal`], [`JournalError::NotAJournal`], [`JournalError::Damaged`],
    /// [`JournalError::NewerFormat`], [`JournalError::PrunedMarker`], [`JournalError::Io`].
    pub fn list(dir: &Path) -> Result<Vec<CursorEntry>, JournalError> {
        let directory = Directory::new(Disk::new(dir));
        directory.segments()?;
        let start = pruned::first_fields(&directory)?;
        let first = pruned::begins_at(&directory, &start)?;
        let journal_id = beside::id_text(start.journal_id);
        let mut history = History { directory: &directory, journal_id: &journal_id, first, last: None };
        let mut entries = Vec::new();
        for Found { name, path, saved } in found(&directory)? {
            let damage = match &saved {
                Ok(saved) => history.damage_of(saved)?,
                Err(what) => Some(*what),
            };
            let is_in_use = beside::is_claimed(&path);
            let place = saved.ok().map(|saved| saved.place());
            entries.push(CursorEntry { name, file: path, place, is_in_use, damage });
        }
        Ok(entries)
    }

    /// Where every cursor of the journal in `dir` was saved last, by name, without the look at the journal's history that
    /// [`Self::list`] takes: cheap enough for whoever looks again and again.
    ///
    /// # Errors
    /// [`JournalError::WrongKind`], [`JournalError::Io`].
    pub fn saved(dir: &Path) -> Result<Vec<CursorEntry>, JournalError> {
        let entry = |Found { name, path, saved }| {
            let (is_in_use, damage) = (beside::is_claimed(&path), saved.as_ref().err().copied());
            let place = saved.ok().map(|saved| saved.place());
            CursorEntry { name, file: path, place, is_in_use, damage }
        };
        Ok(found(&Directory::new(Disk::new(dir)))?.into_iter().map(entry).collect())
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

impl Saved {
    fn place(&self) -> CursorPlace {
        CursorPlace { next_sequence: Sequence(self.next_sequence), saved: Time(self.saved_ns) }
    }
}

/// A file in the folder of the cursors.
struct Found {
    name: String,
    path: PathBuf,
    saved: Result<Saved, CursorDamage>,
}

/// Every file in the folder of the cursors that has a cursor's name, by name.
fn found(directory: &Directory<Disk>) -> Result<Vec<Found>, JournalError> {
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
        let Some(name) = file_name.strip_suffix(SUFFIX).map(str::to_owned) else { continue };
        let damaged = || unusable(&path, CursorDamage::Bytes);
        let saved = match beside::read::<Saved>(&path, damaged) {
            _ if check_name(&name).is_err() => Err(CursorDamage::Name),
            // Gone between the two looks: it was removed.
            Ok(None) => continue,
            Ok(Some(saved)) => Ok(saved),
            Err(JournalError::CursorUnusable { what, .. }) => Err(what),
            Err(error) => return Err(error),
        };
        found.push(Found { name, path, saved });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Where every cursor of a journal with this id stands, by name: what a pruning must know. One that belongs to another
/// history has no place here, and could not be told from others when the steps before it are gone.
pub(super) fn places(
    directory: &Directory<Disk>,
    journal_id: &str,
) -> Result<Vec<(String, Sequence)>, JournalError> {
    let mut places = Vec::new();
    for Found { name, path, saved } in found(directory)? {
        let saved = saved.map_err(|what| unusable(&path, what))?;
        if saved.journal_id != journal_id {
            return Err(unusable(&path, CursorDamage::Journal));
        }
        if let Some(Cut { at, .. }) = cut_before(directory, &saved)? {
            return Err(unusable(&path, CursorDamage::Replaced { at, next: saved.next_sequence }));
        }
        places.push((name, Sequence(saved.next_sequence)));
    }
    Ok(places)
}

/// Files of cursors that are damaged or from another journal.
pub(super) fn findings(directory: &Directory<Disk>) -> Result<Vec<Finding>, JournalError> {
    // A journal whose first header is damaged is a finding already, and says no id.
    let journal_id = pruned::first_fields(directory).ok().map(|fields| beside::id_text(fields.journal_id));
    let is_ours = |saved: &Saved| journal_id.as_ref().is_none_or(|id| saved.journal_id == *id);
    let found = found(directory)?.into_iter().filter_map(|Found { path, saved, .. }| {
        let what = match saved {
            Ok(saved) if is_ours(&saved) => return None,
            Ok(_) => CursorDamage::Journal,
            Err(what) => what,
        };
        Some(Finding { file: path, offset: 0, sequence: Sequence(0), what: Damage::Cursor(what) })
    });
    Ok(found.collect())
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

/// What a journal holds, as far as it decides about cursors.
struct History<'a> {
    directory: &'a Directory<Disk>,
    journal_id: &'a str,
    /// Its first step.
    first: u64,
    /// Its last one, once somebody had to know.
    last: Option<u64>,
}

impl History<'_> {
    /// Why a cursor cannot go on here.
    fn damage_of(&mut self, saved: &Saved) -> Result<Option<CursorDamage>, JournalError> {
        let (at, first) = (saved.next_sequence, self.first);
        if saved.journal_id != self.journal_id {
            return Ok(Some(CursorDamage::Journal));
        }
        if at < first {
            return Ok(Some(CursorDamage::Pruned { at, first }));
        }
        let cut = cut_before(self.directory, saved)?;
        let replaced = cut.map(|cut| CursorDamage::Replaced { at: cut.at, next: at });
        if cut.is_some_and(|cut| cut.is_sure) {
            return Ok(replaced);
        }
        // Below the start of the last segment it cannot be ahead, and the walk through that one is spared.
        if at <= *self.directory.segments()?.last().expect("a journal has a segment") {
            return Ok(replaced);
        }
        let last = match self.last {
            Some(last) if at <= last + 1 => last,
            _ => {
                let dir = self.directory.storage.dir();
                pruned::steady(self.directory, || Reader::open(dir)?.last_sequence())?.0
            }
        };
        self.last = Some(last);
        // Nothing was written behind the cut yet.
        Ok(if at > last + 1 { Some(CursorDamage::Ahead { at, last }) } else { replaced })
    }
}

/// Where the history that a cursor has passed was cut. Nothing says so of one that is at the journal's start:
/// while the step before it was there a pruning made sure of it.
fn cut_before(directory: &Directory<Disk>, saved: &Saved) -> Result<Option<Cut>, JournalError> {
    match (&saved.segment, saved.next_sequence.checked_sub(1)) {
        (Some(segment), Some(passed)) => segment.cut(directory, passed),
        _ => Ok(None),
    }
}

/// What holds the step before a place.
fn origin_before(directory: &Directory<Disk>, next: u64) -> Result<Option<Origin>, JournalError> {
    next.checked_sub(1).map_or(Ok(None), |passed| Origin::find(directory, passed))
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
