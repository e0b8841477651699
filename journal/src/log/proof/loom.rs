//! Loom: the real appender, flusher and tailer over files whose every load and store is one of loom's, in every order
//! that the memory model and a bound on preemptions allow.
//!
//! ```text
//!  main: writer ------ append --- roll --- append --- seal
//!  thread: tailer ---- poll ---- poll ---- poll             > every step once, in order, and whole
//!  thread: flusher ----------- sync, name, finish
//! ```
//!
//! Invariants: what synchronises in the product through std (the watermarks, the stock of spares, the flusher's
//! queue) is not modelled and happens between two steps of the model.

use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Counter;

use loom::sync::atomic::Ordering;

use super::driven::{Driven, scaled, time_of};
use super::loom_storage::{Loom, Planted};
use crate::log::appender::{Appender, SealReason};
use crate::log::control::{CONTROL_BYTES, SEAL_SPAN};
use crate::log::header::HEADER_BYTES;
use crate::log::region::PAGE_BYTES;
use crate::log::tailer::{From, Tailer};
use crate::record::{RECORD_HEADER_BYTES, RunEnded, STEP_HEADER_BYTES, Sequence, Step};

/// Bytes of a step's frame here.
const FRAME_BYTES: usize = 128;

/// What of a segment's file is modelled where the writer is to roll: the epoch frame, two steps and the seal.
const ROLL_BYTES: usize = HEADER_BYTES + CONTROL_BYTES + 2 * FRAME_BYTES + SEAL_SPAN;

/// And where it is to pad: a page, and some frames of the next one.
const PAD_BYTES: usize = HEADER_BYTES + PAGE_BYTES + 6 * FRAME_BYTES;

