//! The output hash: one number that is equal for two runs that decided the same.
//!
//! XXH3 (128 bits) over every step's sequence, time and records, except `Stamps` (measurements) and the
//! part of `RunStarted` that describes the build, the machine and the threading, and the message of `RunEnded`. It tells runs apart that differ;
//! it is no defence against somebody who forges one.

use xxhash_rust::xxh3::Xxh3;

use super::codec::{IntoBytes as _, Record};
use super::input::{RunEnded, RunStarted};
use super::kind::Kind;
use super::step::StepRef;

/// The hash of everything a run decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputHash(pub u128);

impl std::fmt::Display for OutputHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Computes the [`OutputHash`] step by step.
#[derive(Clone, Default)]
pub struct OutputHasher {
    state: Box<Xxh3>,
}

impl std::fmt::Debug for OutputHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutputHasher({})", self.finish())
    }
}

impl OutputHasher {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one step.
    pub fn step(&mut self, step: StepRef<'_>) {
        self.begin(step);
        for record in step.records() {
            self.record(record.kind(), &record);
        }
    }

    /// Begins a step; its records follow.
    #[inline]
    pub(crate) fn begin(&mut self, step: StepRef<'_>) {
        let mut start = [0; 17];
        start[..8].copy_from_slice(&step.sequence().0.to_le_bytes());
        start[8..16].copy_from_slice(&step.time().0.to_le_bytes());
        start[16] = u8::from(step.has_orders());
        self.state.update(&start);
    }

    /// Adds a record of the step, of this kind.
    #[inline]
    pub(crate) fn record(&mut self, kind: Option<Kind>, record: &Record<'_>) {
        match kind {
            Some(Kind::Stamps) => {}
            Some(Kind::RunStarted) => {
                if let Some(started) = record.get::<RunStarted>() {
                    self.state.update(&Kind::RunStarted.code().to_le_bytes());
                    self.state.update(started.texts(record).0.as_bytes());
                }
            }
            Some(Kind::RunEnded) => {
                // Its tail is a message for people, and may name a path.
                if let Some(ended) = record.get::<RunEnded>() {
                    self.state.update(&Kind::RunEnded.code().to_le_bytes());
                    self.state.update(ended.as_bytes());
                }
            }
            _ => self.state.update(record.whole),
        }
    }

    /// The hash so far.
    #[must_use]
    pub fn finish(&self) -> OutputHash {
        OutputHash(self.state.digest128())
    }
}
