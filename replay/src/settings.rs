//! The settings of a journal: what all of its runs were told.

use std::path::Path;

use pawl_engine::settings::{RecordedEnvironment, RecordedSettings};
use pawl_journal::log::{Reader, run_start};
use pawl_journal::record::{Kind, RunStarted};

use super::error::ReplayError;

/// What a journal says of its runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTold {
    /// What decides, the same for all runs, byte for byte.
    pub text: String,
    /// The same, as values.
    pub settings: RecordedSettings,
    /// Where one of the runs was: the first that is there, or the last one that was pruned away.
    pub environment: RecordedEnvironment,
}

/// What the runs of a journal were told.
///
/// # Errors
/// [`ReplayError`] if no run begins in it, or this build cannot read what it was told.
pub fn told(directory: &Path) -> Result<RunTold, ReplayError> {
    let Some(step) = run_start(directory)? else {
        let sequence = Reader::open(directory)?.first_sequence()?;
        return Err(if sequence.0 == 0 { ReplayError::Empty } else { ReplayError::NoSettings { sequence } });
    };
    let sequence = step.sequence();
    let record = step.view().record(Kind::RunStarted).ok_or(ReplayError::NoSettings { sequence })?;
    let started = record.get::<RunStarted>().ok_or(ReplayError::NoSettings { sequence })?;
    let (text, environment) = started.texts(&record);
    let wrong = |error: serde_json::Error| ReplayError::Settings { sequence, message: error.to_string() };
    Ok(RunTold {
        text: text.to_owned(),
        settings: serde_json::from_str(text).map_err(wrong)?,
        environment: serde_json::from_str(environment).map_err(wrong)?,
    })
}

/// The settings of a journal, and the environment of one of its runs, as [`told`] finds them.
///
/// # Errors
/// As [`told`].
pub fn settings_of(directory: &Path) -> Result<(RecordedSettings, RecordedEnvironment), ReplayError> {
    told(directory).map(|told| (told.settings, told.environment))
}
