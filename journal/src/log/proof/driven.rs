//! A driven appender: the real one, whose supplier and flusher work when a test says so and never else; and the steps
//! that it writes.
//!
//! Invariants: nothing here depends on time, threads or chance.

use std::path::PathBuf;

use crate::log::appender::{Appender, SealReason};
use crate::log::background::Background;
use crate::log::error::JournalError;
use crate::log::flusher::Flusher;
use crate::log::options::{Durability, JournalOptions};
use crate::log::reader::Reader;
use crate::log::storage::Storage;
use crate::log::supplier::Supplier;
use crate::log::verified::Verified;
use crate::log::verify::verify_in;
use crate::record::{Points, RunEnded, Sequence, Step, StepRef, Tick, Time};

use super::memory::Memory;

/// The smallest segments, gated: nothing is synced but by [`Driven::flush`].
pub(super) const SMALL: JournalOptions =
    JournalOptions { segment_bytes: 1 << 20, durability: Durability::Gated };

/// An appender and those who work for it.
#[derive(Debug)]
pub(super) struct Driven<S: Storage> {
    pub(super) appender: Appender<S>,
    pub(super) supplier: Supplier<S>,
    pub(super) flusher: Flusher<S>,
    step: Step,
    rolls: u64,
}

impl<S: Storage> Driven<S> {
    /// Opens the journal for writing, with spares ready.
    pub(super) fn open(storage: &S) -> Result<Self, JournalError> {
        let mut workers = None;
        let appender = Appender::open_in(storage.clone(), &SMALL, |supplier, flusher, _, _| {
            workers = Some((supplier, flusher));
            Ok(Background::Ended)
        })?;
        let (mut supplier, flusher) = workers.expect("a writer that was opened has started its workers");
        while supplier.work() {}
        Ok(Self { appender, supplier, flusher, step: Step::new(), rolls: 0 })
    }

    /// Appends the next step of a journal that [`build`] tells; rolls if need be.
    pub(super) fn append(&mut self) {
        build(&mut self.step, self.appender.next_sequence().0);
        self.appender.append(&self.step).unwrap();
    }

    /// Appends some steps, with new spares whenever one was used.
    pub(super) fn append_many(&mut self, count: u64) {
        for _ in 0..count {
            self.append();
            let rolls = self.appender.watermarks().statistics().rolls;
            if rolls > self.rolls {
                self.rolls = rolls;
                while self.supplier.work() {}
            }
        }
    }

    /// Makes everything durable that is committed, beginning a new page first, and says so in a sync frame.
    pub(super) fn flush(&mut self) {
        self.flusher.ask_for_pad();
        self.appender.tend().unwrap();
        while self.flusher.finish() {}
        self.flusher.flush();
        self.appender.tend().unwrap();
    }

    /// Finishes every segment that the writer has left, and hashes it.
    pub(super) fn finish(&mut self) {
        while self.flusher.finish() {}
        while self.flusher.digest() {}
        self.appender.tend().unwrap();
    }

    /// Ends the turn in order.
    pub(super) fn seal(mut self) {
        self.finish();
        self.appender.seal(SealReason::Ended).unwrap();
    }
}

/// Time of a step: two share one.
pub(super) fn time_of(sequence: u64) -> Time {
    Time(1_549_238_400_000_000_000 + sequence.cast_signed() / 2 * 1_000)
}

/// A step that differs from every other one, of a size that differs from its neighbours'.
pub(super) fn build(step: &mut Step, sequence: u64) {
    step.begin(Sequence(sequence), time_of(sequence));
    if sequence.is_multiple_of(7) {
        let len = if sequence.is_multiple_of(1_001) { 5_000 } else { sequence * 37 % 500 };
        let message = vec![b'a' + (sequence % 26) as u8; len as usize];
        step.push_with_tail(&RunEnded::default(), &message);
    } else {
        let (bid, ask) = (Points(sequence.cast_signed()), Points(sequence.cast_signed() + 2));
        step.push(&Tick { source_sequence: sequence, bid, ask, ..Tick::default() });
    }
}

/// Whether a step is exactly the one with this sequence.
pub(super) fn assert_is(found: StepRef<'_>, sequence: u64) {
    let mut step = Step::new();
    build(&mut step, sequence);
    assert_eq!(found.bytes()[8..], step.bytes()[8..], "step {sequence}");
}

/// Reads from the start to the end or the first damage; every step on the way must be the right one. Gives how many
/// there were and what ended them.
pub(super) fn read_all(memory: &Memory) -> (u64, Option<JournalError>) {
    let mut reader = match Reader::open_in(memory.clone()) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut count = 0;
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                count += 1;
                assert_is(frame.step(), count);
            }
            Ok(None) => return (count, None),
            Err(error) => {
                assert!(reader.next().is_err(), "damage does not go away");
                return (count, Some(error));
            }
        }
    }
}

/// Verifies without looking at the progress.
pub(super) fn check(memory: &Memory) -> Verified {
    verify_in(memory.clone(), &mut |_, _| {}).unwrap()
}

/// Where a name is, for comparing with errors.
pub(super) fn path(memory: &Memory, name: &str) -> PathBuf {
    memory.path(name)
}

/// `soak` where the environment asks for the long form of the proofs, `short` elsewhere.
pub(super) fn scaled(short: u64, soak: u64) -> u64 {
    if std::env::var_os("PAWL_SOAK").is_some_and(|value| value == "1") { soak } else { short }
}
