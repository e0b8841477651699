//! The export: a journal's rows by kind, one Parquet file each, in one walk.
//!
//! ```text
//!                    +--> Table<Tick>      columns --> ticks.parquet
//!  step --records----+--> Table<Features>  columns --> features.parquet     one file a kind, also without rows
//!                    +--> Lives --settled-> Table<Life> --> orders.parquet
//! ```
//!
//! Invariants: memory does not grow with the journal; the files get their names when all of them are whole, and an export
//! that fails or is stopped leaves nothing behind; the same journal gives the same bytes.

mod column;
mod columns;
mod error;
mod kind;
mod orders;
mod parquet;
mod table;

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use pawl_journal::log::{Reader, run_start};
use pawl_journal::record::{RunStarted, Sequence, Time};
use serde::Serialize;
use serde_json::json;

pub use column::{ColumnTold, Stored};
pub use error::ExportError;
pub use kind::ExportKind;

use super::error::ReplayError;
use super::settings::{RunTold, told};
use table::{Names, Tables};

/// A place in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// A step.
    Step(Sequence),
    /// A time.
    Time(Time),
}

/// What to export, and where to.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The directory of the files.
    pub out: PathBuf,
    /// The kinds to write.
    pub kinds: Vec<ExportKind>,
    /// The first step, or the time that it has or follows; the journal's first if none.
    pub from: Option<Edge>,
    /// The last step, or the time that it has or precedes; the last that is committed if none.
    pub until: Option<Edge>,
    /// Replaces the files of an earlier export.
    pub replace: bool,
    /// The build that exports, for the files to tell.
    pub exported_by: String,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedFile {
    /// What its rows tell of.
    pub kind: ExportKind,
    /// Where it is.
    pub path: PathBuf,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The first step that was exported.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// The files, in the order of [`ExportKind::ALL`].
    pub files: Vec<ExportedFile>,
}

/// The columns of a kind of file; features are named by `features`.
#[must_use]
pub fn columns_of(kind: ExportKind, features: &[String]) -> Vec<ColumnTold> {
    fn told<T>(columns: &[column::Column<T>]) -> Vec<ColumnTold> {
        columns.iter().flat_map(column::Column::told).collect()
    }
    match kind {
        ExportKind::Ticks => told(&columns::ticks()),
        ExportKind::Bars => told(&columns::bar_rows()),
        ExportKind::Features => told(&columns::features(features)),
        ExportKind::Predictions => told(&columns::predictions()),
        ExportKind::Orders => told(&columns::orders()),
        ExportKind::Fills => told(&columns::fills()),
        ExportKind::Equity => told(&columns::equity()),
    }
}

/// Writes the files of an export of the steps that are committed now. `progress` is told the step that was read and the
/// last one, and may end it.
///
/// # Errors
/// [`ReplayError`] if the journal cannot be read, is empty, or has lost its settings, without which numbers have no unit;
/// [`ReplayError::Export`] if the range has no step or the files cannot be written. No file is left behind then.
pub fn export(
    directory: &Path,
    options: &ExportOptions,
    mut progress: impl FnMut(Sequence, Sequence) -> ControlFlow<()>,
) -> Result<Exported, ReplayError> {
    let run = told(directory)?;
    let mut reader = Reader::open(directory)?;
    let (first, last, until) = range(&mut reader, options)?;
    let place = Place::make(directory, options)?;
    let said = metadata(directory, options, &run, first)?;
    let mut tables = Tables::create(&options.out, &options.kinds, &Names::new(&run.settings), &said)?;
    let mut reached = first;
    while let Some(frame) = reader.next()? {
        let step = frame.step();
        if step.sequence() > last || until.is_some_and(|until| step.time() > until) {
            break;
        }
        tables.step(step)?;
        reached = step.sequence();
        if reached.0.is_multiple_of(4_096) && progress(reached, last).is_break() {
            return Err(ExportError::Stopped.into());
        }
    }
    let files = tables.finish(reached)?;
    place.keep(options)?;
    Ok(Exported { first: first.0, last: reached.0, files })
}

