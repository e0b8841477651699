//! Why a run could not begin, or could not end in order.

use pawl_journal::log::JournalError;
use pawl_journal::record::{Difference, Sequence};

use crate::port::FeedError;
use crate::snapshot::SnapshotError;
use crate::state::StateError;

/// Why a run could not begin, or could not end in order.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal could not take the next step, and was sealed before it.
    #[error("{source}; the journal is sealed after step {last}")]
    Stopped {
        /// Why.
        source: JournalError,
        /// The journal's last step.
        last: Sequence,
    },
    /// The settings do not fit into the journal's first record.
    #[error(
        "the settings take {bytes} bytes; a run's first record holds at most {limit}: configure fewer instruments"
    )]
    SettingsTooLarge {
        /// How many bytes they take.
        bytes: usize,
        /// How many fit.
        limit: usize,
    },
    /// The journal was written with other settings.
    #[error("the journal was written with other settings: {keys}; use these, or begin a new journal")]
    SettingsChanged {
        /// What differs, with both values.
        keys: String,
    },
    /// The journal does not hold its beginning any more.
    #[error(
        "the journal begins at step {sequence}, and not with its first run: what was before it was pruned, and no \
         snapshot holds the state; begin a new journal, this one can still be read"
    )]
    NoStart {
        /// The first step that is there.
        sequence: Sequence,
    },
    /// This build decides differently from what the journal holds.
    #[error(
        "step {sequence} of the journal cannot be reproduced by this build ({} {}: recorded {}, computed {}); \
         it refuses to trade on a state it cannot prove: use the build that wrote the journal, or begin a new one",
        difference.kind, difference.field, difference.left, difference.right
    )]
    Diverged {
        /// The first step that differs.
        sequence: Sequence,
        /// Where and how.
        difference: Box<Difference>,
    },
    /// The venue answers differently from what the journal holds.
    #[error(
        "the venue does not repeat the report that step {sequence} of the journal holds; its settings must be the same"
    )]
    VenueDiffers {
        /// The step with the report.
        sequence: Sequence,
    },
    /// The snapshots beside the journal cannot be listed.
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    /// A snapshot is no state of this build and these settings.
    #[error(
        "the snapshot after step {sequence} cannot be restored: {source}; delete it, and a new one is written"
    )]
    Snapshot {
        /// The last step that it covers.
        sequence: Sequence,
        /// What is wrong with it.
        source: StateError,
    },
    /// Feeds that happen now and feeds that happened do not share a clock.
    #[error("the feed {live} is live and {historical} is not; run them apart")]
    MixedFeeds {
        /// One that is live.
        live: String,
        /// One that is not.
        historical: String,
    },
    /// A feed is not the one that the journal was made of, or cannot be read up to where it ended.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A stage panicked: a bug. The journal holds everything before the step that failed.
    #[error(
        "the {part} panicked: {message}; the journal is whole up to the step before and can be recovered"
    )]
    Panicked {
        /// Which stage, or the edge.
        part: &'static str,
        /// What it said.
        message: String,
    },
    /// A thread of the pipeline ended while it was needed; why is told by its own error.
    #[error("a thread of the pipeline ended early")]
    PipelineGone,
    /// A thread could not be started.
    #[error("cannot start the {thread} thread: {source}")]
    Thread {
        /// Which thread.
        thread: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}
