//! `Ahead`: a feed that is read on a thread of its own, some thousand ticks before they are taken.
//!
//! ```text
//!  reader thread   feed --> batch --> [ full, bounded ] ---> batch in hand --> next()   whoever takes
//!                            ^------- [ empty ] <-----------------'
//! ```
//!
//! Ticks, their order and the error behind them are those of the feed it reads; the name is that of the last tick of the
//! batch in hand, and the progress goes from batch to batch as its ticks are taken. A batch is handed over whole: a tick costs whoever takes it a load from a slice, and every
//! so many of them a word to the other thread.
//!
//! Invariants: there are never more than [`BATCHES`] batches, and nothing is allocated behind them; once the feed has
//! ended or failed there is no further tick; when an `Ahead` is dropped its thread ends with the batch it is filling (it
//! is not waited for: a pipe may keep it for ever).

use std::panic::resume_unwind;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use pawl_engine::port::{Feed, FeedError, FeedTick};

use super::take_to;

/// Ticks that are handed over at once: 112 KiB, less than a core's second-level cache.
const BATCH_TICKS: usize = 2_048;

/// Batches there are: the one in hand, the one being filled, and two that wait.
const BATCHES: usize = 4;

/// A feed that is read on a thread of its own. It begins to read ahead when the first tick is taken; skipping before
/// that goes straight to the feed.
pub struct Ahead {
    feed: Source,
    batch: Batch,
    /// How far the feed was where the batch in hand begins.
    from: Option<f64>,
    /// The next tick of the batch in hand.
    at: usize,
    /// Place of the tick that was taken last.
    reached: u64,
}

enum Source {
    /// Not begun: the feed itself.
    Here(Box<dyn Feed>),
    /// With its thread.
    There { full: Receiver<Batch>, empty: Sender<Batch>, reader: JoinHandle<()> },
    /// Read to its end.
    Over,
}

/// Some ticks in a row, and how it stood behind them.
#[derive(Default)]
struct Batch {
    ticks: Vec<FeedTick>,
    name: String,
    progress: Option<f64>,
    /// How the feed ended behind them, if it did.
    end: Option<Result<(), FeedError>>,
}

impl Batch {
    fn look_at(&mut self, feed: &dyn Feed) {
        if self.name != feed.name() {
            feed.name().clone_into(&mut self.name);
        }
        self.progress = feed.progress();
    }

    fn fill(&mut self, feed: &mut dyn Feed) {
        self.ticks.clear();
        while self.end.is_none() && self.ticks.len() < BATCH_TICKS {
            match feed.next() {
                Ok(Some(tick)) => self.ticks.push(tick),
                Ok(None) => self.end = Some(Ok(())),
                Err(error) => self.end = Some(Err(error)),
            }
        }
        self.look_at(feed);
    }
}

impl Ahead {
    /// Reads this feed ahead, as soon as its first tick is taken.
    #[must_use]
    pub fn of(feed: Box<dyn Feed>) -> Self {
        let mut batch = Batch::default();
        batch.look_at(&*feed);
        let from = batch.progress;
        Self { feed: Source::Here(feed), batch, from, at: 0, reached: 0 }
    }

    /// Takes the first tick here, and starts the thread for those behind it.
    fn begin(&mut self, mut feed: Box<dyn Feed>) -> Result<Option<FeedTick>, FeedError> {
        let first = feed.next()?;
        self.batch.look_at(&*feed);
        self.from = self.batch.progress;
        if let Some(tick) = &first {
            self.reached = tick.source_sequence;
            let (full, taken) = bounded(BATCHES);
            let (empty, given) = bounded(BATCHES);
            // One more is in hand already.
            for _ in 1..BATCHES {
                let batch = Batch { ticks: Vec::with_capacity(BATCH_TICKS), ..Batch::default() };
                // There is room for all of them.
                let _ = empty.try_send(batch);
            }
            let name = feed.name().to_owned();
            let read = move || {
                while let Ok(mut batch) = given.recv() {
                    batch.fill(&mut *feed);
                    let is_last = batch.end.is_some();
                    if full.send(batch).is_err() || is_last {
                        return;
                    }
                }
            };
            let reader =
                Builder::new().name("pawl-reader".to_owned()).spawn(read).map_err(|error| FeedError {
                    message: format!("{name}: cannot start the thread that reads it: {error}"),
                    environment: true,
                })?;
            self.batch.ticks.reserve_exact(BATCH_TICKS);
            self.feed = Source::There { full: taken, empty, reader };
        }
        Ok(first)
    }

