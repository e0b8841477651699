//! The shadow: follows a journal, beside a running engine or after it, and writes snapshots of what it comes to.
//!
//! ```text
//!  newest verified snapshot, or nothing --steps--> twin --write--> N.snapshot
//!  the same again, by another twin      --steps--> twin --equal?-> N.verified
//! ```
//!
//! Invariants: the engine is never asked and never waits; what is not reproduced twice, record by record and
//! checkpoint by checkpoint, is not relied on.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use pawl_engine::runtime::Twin;
use pawl_engine::snapshot::{SkippedBecause, Snapshot, SnapshotFile, Snapshots};
use pawl_journal::log::{Origin, Reader};
use pawl_journal::record::{Sequence, Time};

use super::error::ReplayError;

/// A snapshot that was taken and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The last step that it covers.
    pub sequence: Sequence,
    /// Where it is.
    pub path: PathBuf,
    /// The last step of the snapshot it was built on; 0 is the beginning of the journal.
    pub based_on: Sequence,
}

/// Takes snapshots of one journal.
pub struct Shadow<'a> {
    /// The journal.
    pub journal: &'a Path,
    /// Hash of this build.
    pub build_hash: u64,
    /// A twin at the beginning of the journal.
    pub twin: &'a dyn Fn() -> Result<Twin, ReplayError>,
    /// Told the step that was reached, now and then.
    pub progress: &'a mut dyn FnMut(Sequence),
    /// Told which snapshots were passed over, and why.
    pub skipped: &'a mut dyn FnMut(&SnapshotFile, SkippedBecause),
    /// Set to give up: nothing is left behind then.
    pub stop: &'a AtomicBool,
}

impl Shadow<'_> {
    /// Takes a snapshot of what the journal comes to at step `at`, or at the last step that is committed now, and
    /// verifies it. `None` if there is one already, or it was told to stop.
    ///
    /// # Errors
    /// [`ReplayError`] if the journal cannot be read or reproduced, or the snapshot cannot be written.
    pub fn take(&mut self, at: Option<Sequence>, when: Time) -> Result<Option<Taken>, ReplayError> {
        let reader = Reader::open(self.journal)?;
        let (first, last) = (reader.first_sequence()?, reader.last_sequence()?);
        if last.0 == 0 {
            return Err(ReplayError::Empty);
        }
        let at = at.unwrap_or(last);
        if at < first || at > last {
            return Err(ReplayError::OutOfRange { asked: at.0, first: first.0, last: last.0 });
        }
        let journal_id = reader.journal_id();
        let origin = Origin::of_step(self.journal, at)?.ok_or(ReplayError::Empty)?;
        let snapshots = Snapshots::of(self.journal);
        let base = snapshots.newest(journal_id, self.build_hash, at, &mut *self.skipped)?;
        let based_on = base.as_ref().map_or(Sequence(0), |base| Sequence(base.sequence));
        if based_on == at {
            return Ok(None);
        }
        let Some(mut twin) = self.follow(base.as_ref(), at)? else { return Ok(None) };
        let path = snapshots.write(&twin.save(journal_id, self.build_hash, origin))?;
        let Some(mut again) = self.follow(base.as_ref(), at)? else {
            // Another process may have verified it meanwhile; else nobody would ever rely on it.
            if !path.with_extension("verified").exists() {
                let _ = std::fs::remove_file(&path);
            }
            return Ok(None);
        };
        snapshots.verify(&again.save(journal_id, self.build_hash, origin), when)?;
        Ok(Some(Taken { sequence: at, path, based_on }))
    }

    /// A twin that followed the journal up to step `at`; `None` if it was told to stop on the way.
    fn follow(&mut self, base: Option<&Snapshot>, at: Sequence) -> Result<Option<Twin>, ReplayError> {
        let mut twin = (self.twin)()?;
        let mut reader = Reader::open(self.journal)?;
        let is_there = twin.follow_to(&mut reader, base, at, |reached| {
            if reached.0.is_multiple_of(4_096) {
                (self.progress)(reached);
                if self.stop.load(Ordering::Relaxed) {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(is_there.then_some(twin))
    }
}
