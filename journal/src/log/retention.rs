//! Retention: which of a journal's oldest segments may go, and how they go.
//!
//! ```text
//!  asked for:  older than | more bytes than | up to the snapshot        from the oldest on, whole segments only
//!  held back:  cursors | the newest verified snapshot, or none | the two newest segments
//!
//!  plan under the lock of the cursors > pruned.run_started, on disk > pruned.json, on disk
//!    > per segment, oldest first: .idx, .pawl, directory sync
//! ```
//!
//! The two newest segments always stay: the writer, its helpers or the next recovery may need both, and the newest may
//! be without a step.
//!
//! Invariants: before the first file goes, `pruned.json` says on disk where the journal begins from then on, and the
//! start of the runs that go is on disk beside it; after
//! every deletion the journal is whole from its first segment on; nothing is deleted that a cursor has still to see,
//! nor behind the newest verified snapshot.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::record::{Sequence, Time};

use super::beside;
use super::cursor;
use super::directory::{Directory, segment_name};
use super::error::{HeaderDamage, JournalError};
use super::header::Fields;
use super::plain;
use super::pruned::{Marker, read_marker, steady};
use super::reader::Reader;
use super::recovery::follows;
use super::run_start::Keeping;
use super::segment::{Head, read_head};
use super::storage::{Disk, Storage as _};

/// Newest segments that always stay.
const KEPT_SEGMENTS: usize = 2;

/// What an operator wants gone. Several wishes add up: a segment is asked for if any of them asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Segments whose file was last written longer ago than this, by the wall clock. It is about the disk, so the age
    /// is the file's: the events of a backtest are years old when they are written.
    pub older_than: Option<Duration>,
    /// The oldest segments, until those that are left and their indexes have at most so many bytes.
    pub larger_than_bytes: Option<u64>,
    /// Everything that the newest verified snapshot makes dispensable.
    pub to_snapshot: bool,
    /// Prunes a journal that has no verified snapshot. What is left can be read, but nothing can be rebuilt from it.
    pub without_snapshot: bool,
}

/// What a pruning would delete, or has deleted, and what keeps the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunePlan {
    /// Segments in the journal, those that go included.
    pub segments: u64,
    /// Bytes of these and their indexes.
    pub bytes: u64,
    /// Segments that are asked for, from the oldest on.
    pub asked_segments: u64,
    /// Those that go, oldest first.
    pub going: Vec<GoingSegment>,
    /// What holds back segments that are asked for.
    pub held: Vec<HeldBack>,
    /// The last step in the newest verified snapshot that the journal goes on from; none if there is none.
    pub snapshot: Option<Sequence>,
    /// First step of the journal when they are gone.
    pub first_sequence: Sequence,
}

/// A segment that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoingSegment {
    /// Its first step, and its name.
    pub first_sequence: Sequence,
    /// Its last step.
    pub last_sequence: Sequence,
    /// Bytes of its file and its index.
    pub bytes: u64,
    /// When its file was last written.
    pub written: Time,
    /// Whether an earlier pruning was interrupted before it deleted this.
    pub is_leftover: bool,
}

/// What holds segments back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// A cursor that has still to see them.
    Cursor {
        /// Its name.
        name: String,
        /// The first step it has not seen.
        next_sequence: Sequence,
    },
    /// They lie behind the newest verified snapshot.
    Snapshot {
        /// The last step in the snapshot.
        sequence: Sequence,
    },
    /// There is no verified snapshot, so what is left could not be replayed.
    NoSnapshot,
    /// They are the newest two.
    Newest,
}

/// How many segments something holds back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// What.
    pub by: Hold,
    /// Segments that are asked for and may not go because of it, whatever else holds them.
    pub segments: u64,
}

/// A plan, and what must be on disk before it is carried out, in this order.
struct Look {
    plan: PrunePlan,
    journal_id: [u8; 16],
    keeping: Keeping,
    /// None if the one there says it already.
    marker: Option<Marker>,
}

/// A segment as it is found.
#[derive(Debug)]
struct Found {
    fields: Fields,
    bytes: u64,
    written: SystemTime,
}

impl Retention {
    /// What [`Self::prune`] would do now. Changes nothing.
    ///
    /// # Errors
    /// [`JournalError::NoJournal`], [`JournalError::NotAJournal`], [`JournalError::NewerFormat`],
    /// [`JournalError::Damaged`] if a header or the chain of the headers is, or where the only start of a run would be
    /// that says what the journal's numbers mean; [`JournalError::CursorUnusable`],
    /// [`JournalError::PrunedMarker`], [`JournalError::Io`].
    pub fn plan(&self, dir: &Path, now: SystemTime) -> Result<PrunePlan, JournalError> {
        self.look(&Directory::new(Disk::new(dir)), now).map(|look| look.plan)
    }

