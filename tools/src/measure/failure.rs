//! Why a benchmark gives no numbers, and the flag by which an operator stops one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::signals::stop_with_word;

/// Why a benchmark gives no numbers.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was measured did not do its work: its times mean nothing.
    #[error("wrong answer: {0}; the times above mean nothing, please report this")]
    WrongAnswer(String),
    /// The operator stopped it.
    #[error("interrupted: what this run wrote was removed")]
    Interrupted,
}

impl Failure {
    /// Checks an answer.
    pub fn unless(right: bool, what: impl FnOnce() -> String) -> Result<(), Self> {
        if right { Ok(()) } else { Err(Self::WrongAnswer(what())) }
    }
}

/// Set by the first signal that asks to end.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for signals from now on.
    pub fn on_signals() -> std::io::Result<Self> {
        stop_with_word("stopping; a second Ctrl-C ends it at once").map(Self)
    }

    /// The flag, for a run that is to end by it.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// An error once the operator has stopped the benchmark. One relaxed load.
    #[inline]
    pub fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) { Err(Failure::Interrupted) } else { Ok(()) }
    }
}