    /// Goes on to the next batch.
    #[cold]
    fn turn(&mut self) -> Result<Option<FeedTick>, FeedError> {
        loop {
            if let Some(end) = self.batch.end.take() {
                self.feed = Source::Over;
                return end.map(|()| None);
            }
            match std::mem::replace(&mut self.feed, Source::Over) {
                Source::Over => return Ok(None),
                Source::Here(feed) => return self.begin(feed),
                Source::There { full, empty, reader } => match full.recv() {
                    Ok(batch) => {
                        let emptied = std::mem::replace(&mut self.batch, batch);
                        self.from = emptied.progress;
                        // A reader that is through needs none any more.
                        let _ = empty.try_send(emptied);
                        self.at = 0;
                        self.feed = Source::There { full, empty, reader };
                    }
                    // It ends without a last batch only by a panic, which is told here as if it had come here.
                    Err(_) => match reader.join() {
                        Err(panic) => resume_unwind(panic),
                        Ok(()) => return Ok(None),
                    },
                },
            }
            if let Some(tick) = self.take() {
                return Ok(Some(tick));
            }
        }
    }

    #[inline]
    fn take(&mut self) -> Option<FeedTick> {
        let tick = *self.batch.ticks.get(self.at)?;
        self.at += 1;
        self.reached = tick.source_sequence;
        Some(tick)
    }
}

