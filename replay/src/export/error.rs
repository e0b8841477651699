//! Why a journal cannot be exported.

use std::path::{Path, PathBuf};

use pawl_journal::record::Sequence;

/// Why a journal cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file or directory of the export cannot be written.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is something else in the place.
    #[error(
        "{dir} is not empty: name another directory, or give --replace to have the files of an earlier export replaced"
    )]
    NotEmpty {
        /// The directory asked for.
        dir: PathBuf,
    },
    /// Another export is at work there.
    #[error("another export is writing to {dir}: wait until it is done, or name another directory")]
    Busy {
        /// The directory asked for.
        dir: PathBuf,
    },
    /// The place is the journal itself, or no directory.
    #[error("--out {dir} {problem}: name a directory of its own")]
    Place {
        /// The place asked for.
        dir: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No step is in the range asked for.
    #[error("no step lies between --from and --until: the journal holds steps {first} to {last}")]
    NoSteps {
        /// The first step there is.
        first: u64,
        /// The last step there is.
        last: u64,
    },
    /// A record names an instrument, an agent or columns that the settings do not have.
    #[error(
        "step {sequence} does not fit the settings of its journal: {what}; `pawl verify` says whether it is whole"
    )]
    Foreign {
        /// The step.
        sequence: Sequence,
        /// What does not fit.
        what: String,
    },
    /// It was told to end.
    #[error("stopped: nothing was exported")]
    Stopped,
}

impl ExportError {
    pub(super) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }
}
