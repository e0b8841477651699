//! Rewinding: a re-run that goes back as well as on, by running again from the nearest state it kept.
//!
//! ```text
//!  state      kept           kept           kept                    kept every so many steps, so many at most;
//!  steps   1 ..|..............|..............|.......> at            full: every second is dropped, the rest
//!                             |---- run again ---> at - 1            stand twice as far apart
//! ```

use std::path::{Path, PathBuf};

use pawl_journal::log::Reader;
use pawl_journal::record::{Difference, KeptStep, Sequence, StepRef};

use super::error::ReplayError;
use super::replay::Scope;
use super::rerun::{KeptState, Rerun};

/// Steps between two kept states, at first.
const KEPT_EVERY: u64 = 4_096;

/// Most states that are kept; each is some ten to a hundred KiB.
const KEPT_MAX: usize = 128;

/// The step that a [`Rewind`] stands at.
#[derive(Debug, Clone)]
pub struct Shown {
    /// As recorded.
    pub step: KeptStep,
    /// As this build decides it, if that differs, and in what.
    pub differs: Option<(Difference, KeptStep)>,
}

/// A re-run that goes back as well as on.
#[derive(Debug)]
pub struct Rewind {
    directory: PathBuf,
    rerun: Rerun,
    build_hash: u64,
    kept: Vec<KeptState>,
    every: u64,
    first: Sequence,
    last: Sequence,
    shown: Option<Shown>,
}

impl Rewind {
    /// Opens a journal in front of the first step of `scope`.
    ///
    /// # Errors
    /// As [`Rerun::open_before`]; also for steps that the journal does not hold.
    pub fn open(directory: &Path, scope: Scope) -> Result<Self, ReplayError> {
        let rerun = scope.open(directory)?;
        let reader = Reader::open(directory)?;
        let last = scope.until.map_or_else(|| reader.last_sequence(), Ok)?;
        let first = scope.from.unwrap_or(Sequence(rerun.reached.0.0 + 1));
        Ok(Self {
            directory: directory.to_owned(),
            rerun,
            build_hash: scope.build_hash,
            kept: Vec::new(),
            every: KEPT_EVERY,
            first,
            last,
            shown: None,
        })
    }

    /// The first step that it goes to.
    #[must_use]
    pub const fn first(&self) -> Sequence {
        self.first
    }

    /// The last step that it goes to.
    #[must_use]
    pub const fn last(&self) -> Sequence {
        self.last
    }

    /// The re-run, in the state after the step it stands at.
    #[must_use]
    pub const fn rerun(&self) -> &Rerun {
        &self.rerun
    }

    /// The step that it stands at; none before the first move.
    #[must_use]
    pub const fn shown(&self) -> Option<&Shown> {
        self.shown.as_ref()
    }

    /// The sequence of the step that it stands at; 0 before the first move.
    #[must_use]
    pub fn at(&self) -> Sequence {
        self.shown.as_ref().map_or(Sequence(0), |it| it.step.view().sequence())
    }

    /// Goes to a step and shows it. `progress` is told the step that was run, now and then.
    ///
    /// # Errors
    /// [`ReplayError::OutOfRange`] for a step that is not in its range, which leaves it where it is; others if the
    /// journal cannot be read.
    pub fn go(&mut self, to: Sequence, mut progress: impl FnMut(Sequence)) -> Result<&Shown, ReplayError> {
        if to < self.first || to > self.last {
            return Err(ReplayError::OutOfRange { asked: to.0, first: self.first.0, last: self.last.0 });
        }
        if self.at() != to {
            self.begin_before(to)?;
        }
        while self.rerun.reached.0 < to {
            let ran = self.rerun.step(|step, difference| (KeptStep::of(step), difference))?;
            let Some((step, difference)) = ran else { break };
            if self.rerun.reached.0 == to {
                let differs = difference.map(|it| (it, KeptStep::of(self.rerun.computed())));
                self.shown = Some(Shown { step, differs });
            }
            self.keep_if_due();
            if self.rerun.reached.0.0.is_multiple_of(4_096) {
                progress(self.rerun.reached.0);
            }
        }
        let missing = ReplayError::OutOfRange { asked: to.0, first: self.first.0, last: self.last.0 };
        self.shown.as_ref().ok_or(missing)
    }

    /// The next step behind the one it stands at that is `wanted`; none if there is none up to its last. Only reads.
    ///
    /// # Errors
    /// [`ReplayError`] if the journal cannot be read.
    pub fn find(&self, wanted: impl Fn(StepRef<'_>) -> bool) -> Result<Option<Sequence>, ReplayError> {
        let mut reader = Reader::open(&self.directory)?;
        reader.seek(Sequence(self.at().0 + 1).max(self.first))?;
        while let Some(frame) = reader.next()? {
            let sequence = frame.sequence();
            if sequence > self.last {
                break;
            }
            if wanted(frame.step()) {
                return Ok(Some(sequence));
            }
        }
        Ok(None)
    }

    /// Puts the re-run in front of a step, as near as there is a state: where it is, one that was kept, a snapshot, the
    /// beginning.
    fn begin_before(&mut self, to: Sequence) -> Result<(), ReplayError> {
        let here = Some(self.rerun.reached.0).filter(|it| *it < to);
        let kept = self.kept.iter().filter(|it| it.sequence() < to).max_by_key(|it| it.sequence());
        let nearest = here.max(kept.map(KeptState::sequence));
        let is_far = nearest.is_none_or(|it| to.0 - it.0 > 16 * KEPT_EVERY);
        if is_far {
            let before = Sequence(to.0.saturating_sub(1));
            let rerun = Rerun::open_before(&self.directory, self.build_hash, before)?;
            if nearest.is_none_or(|it| rerun.reached.0 > it) {
                self.rerun = rerun;
                self.keep_if_due();
                return Ok(());
            }
        }
        match kept {
            Some(kept) if here < Some(kept.sequence()) => self.rerun.go_to(kept),
            _ => Ok(()),
        }
    }

    /// Keeps the state if none is kept near it.
    fn keep_if_due(&mut self) {
        let at = self.rerun.reached.0.0;
        if !at.is_multiple_of(KEPT_EVERY)
            || self.kept.iter().any(|it| it.sequence().0.abs_diff(at) < self.every)
        {
            return;
        }
        if self.kept.len() == KEPT_MAX {
            self.kept.sort_by_key(KeptState::sequence);
            let mut place = 0;
            self.kept.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.every *= 2;
        }
        self.kept.push(self.rerun.keep());
    }
}