    /// Deletes what may go, and gives what that was. A writer may go on meanwhile, and a reader in a segment that goes
    /// reads it to its end. Calls `progress` with the segments done and the segments of all, after each.
    ///
    /// Interrupted anywhere, the next call deletes the rest.
    ///
    /// # Errors
    /// As [`Self::plan`]; [`JournalError::InUse`] if another process is pruning or registering a cursor;
    /// [`JournalError::NotWritable`], [`JournalError::DiskFull`].
    pub fn prune(
        &self,
        dir: &Path,
        now: SystemTime,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<PrunePlan, JournalError> {
        let directory = Directory::new(Disk::new(dir));
        let plan = self.plan(dir, now)?;
        if plan.going.is_empty() {
            return Ok(plan);
        }
        cursor::create_folder(&directory)?;
        let deciding = cursor::lock_folder(&directory)?;
        let Look { plan, journal_id, keeping, marker } = self.look(&directory, now)?;
        keeping.write(&directory, journal_id)?;
        if let Some(marker) = marker {
            marker.write(&directory)?;
        }
        // From here on no cursor can be registered in what goes.
        drop(deciding);
        let total = plan.going.len() as u64;
        for (done, going) in (1..).zip(&plan.going) {
            let path = directory.storage.path(&segment_name(going.first_sequence.0));
            beside::remove(&path.with_extension("idx"))?;
            beside::remove(&path)?;
            directory.storage.sync_names()?;
            progress(done, total);
        }
        Ok(plan)
    }

    /// Looks at everything at once, and again where somebody else prunes meanwhile.
    fn look(&self, directory: &Directory<Disk>, now: SystemTime) -> Result<Look, JournalError> {
        steady(directory, || self.look_once(directory, now))
    }

    fn look_once(&self, directory: &Directory<Disk>, now: SystemTime) -> Result<Look, JournalError> {
        let found = find(directory)?;
        let journal_id = beside::id_text(found[0].fields.journal_id);
        let marker = read_marker(directory, &journal_id)?;
        let pruned_to = marker.as_ref().map_or(0, |marker| marker.first_sequence);
        let leftover = dispensable(&found, pruned_to);
        let snapshot = newest_snapshot(directory, &found)?;
        let asked = self.asked(&found, now, snapshot).max(leftover);
        let mut limits = vec![(Hold::Newest, found.len().saturating_sub(KEPT_SEGMENTS))];
        for (name, next_sequence) in cursor::places(directory, &journal_id)? {
            let limit = dispensable(&found, next_sequence.0);
            limits.push((Hold::Cursor { name, next_sequence }, limit));
        }
        match snapshot {
            Some(sequence) => {
                let limit = dispensable(&found, sequence + 1).max(leftover);
                limits.push((Hold::Snapshot { sequence: Sequence(sequence) }, limit));
            }
            None if !self.without_snapshot => limits.push((Hold::NoSnapshot, leftover)),
            None => {}
        }
        let going = limits.iter().map(|(_, limit)| *limit).fold(asked, usize::min);
        let held = limits
            .into_iter()
            .filter(|(_, limit)| *limit < asked)
            .map(|(by, limit)| HeldBack { by, segments: (asked - limit) as u64 })
            .collect();
        let plan = PrunePlan {
            segments: found.len() as u64,
            bytes: found.iter().map(|segment| segment.bytes).sum(),
            asked_segments: asked as u64,
            going: going_of(&found[..=going], leftover),
            held,
            snapshot: snapshot.map(Sequence),
            first_sequence: Sequence(found[going].fields.first_sequence),
        };
        let fields: Vec<&Fields> = found[..going].iter().map(|segment| &segment.fields).collect();
        let keeping = Keeping::of(directory, &fields, marker.as_ref())?;
        let run_started = keeping.sequence;
        let marker = if going > leftover {
            Some(next_marker(&plan, &found[going].fields, run_started, marker, now))
        } else {
            let is_new = |marker: &Marker| marker.run_started != run_started;
            marker.filter(is_new).map(|marker| Marker { run_started, ..marker })
        };
        Ok(Look { plan, journal_id: found[0].fields.journal_id, keeping, marker })
    }

    /// How many segments are asked for, from the oldest on.
    fn asked(&self, found: &[Found], now: SystemTime, snapshot: Option<u64>) -> usize {
        let old = self.older_than.map_or(0, |age| {
            // A file from the future has no age.
            let is_old =
                |segment: &&Found| now.duration_since(segment.written).is_ok_and(|since| since > age);
            found.iter().take_while(is_old).count()
        });
        let large = self.larger_than_bytes.map_or(0, |limit| {
            let mut left: u64 = found.iter().map(|segment| segment.bytes).sum();
            let is_too_much = |segment: &&Found| {
                let is_above = left > limit;
                left -= segment.bytes;
                is_above
            };
            found.iter().take_while(is_too_much).count()
        });
        let covered = match snapshot {
            Some(sequence) if self.to_snapshot => dispensable(found, sequence + 1),
            _ => 0,
        };
        old.max(large).max(covered)
    }
}

/// Every segment with its header, of which each follows the one before.
fn find(directory: &Directory<Disk>) -> Result<Vec<Found>, JournalError> {
    let mut found: Vec<Found> = Vec::new();
    for first_sequence in directory.segments()? {
        let path = directory.storage.path(&segment_name(first_sequence));
        let failed = |error| JournalError::io("open", &path, error);
        let file = plain::open(&path, File::options().read(true), "open")?;
        let name = segment_name(first_sequence);
        let (fields, file_bytes) = match read_head(&directory.storage, &name, Some(first_sequence))? {
            Some(Head::Whole { fields, file_bytes }) => (fields, file_bytes),
            Some(Head::Torn) => return Err(directory.damaged_header(first_sequence, HeaderDamage::Torn)),
            None => return Err(directory.no_journal()),
        };
        if let Some(before) = found.last() {
            follows(&before.fields, &fields, false).map_err(|what| JournalError::Damaged {
                file: path.clone(),
                offset: 0,
                sequence: Sequence(first_sequence),
                what: what.into(),
            })?;
        }
        let index_bytes = fs::metadata(path.with_extension("idx")).map_or(0, |index| index.len());
        let written = file.metadata().and_then(|file| file.modified()).map_err(failed)?;
        found.push(Found { fields, bytes: file_bytes + index_bytes, written });
    }
    Ok(found)
}

/// How many segments hold only steps before this one. The last segment is not among them: its end is not known.
fn dispensable(found: &[Found], sequence: u64) -> usize {
    found.windows(2).take_while(|pair| pair[1].fields.first_sequence <= sequence).count()
}

/// The segments that go, of which the last one in `found` is the first that does not.
fn going_of(found: &[Found], leftover: usize) -> Vec<GoingSegment> {
    let segment = |(index, pair): (usize, &[Found])| GoingSegment {
        first_sequence: Sequence(pair[0].fields.first_sequence),
        last_sequence: Sequence(pair[1].fields.first_sequence - 1),
        bytes: pair[0].bytes,
        written: time_of(pair[0].written),
        is_leftover: index < leftover,
    };
    found.windows(2).enumerate().map(segment).collect()
}

/// What the marker says when a plan is carried out: leftovers were counted when they were given up.
fn next_marker(
    plan: &PrunePlan,
    kept: &Fields,
    run_started: u64,
    before: Option<Marker>,
    now: SystemTime,
) -> Marker {
    let removed = || plan.going.iter().filter(|segment| !segment.is_leftover);
    let steps = |segment: &GoingSegment| segment.last_sequence.0 + 1 - segment.first_sequence.0;
    let (segments_before, steps_before, bytes_before) = before
        .map_or((0, 0, 0), |marker| (marker.removed_segments, marker.removed_steps, marker.removed_bytes));
    Marker {
        journal_id: beside::id_text(kept.journal_id),
        first_sequence: kept.first_sequence,
        segment_index: kept.index,
        when_ns: time_of(now).0,
        removed_segments: segments_before + removed().count() as u64,
        removed_steps: steps_before + removed().map(steps).sum::<u64>(),
        removed_bytes: bytes_before + removed().map(|segment| segment.bytes).sum::<u64>(),
        run_started,
    }
}

/// The last step in the newest snapshot that is verified and that this journal goes on from. A snapshot is
/// `snapshots/SEQUENCE.snapshot` with 20 digits; it is verified when `SEQUENCE.verified` lies beside it.
fn newest_snapshot(directory: &Directory<Disk>, found: &[Found]) -> Result<Option<u64>, JournalError> {
    let folder = directory.storage.dir().join("snapshots");
    let failed = |error| JournalError::io("list", &folder, error);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let mut verified = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_number = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
        if let (true, Ok(sequence)) = (is_number, stem.parse::<u64>())
            && path.extension().is_some_and(|extension| extension == "verified")
            && path.with_extension("snapshot").is_file()
        {
            verified.push(sequence);
        }
    }
    if verified.is_empty() {
        return Ok(None);
    }
    let first = found[0].fields.first_sequence;
    let last = steady(directory, || Reader::open(directory.storage.dir())?.last_sequence())?.0;
    // One from before the journal's start or from behind its end is of no use to it.
    Ok(verified.into_iter().filter(|sequence| (first - 1..=last).contains(sequence)).max())
}

fn time_of(time: SystemTime) -> Time {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
