//! The output hash: one number that is equal for two runs that decided the same.
//!
//! ```text
//!  hash of step N = XXH3( hash of step N-1, sequence, time, orders flag, XXH3( what step N decided ) )
//! ```
//!
//! A chain: the hash after a step stands for that step and every one before it, so it can be told at any step and
//! taken up again behind any. What a step decided are its records but for `Stamps` (measurements) and `Checkpoint`
//! (how a build holds its state), of `RunStarted` the settings and of `RunEnded` all but the message. It tells runs
//! apart that differ; it is no defence against somebody who forges one.

use xxhash_rust::xxh3::xxh3_64;

use super::codec::{IntoBytes as _, Record};
use super::input::{RunEnded, RunStarted};
use super::kind::Kind;
use super::step::{STEP_HEADER_BYTES, Step, StepRef};

/// The hash of everything that a run decided, up to a step. The default is that of no step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OutputHash(pub u64);

impl std::fmt::Display for OutputHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl OutputHash {
    /// The hash after one more step.
    #[inline]
    #[must_use]
    pub fn after(self, step: StepRef<'_>) -> Self {
        let input = step.input();
        let decided = match input.and_then(|input| input.kind()) {
            Some(Kind::RunStarted | Kind::RunEnded) => input.map_or(0, |input| of_run(&input)),
            _ => xxh3_64(step.decided()),
        };
        self.chained(step, decided)
    }

    /// As [`Self::after`], for a step of which so many bytes were decided: checkpoint and stamps are behind them, and its
    /// records need not be looked through.
    #[inline]
    #[must_use]
    pub fn after_decided(self, step: &Step, decided_bytes: usize) -> Self {
        let decided = &step.bytes()[STEP_HEADER_BYTES..decided_bytes];
        debug_assert_eq!(decided, step.view().decided(), "checkpoint and stamps come last");
        self.chained(step.view(), xxh3_64(decided))
    }

    #[inline]
    fn chained(self, step: StepRef<'_>, decided: u64) -> Self {
        let words =
            [self.0, step.sequence().0, step.time().0.cast_unsigned(), u64::from(step.has_orders()), decided];
        Self(xxh3_64(words.map(u64::to_le).as_bytes()))
    }
}

/// The hash of the first or last record of a run. Environment and message are for people, and may name a path.
#[cold]
fn of_run(record: &Record<'_>) -> u64 {
    match (record.get::<RunStarted>(), record.get::<RunEnded>()) {
        (Some(started), _) => xxh3_64(started.texts(record).0.as_bytes()),
        (_, Some(ended)) => xxh3_64(ended.as_bytes()),
        _ => 0,
    }
}