/// A tailer that goes on from the step behind `seen`; every step must be the right one.
fn follow(tailer: &mut Tailer<Loom>, seen: &mut u64, polls: usize) -> Result<(), String> {
    for _ in 0..polls {
        match tailer.poll() {
            Ok(None) => {}
            Ok(Some(frame)) => {
                *seen += 1;
                let mut step = Step::new();
                build(&mut step, *seen, frame.step().bytes().len());
                if frame.sequence().0 != *seen || frame.step().bytes()[8..] != step.bytes()[8..] {
                    return Err(format!("{frame:?} instead of step {seen}"));
                }
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// A step whose frame has this many bytes.
fn build(step: &mut Step, sequence: u64, len: usize) {
    step.begin(Sequence(sequence), time_of(sequence));
    let room = len - STEP_HEADER_BYTES - RECORD_HEADER_BYTES - size_of::<RunEnded>();
    step.push_with_tail(&RunEnded::default(), &vec![sequence as u8 + 1; room]);
    assert_eq!(step.bytes().len(), len);
}

fn append(appender: &mut Appender<Loom>, step: &mut Step, len: usize) {
    build(step, appender.next_sequence().0, len);
    appender.append(step).unwrap();
}

/// How a model went, over all its executions.
#[derive(Debug, Default)]
struct Explored {
    executions: Counter,
    /// In which a reader was told something wrong, or missed something.
    wrong: Counter,
    /// In which the reader entered a segment that had no name of its own yet.
    by_spare: Counter,
    /// In which the reader saw every step while the writer was at work.
    live: Counter,
    /// In which the writer padded before the flusher had given up waiting.
    padded: Counter,
}

fn count(counter: &Counter, is: bool) {
    counter.fetch_add(u64::from(is), Ordering::Relaxed);
}

impl Explored {
    /// Executions, and among them wrong ones, entered by a spare, seen live, padded in time.
    fn told(&self) -> [u64; 5] {
        [&self.executions, &self.wrong, &self.by_spare, &self.live, &self.padded]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

fn explore(preemptions: u64, model: impl Fn(&Explored) + Send + Sync + 'static) -> [u64; 5] {
    let explored = Arc::new(Explored::default());
    let counts = Arc::clone(&explored);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions as usize);
    builder.max_branches = 100_000;
    builder.check(move || {
        count(&counts.executions, true);
        model(&counts);
    });
    explored.told()
}

/// The writer appends a step, rolls, appends another and ends its turn, while a tailer polls and the flusher finishes
/// the segment.
fn roll(planted: Planted, preemptions: u64) -> [u64; 5] {
    explore(preemptions, move |explored| {
        let storage = Loom::new(planted, ROLL_BYTES, false);
        let Driven { mut appender, mut flusher, .. } = Driven::open(&storage).unwrap();
        let mut step = Step::new();
        append(&mut appender, &mut step, FRAME_BYTES);
        let mut tailer = Tailer::open_in(&storage, From::Start, false).unwrap();
        let reader = loom::thread::spawn(move || {
            let mut seen = 0;
            let told = follow(&mut tailer, &mut seen, 4);
            (tailer, seen, told)
        });
        let elsewhere = storage.clone();
        let finisher = loom::thread::spawn(move || {
            for _ in 0..2 {
                elsewhere.pass();
                flusher.finish();
            }
            flusher
        });
        append(&mut appender, &mut step, FRAME_BYTES);
        append(&mut appender, &mut step, FRAME_BYTES);
        assert_eq!(appender.watermarks().statistics().rolls, 1);
        let (mut tailer, mut seen, mut told) = reader.join().unwrap();
        count(&explored.live, told.is_ok() && seen == 3);
        finisher.join().unwrap().finish();
        appender.seal(SealReason::Ended).unwrap();
        if told.is_ok() {
            told = follow(&mut tailer, &mut seen, 4);
        }
        count(&explored.wrong, told.is_err() || seen != 3);
        count(&explored.by_spare, storage.spares_entered() > 0);
    })
}

/// A turn without a step is broken off and the next one takes its place, while somebody opens the journal.
fn replace(preemptions: u64) -> [u64; 5] {
    explore(preemptions, move |explored| {
        let storage = Loom::new(Planted::Nothing, ROLL_BYTES, true);
        drop(Driven::open(&storage).unwrap());
        let elsewhere = storage.clone();
        let reader = loom::thread::spawn(move || {
            let mut seen = 0;
            let opened = Tailer::open_in(&elsewhere, From::Start, false).map_err(|error| error.to_string());
            opened.and_then(|mut tailer| follow(&mut tailer, &mut seen, 2).map(|()| (tailer, seen)))
        });
        let Driven { mut appender, .. } = Driven::open(&storage).unwrap();
        append(&mut appender, &mut Step::new(), FRAME_BYTES);
        let told = reader.join().unwrap();
        count(&explored.live, matches!(told, Ok((_, 1))));
        let told = told.and_then(|(mut tailer, mut seen)| {
            follow(&mut tailer, &mut seen, 2)?;
            Ok(seen)
        });
        count(&explored.wrong, told != Ok(1));
    })
}

/// The flusher asks for a pad and syncs while the writer appends, and a tailer waits for what is durable.
fn pad(preemptions: u64) -> [u64; 5] {
    explore(preemptions, move |explored| {
        let storage = Loom::new(Planted::Nothing, PAD_BYTES, false);
        let Driven { mut appender, mut flusher, .. } = Driven::open(&storage).unwrap();
        let mut step = Step::new();
        // Three frames before the end of a page.
        append(&mut appender, &mut step, PAGE_BYTES - CONTROL_BYTES - 3 * FRAME_BYTES);
        let mut committed = Tailer::open_in(&storage, From::Sequence(Sequence(2)), false).unwrap();
        let mut durable = Tailer::open_in(&storage, From::Sequence(Sequence(2)), true).unwrap();
        let reader = loom::thread::spawn(move || {
            let mut seen = 1;
            let told = follow(&mut committed, &mut seen, 3);
            (committed, seen, told)
        });
        let syncer = loom::thread::spawn(move || {
            flusher.ask_for_pad();
            flusher.flush();
            flusher
        });
        append(&mut appender, &mut step, FRAME_BYTES);
        append(&mut appender, &mut step, FRAME_BYTES);
        let (mut committed, mut seen, mut told) = reader.join().unwrap();
        let mut flusher = syncer.join().unwrap();
        let watermarks = appender.watermarks();
        let synced = watermarks.durable().0;
        count(&explored.padded, watermarks.statistics().pad_bytes > 0);
        count(&explored.live, synced == 3);
        // The sync frame that is due, and what it says.
        appender.tend().unwrap();
        let mut released = 1;
        let mut released_told = follow(&mut durable, &mut released, 3);
        let is_right = released_told.is_ok() && released == synced;
        flusher.flush();
        appender.tend().unwrap();
        if told.is_ok() {
            told = follow(&mut committed, &mut seen, 3);
        }
        if released_told.is_ok() {
            released_told = follow(&mut durable, &mut released, 3);
        }
        let all = told.is_ok() && released_told.is_ok() && seen == 3 && released == 3;
        count(&explored.wrong, !is_right || !all);
    })
}

#[test]
fn no_order_of_loads_and_stores_tears_a_step_or_loses_one_over_a_roll() {
    let [executions, wrong, by_spare, live, _] = roll(Planted::Nothing, scaled(4, 12));
    assert_eq!(wrong, 0, "of {executions}");
    assert!(by_spare > 0 && by_spare < executions, "{by_spare} of {executions} by the spare's name");
    assert!(live > 0 && live < executions, "{live} of {executions} saw everything live");
}

#[test]
fn no_order_of_loads_and_stores_lets_a_pad_or_a_sync_get_between_the_steps() {
    let [executions, wrong, _, live, padded] = pad(scaled(4, 8));
    assert_eq!(wrong, 0, "of {executions}");
    assert!(padded > 0 && padded < executions, "{padded} of {executions} padded in time");
    assert!(live > 0 && live < executions, "{live} of {executions} synced everything");
}

#[test]
fn no_order_of_loads_and_stores_shows_two_files_as_one_where_a_turn_without_a_step_is_replaced() {
    let [executions, wrong, _, live, _] = replace(scaled(3, 6));
    assert_eq!(wrong, 0, "of {executions}");
    assert!(live > 0 && live < executions, "{live} of {executions} saw everything live");
}

#[test]
fn the_model_finds_a_commit_before_its_bytes_a_commit_without_release_and_a_header_that_comes_late() {
    for planted in [Planted::CommitFirst, Planted::CommitRelaxed, Planted::HeaderLate] {
        let [executions, wrong, ..] = roll(planted, 2);
        assert!(wrong > 0, "{planted:?} was not found in {executions} executions");
    }
}