/// The first step of the range, where the reader stands then, the last that may be in it, and the time at which it ends.
fn range(
    reader: &mut Reader,
    options: &ExportOptions,
) -> Result<(Sequence, Sequence, Option<Time>), ReplayError> {
    let (begins, ends) = (reader.first_sequence()?, reader.last_sequence()?);
    if ends.0 == 0 {
        return Err(ReplayError::Empty);
    }
    let (first, last) = (begins.0, ends.0);
    for edge in [options.from, options.until].into_iter().flatten() {
        if let Edge::Step(Sequence(asked)) = edge
            && !(first..=last).contains(&asked)
        {
            return Err(ReplayError::OutOfRange { asked, first, last });
        }
    }
    match options.from {
        Some(Edge::Step(from)) => reader.seek(from)?,
        Some(Edge::Time(from)) => reader.seek_time(from)?,
        None => {}
    }
    let (last, until) = match options.until {
        Some(Edge::Step(until)) => (until, None),
        Some(Edge::Time(until)) => (ends, Some(until)),
        None => (ends, None),
    };
    let found = reader.next()?.map(|frame| (frame.sequence(), frame.step().time()));
    let inside = found.filter(|(at, time)| *at <= last && until.is_none_or(|until| *time <= until));
    let Some((at, _)) = inside else {
        return Err(ExportError::NoSteps { first, last: ends.0 }.into());
    };
    reader.seek(at)?;
    Ok((at, last, until))
}

/// What every file says of where it comes from.
fn metadata(
    directory: &Path,
    options: &ExportOptions,
    run: &RunTold,
    first: Sequence,
) -> Result<Vec<(&'static str, String)>, ReplayError> {
    let start = run_start(directory)?.ok_or(ReplayError::NoSettings { sequence: first })?;
    let started = start.get::<RunStarted>().copied().unwrap_or_default();
    let id: String = Reader::open(directory)?.journal_id().iter().map(|byte| format!("{byte:02x}")).collect();
    let engine = &run.settings.engine;
    Ok(vec![
        ("pawl.journal_id", id),
        ("pawl.settings_hash", format!("{:016x}", started.settings_hash)),
        ("pawl.build_hash", format!("{:016x}", started.build_hash)),
        ("pawl.build", run.environment.build.clone()),
        ("pawl.exported_by", options.exported_by.clone()),
        ("pawl.first_step", first.to_string()),
        ("pawl.account_currency", engine.account.currency.clone()),
        ("pawl.instruments", json!(engine.instruments).to_string()),
    ])
}

/// The directory of an export: made if it is not there, and removed again unless something is to stay in it. Its lock is
/// held until then: of two exports to one place, the second is refused.
struct Place {
    out: PathBuf,
    is_made: bool,
    _lock: File,
}

impl Place {
    fn make(journal: &Path, options: &ExportOptions) -> Result<Self, ExportError> {
        let dir = &options.out;
        let wrong = |problem| ExportError::Place { dir: dir.clone(), problem };
        if fs::canonicalize(dir).is_ok_and(|it| fs::canonicalize(journal).ok() == Some(it)) {
            return Err(wrong("is the journal itself"));
        }
        let is_made = !dir.exists();
        if is_made {
            fs::create_dir_all(dir).map_err(|error| ExportError::io("make", dir, error))?;
        }
        let entries = fs::read_dir(dir).map_err(|error| match error.kind() {
            ErrorKind::NotADirectory => wrong("is no directory"),
            _ => ExportError::io("read", dir, error),
        })?;
        let lock = File::open(dir).map_err(|error| ExportError::io("open", dir, error))?;
        // Where directories have no locks, names of each process's own keep the files whole.
        if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(ExportError::Busy { dir: dir.clone() });
        }
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') && name.ends_with(".parquet.partial") {
                // What an export that was killed has left is no reason to refuse the next one.
                let _ = fs::remove_file(entry.path());
            } else if !options.replace {
                return Err(ExportError::NotEmpty { dir: dir.clone() });
            }
        }
        Ok(Self { out: dir.clone(), is_made, _lock: lock })
    }

    /// The export is whole: takes away the files of an earlier one that it did not replace.
    fn keep(mut self, options: &ExportOptions) -> Result<(), ExportError> {
        self.is_made = false;
        for kind in ExportKind::ALL.iter().filter(|kind| !options.kinds.contains(kind)) {
            let path = self.out.join(kind.file_name());
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(ExportError::io("remove", &path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_made {
            // Not empty is not ours.
            let _ = fs::remove_dir(&self.out);
        }
    }
}
