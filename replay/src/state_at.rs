//! The engine as it stood after a step.

use std::path::Path;

use pawl_journal::record::{Difference, KeptStep, Sequence, StepRef, Time};

use super::error::ReplayError;
use super::replay::{Divergence, Scope, check_scope};
use super::rerun::Rerun;

/// The engine after a step.
#[derive(Debug)]
pub struct StateAt {
    /// The pipeline in that state, and the settings it runs under.
    pub rerun: Rerun,
    /// The step.
    pub sequence: Sequence,
    /// Its time.
    pub time: Time,
    /// The first step on the way that this build decides differently: the state is this build's then, and not the
    /// one that the journal tells of.
    pub divergence: Option<Divergence>,
}

/// The pipeline in the state after step `at`, and the settings it runs under. Begins at the newest snapshot of this
/// build (`build_hash`) that can serve.
///
/// # Errors
/// [`ReplayError`], also [`ReplayError::OutOfRange`] when the journal has no such step.
pub fn state_at(
    directory: &Path,
    at: Sequence,
    build_hash: u64,
    mut progress: impl FnMut(Sequence),
) -> Result<StateAt, ReplayError> {
    check_scope(directory, Scope { until: Some(at), ..Scope::default() })?;
    let mut rerun = Rerun::open_before(directory, build_hash, at)?;
    let begun_after = rerun.reached.0.0;
    let mut divergence = None;
    while rerun.reached.0 < at {
        let look = |recorded: StepRef<'_>, difference: Option<Difference>| {
            difference.filter(|_| divergence.is_none()).map(|it| (it, KeptStep::of(recorded)))
        };
        let Some(found) = rerun.step(look)? else { break };
        if let Some((difference, recorded)) = found {
            let computed = KeptStep::of(rerun.computed());
            divergence = Some(Divergence::of(&recorded, &computed, difference, begun_after));
        }
        if rerun.reached.0.0.is_multiple_of(4_096) {
            progress(rerun.reached.0);
        }
    }
    let (sequence, time) = rerun.reached;
    Ok(StateAt { rerun, sequence, time, divergence })
}
