//! Why a bundle cannot be made or used.

use std::path::{Path, PathBuf};

/// Why a bundle cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{path} is neither a journal, which is a directory, nor a bundle, which `pawl bundle` makes")]
    NotABundle {
        /// Which file.
        path: PathBuf,
    },
    /// A later version made it.
    #[error(
        "{path} is a bundle of format {format}, this build reads {known}: use the version of pawl that made it"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// The latest that this build reads.
        known: u64,
    },
    /// It is not what was written.
    #[error("the bundle {path} is damaged: {what}; get it again from where it was made")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is no room to unpack it.
    #[error(
        "the bundle {path} has {bytes} bytes unpacked, and there is room for {room}: set TMPDIR to a directory with more"
    )]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// What its files have together.
        bytes: u64,
        /// What they may have.
        room: u64,
    },
    /// The beginning is gone, and no snapshot stands in for it.
    #[error(
        "the journal begins at step {first}, and no verified snapshot of this build is there to begin a bundle with: take \
         one with `pawl snapshot` while the steps before it are there, or bundle with the build that took one"
    )]
    NoSnapshot {
        /// The first step there is.
        first: u64,
    },
    /// A segment of the last steps has no name yet.
    #[error(
        "the last steps up to {until} are in a segment that has no name yet: try again in a moment, or --until {last}"
    )]
    Unnamed {
        /// The last step asked for.
        until: u64,
        /// The last that can be had.
        last: u64,
    },
    /// A file changed between two looks.
    #[error(
        "{name} changed while it was bundled: a pruning or a repair is at work; try again when it is done"
    )]
    Changed {
        /// Which file of the bundle.
        name: String,
    },
    /// A model is another one than the journal's runs used.
    #[error(
        "the model of agent `{agent}` is not the one that the journal names, {hash}: say with --models DIR where that is, or \
         leave the models out with --without-models, which only `replay --recompute` needs"
    )]
    OtherModel {
        /// Which agent.
        agent: String,
        /// What the journal names.
        hash: String,
    },
}

impl BundleError {
    pub(super) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }
}