impl Feed for Ahead {
    #[inline]
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        match self.take() {
            Some(tick) => Ok(Some(tick)),
            None => self.turn(),
        }
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        match &mut self.feed {
            Source::Here(feed) => {
                let skipped = feed.skip_to(source_sequence);
                self.batch.look_at(&**feed);
                self.from = self.batch.progress;
                skipped
            }
            Source::There { .. } | Source::Over => {
                let reached = self.reached;
                take_to(self, reached, source_sequence)
            }
        }
    }

    fn name(&self) -> &str {
        &self.batch.name
    }

    fn progress(&self) -> Option<f64> {
        let (from, to) = (self.from?, self.batch.progress?);
        let taken =
            if self.batch.ticks.is_empty() { 1.0 } else { self.at as f64 / self.batch.ticks.len() as f64 };
        Some(from + (to - from) * taken)
    }
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ahead")
            .field("name", &self.batch.name)
            .field("reached", &self.reached)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pawl_journal::record::Time;
    use proptest::prelude::*;

    use super::super::Memory;
    use super::*;

    fn ticks(count: usize) -> Vec<FeedTick> {
        (0..count as i64).map(|time| FeedTick { time: Time(time), ..FeedTick::default() }).collect()
    }

    /// Some ticks, then an end, an error or a panic; its name says how many were taken.
    struct Ending {
        inner: Memory,
        name: String,
        then: fn() -> Result<Option<FeedTick>, FeedError>,
        held: Arc<()>,
    }

    impl Ending {
        fn new(count: usize, then: fn() -> Result<Option<FeedTick>, FeedError>) -> Self {
            Self {
                inner: Memory::new("inner", ticks(count)),
                name: "0".to_owned(),
                then,
                held: Arc::default(),
            }
        }
    }

    impl Feed for Ending {
        fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
            let Some(tick) = self.inner.next()? else { return (self.then)() };
            self.name = tick.source_sequence.to_string();
            Ok(Some(tick))
        }

        fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
            self.inner.skip_to(source_sequence)?;
            self.name = source_sequence.to_string();
            Ok(())
        }

        fn name(&self) -> &str {
            &self.name
        }

        fn progress(&self) -> Option<f64> {
            self.inner.progress()
        }
    }

    fn failed() -> Result<Option<FeedTick>, FeedError> {
        Err(FeedError { message: "day.csv:7: no more".to_owned(), environment: false })
    }

    /// Every place that is taken, and the error behind them.
    fn all(feed: &mut dyn Feed) -> (Vec<u64>, Option<String>) {
        let mut taken = Vec::new();
        loop {
            match feed.next() {
                Ok(Some(tick)) => taken.push(tick.source_sequence),
                Ok(None) => return (taken, None),
                Err(error) => return (taken, Some(error.message)),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn ticks_and_the_end_behind_them_are_those_of_the_feed(
            count in 0..4 * BATCH_TICKS, fails in any::<bool>(), skipped in 0..3 * BATCH_TICKS as u64, taken in 0..3_usize,
        ) {
            let then = if fails { failed } else { || Ok(None) };
            let (mut here, mut ahead) = (Ending::new(count, then), Ahead::of(Box::new(Ending::new(count, then))));
            for _ in 0..taken {
                prop_assert_eq!(here.next().ok(), ahead.next().ok());
            }
            let (a, b) = (here.skip_to(skipped), ahead.skip_to(skipped));
            if a.is_ok() {
                prop_assert!(b.is_ok());
                prop_assert_eq!(all(&mut here), all(&mut ahead));
                prop_assert_eq!(ahead.next().ok(), Some(None), "it is over");
                prop_assert!(count == 0 || ahead.progress() == Some(1.0));
            } else {
                prop_assert!(b.is_err());
            }
        }
    }

    #[test]
    fn progress_is_that_of_the_ticks_taken_and_not_of_those_read_ahead() {
        let count = 3 * BATCH_TICKS + 100;
        let (mut here, mut ahead) =
            (Ending::new(count, || Ok(None)), Ahead::of(Box::new(Ending::new(count, || Ok(None)))));
        for _ in 0..count {
            here.next().expect("readable");
            ahead.next().expect("readable");
            let (here, ahead) = (here.progress().expect("known"), ahead.progress().expect("known"));
            assert!((here - ahead).abs() < 1e-9, "{ahead} where {here} is done");
        }
    }

    #[test]
    fn exactly_as_many_as_a_batch_holds_are_all_there() {
        for count in [1, BATCH_TICKS, BATCH_TICKS + 1, BATCH_TICKS + 2, BATCHES * BATCH_TICKS + 1] {
            let mut ahead = Ahead::of(Box::new(Ending::new(count, failed)));
            let (taken, error) = all(&mut ahead);
            assert_eq!((taken.len(), error.as_deref()), (count, Some("day.csv:7: no more")));
            assert!(ahead.next().expect("over").is_none());
        }
    }

    #[test]
    fn the_first_tick_behind_a_skip_is_told_under_its_own_name() {
        let mut ahead = Ahead::of(Box::new(Ending::new(3 * BATCH_TICKS, || Ok(None))));
        assert_eq!(ahead.name(), "0");
        ahead.skip_to(5_000).expect("there");
        assert_eq!(ahead.name(), "5000");
        assert_eq!(ahead.next().expect("readable").expect("a tick").source_sequence, 5_001);
        assert_eq!(ahead.name(), "5001");
        ahead.skip_to(6_000).expect("there");
        assert_eq!(ahead.next().expect("readable").expect("a tick").source_sequence, 6_001);
        let error = ahead.skip_to(9_000).expect_err("too far").message;
        assert!(error.contains("after tick 9000") && error.contains("ends after tick 6144"), "{error}");
    }

    #[test]
    fn the_reader_ends_when_nobody_takes_any_more() {
        for taken in [0, 1, 2, BATCH_TICKS + 5] {
            let feed = Ending::new(100 * BATCH_TICKS, || Ok(None));
            let held = Arc::clone(&feed.held);
            let mut ahead = Ahead::of(Box::new(feed));
            for _ in 0..taken {
                ahead.next().expect("readable");
            }
            drop(ahead);
            // The thread holds the feed; a thread that went on would keep this waiting for ever.
            while Arc::strong_count(&held) > 1 {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_reader_that_panics_panics_where_its_ticks_are_taken() {
        let mut ahead = Ahead::of(Box::new(Ending::new(10, || panic!("out of range"))));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| all(&mut ahead)));
        assert_eq!(panic.expect_err("it is not swallowed").downcast_ref::<&str>(), Some(&"out of range"));
    }
}
