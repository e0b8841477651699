//! Why a journal cannot be replayed.

use pawl_engine::inference::InferenceError;
use pawl_engine::pipeline::PipelineError;
use pawl_journal::log::JournalError;
use pawl_journal::record::Sequence;

/// Why a journal cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It holds no step.
    #[error("the journal is empty: there is nothing to replay")]
    Empty,
    /// It does not hold its first step any more.
    #[error(
        "the journal begins at step {sequence}: what was before it was pruned or is missing, so no state can be rebuilt; \
         `pawl tail` and `pawl chain` show what is left"
    )]
    NoBeginning {
        /// The first step that is there.
        sequence: Sequence,
    },
    /// No run begins in it, or in what was kept when its beginning was pruned.
    #[error(
        "no run begins in what is left of the journal, from step {sequence} on, and none is kept beside it \
         (pruned.run_started)"
    )]
    NoSettings {
        /// The first step that is there.
        sequence: Sequence,
    },
    /// The settings in it cannot be read by this build.
    #[error("the settings in step {sequence} cannot be read by this build: {message}")]
    Settings {
        /// The step with the settings.
        sequence: Sequence,
        /// What is wrong.
        message: String,
    },
    /// The pipeline cannot be built.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A model cannot be loaded, for `--recompute`.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// No step made that order.
    #[error("there is no order {id} in the journal: `pawl tail JOURNAL --kind order_request` lists them")]
    NoOrder {
        /// The id asked for.
        id: u64,
    },
    /// The range asked for has no step.
    #[error("--from {from} lies behind --until {until}: there is nothing to compare")]
    EmptyScope {
        /// The first step asked for.
        from: u64,
        /// The last step asked for.
        until: u64,
    },
    /// The step asked for is not there.
    #[error("step {asked} is not in the journal, which holds steps {first} to {last}")]
    OutOfRange {
        /// What was asked for.
        asked: u64,
        /// The first step there is.
        first: u64,
        /// The last step there is.
        last: u64,
    },
}
