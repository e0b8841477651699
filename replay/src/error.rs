//! Why a journal cannot be replayed.

use pawl_engine::inference::InferenceError;
use pawl_engine::pipeline::PipelineError;
use pawl_engine::runtime::RunError;
use pawl_engine::snapshot::SnapshotError;
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
        "the journal begins at step {sequence}: what was before it was pruned, is missing or was left out of a bundle, and no \
         snapshot of this build stands in for it here: `pawl snapshot JOURNAL --list` shows behind which steps the state is \
         known, a what-if needs the whole journal; `pawl tail` and `pawl chain` show what is left"
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
    Pipeline(Box<PipelineError>),
    /// A model cannot be loaded, for `--recompute`.
    #[error(transparent)]
    Inference(Box<InferenceError>),
    /// No step made that order.
    #[error("there is no order {id} in the journal: `pawl tail JOURNAL --kind order_request` lists them")]
    NoOrder {
        /// The id asked for.
        id: u64,
    },
    /// Two journals are not of the same instruments.
    #[error(
        "the journals cannot be compared: {how}; prices and volumes are counted in an instrument's own points and lots"
    )]
    Instruments {
        /// What each of them has.
        how: String,
    },
    /// A journal without the times at which its steps passed each point.
    #[error(
        "{dir} has no stamps: it was written with runtime.stamps = false; run again with runtime.stamps = true to know \
         where time went"
    )]
    NoStamps {
        /// Its directory.
        dir: std::path::PathBuf,
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
    /// A twin cannot follow the journal.
    #[error(transparent)]
    Twin(Box<RunError>),
    /// The venue that the journal's runs used is not one that this build can play again.
    #[error("the venue of the journal cannot be played again by this build: {message}")]
    Venue {
        /// What is wrong, or the venue's settings.
        message: String,
    },
    /// The venue has to answer instead of the record, and did not say what the record says before.
    #[error(
        "orders differ from step {at} on, and nothing can say what the venue would have answered: the paper venue of \
         this build answers otherwise than the journal has it in step {sequence}; use the build that wrote the journal"
    )]
    VenueCannotAnswer {
        /// The step with the first report that is another one.
        sequence: Sequence,
        /// The step from which on it would have to answer.
        at: Sequence,
    },
    /// A change that a what-if cannot make.
    #[error(transparent)]
    Change(#[from] crate::whatif::ChangeError),
    /// A bundle cannot be made or used.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// An export cannot be written.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
    /// It was told to end.
    #[error("stopped: nothing was written")]
    Stopped,
    /// A snapshot cannot be written or read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A report would take more samples than it can hold.
    #[error("a sample every {every} is more than {most} samples of this journal: ask for a longer interval")]
    TooManySamples {
        /// The interval asked for.
        every: &'static str,
        /// Most that a report takes.
        most: u64,
    },
}

impl From<PipelineError> for ReplayError {
    fn from(error: PipelineError) -> Self {
        Self::Pipeline(Box::new(error))
    }
}

impl From<InferenceError> for ReplayError {
    fn from(error: InferenceError) -> Self {
        Self::Inference(Box::new(error))
    }
}

impl From<RunError> for ReplayError {
    fn from(error: RunError) -> Self {
        Self::Twin(Box::new(error))
    }
}
