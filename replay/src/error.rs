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
    /// Its first record is not the start of a run.
    #[error(
        "step {sequence} is not the start of a run: the journal's beginning is missing, and its state cannot be rebuilt"
    )]
    NoSettings {
        /// The first step.
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
