//! Why two builds cannot be bisected.

use std::path::PathBuf;

use super::protocol::PROTOCOL;
use crate::error::ReplayError;

/// Why two builds cannot be bisected.
#[derive(Debug, thiserror::Error)]
pub enum BisectError {
    /// The journal cannot be read, or does not hold the steps asked for.
    #[error(transparent)]
    Journal(#[from] ReplayError),
    /// The program cannot be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The program is something else.
    #[error("{} is no pawl: asked for fingerprints of the journal, it {answer}", program.display())]
    NoPawl {
        /// The program.
        program: PathBuf,
        /// What it did instead.
        answer: String,
    },
    /// The build is from before builds could be asked.
    #[error(
        "{} is a pawl that has no `pawl fingerprint` yet, and cannot be asked: build it from a later commit, or compare \
         it with the journal by its own `pawl replay`",
        program.display()
    )]
    TooOld {
        /// The program.
        program: PathBuf,
    },
    /// The build speaks another version of the protocol.
    #[error(
        "{} answers in version {speaks} of the protocol, this program asks in version {PROTOCOL}: bisect with the \
         newer of the two programs, or with two builds that are closer to each other", program.display()
    )]
    Protocol {
        /// The program.
        program: PathBuf,
        /// The version it answers in.
        speaks: u64,
    },
    /// The build cannot answer, and says why.
    #[error("{} cannot answer: {message}", program.display())]
    Refused {
        /// The program.
        program: PathBuf,
        /// What it says.
        message: String,
    },
    /// The build died over the journal.
    #[error("{} died behind step {sequence}: {how}", program.display())]
    Died {
        /// The program.
        program: PathBuf,
        /// The last step that it answered for.
        sequence: u64,
        /// How it ended.
        how: String,
    },
    /// The build answers what cannot be understood.
    #[error("{} answers what cannot be understood: {line}", program.display())]
    Garbled {
        /// The program.
        program: PathBuf,
        /// What it said.
        line: String,
    },
    /// The two builds do not tell of the same steps.
    #[error("the builds do not tell of the same steps: old of step {old}, new of step {new}")]
    OutOfStep {
        /// The step that the old build told of.
        old: u64,
        /// The step that the new build told of.
        new: u64,
    },
    /// The builds differ, and do not when they are asked again.
    #[error(
        "the builds differ in steps {from} .. {until}, and do not when they are asked again: one of them does not decide \
         the same each time"
    )]
    Unsteady {
        /// The first step asked about again.
        from: u64,
        /// The last step asked about again.
        until: u64,
    },
}
