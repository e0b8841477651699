//! `Handover`: how long after something is given by one thread others have it.
//!
//! ```text
//!  writer, pinned ---- what is measured ----> 1 or more readers that poll, each on a core of its own
//! ```
//!
//! Things are numbers that go up by one. Readers that share a core, where there are too few, give it up after an empty
//! poll. The floor of every handover is one cache line ([`Handover::cache_line`]): what the machine itself takes.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::{Call, Cores, Failure, Pace, Reading, Stop, Tape, on_core, pin_if};

/// Longest time without anything new after which a reader gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Empty polls between two looks at the clock.
const POLLS_PER_LOOK: u64 = 1 << 16;

/// The writer's side.
pub trait Give: Send {
    /// Called before the thing is due: what does not count.
    fn prepare(&mut self, _number: u64) {}

    /// Gives the thing.
    fn give(&mut self, number: u64) -> anyhow::Result<()>;
}

impl<F: FnMut(u64) -> anyhow::Result<()> + Send> Give for F {
    fn give(&mut self, number: u64) -> anyhow::Result<()> {
        self(number)
    }
}

/// One turn of handing over.
#[derive(Debug, Clone, Copy)]
pub struct Handover<'a> {
    /// The writer's core and the readers'.
    pub cores: &'a Cores,
    /// The operator's wish to end.
    pub stop: &'a Stop,
    /// Things a second; none is as fast as they are taken.
    pub rate: Option<u64>,
    /// How many things.
    pub count: usize,
    /// The number of the first.
    pub first: u64,
}

/// When each thing was given, and for each reader when it had seen it.
#[derive(Debug)]
pub struct Handed {
    /// The writer's calls.
    pub calls: Vec<Call>,
    /// The readings of each reader, one per call.
    pub seen: Vec<Vec<Reading>>,
}

impl Handed {
    /// When each call was made, from the first on.
    pub fn times(&self) -> impl Iterator<Item = Duration> {
        self.calls.iter().map(|call| call.began.saturating_duration_since(self.calls[0].began))
    }
}

/// A cache line with nothing else on it, nor on the one the processor fetches beside it.
#[repr(align(128))]
struct Line(AtomicU64);

/// Tells the readers that the writer is gone, whatever way it went.
struct Gone<'a>(&'a AtomicBool);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Handover<'_> {
    /// The floor: one cache line, handed to so many readers. Numbers begin at 1 then.
    pub fn cache_line(&self, readers: usize) -> anyhow::Result<Handed> {
        let line = Line(AtomicU64::new(0));
        let give = |number: u64| {
            line.0.store(number, Ordering::Release);
            Ok(())
        };
        let take = || {
            Ok(match line.0.load(Ordering::Acquire) {
                0 => None,
                newest => Some(newest),
            })
        };
        Self { first: 1, ..*self }.run(give, (0..readers).map(|_| take).collect())
    }

    /// Gives everything, and takes it with every reader. What a `take` gives is the newest number that is visible.
    ///
    /// # Errors
    /// Those of both sides, the writer's first; or if a reader waits in vain.
    pub fn run<T>(&self, give: impl Give, takes: Vec<T>) -> anyhow::Result<Handed>
    where
        T: FnMut() -> anyhow::Result<Option<u64>> + Send,
    {
        let (ready, gone) = (Barrier::new(takes.len() + 1), AtomicBool::new(false));
        let shared = self.cores.are_shared_by(takes.len());
        std::thread::scope(|scope| {
            let readers: Vec<_> = takes
                .into_iter()
                .enumerate()
                .map(|(index, take)| {
                    let (ready, gone) = (&ready, &gone);
                    let core = self.cores.reader(index);
                    scope.spawn(move || {
                        pin_if(core);
                        self.read(take, shared, ready, gone)
                    })
                })
                .collect();
            let calls = on_core(self.cores.first(), || self.write(give, &ready, &gone));
            let seen: Vec<anyhow::Result<_>> = readers
                .into_iter()
                .map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect();
            // The writer's failure is why the readers saw too little, so it comes first.
            Ok(Handed { calls: calls?, seen: seen.into_iter().collect::<anyhow::Result<_>>()? })
        })
    }

    fn write(&self, mut give: impl Give, ready: &Barrier, gone: &AtomicBool) -> anyhow::Result<Vec<Call>> {
        let _gone = Gone(gone);
        let mut tape = Tape::new(self.count);
        ready.wait();
        let pace = Pace::new(Instant::now(), self.rate);
        for index in 0..self.count {
            self.stop.check()?;
            let number = self.first + index as u64;
            give.prepare(number);
            let due = pace.wait(index);
            let began = Instant::now();
            give.give(number)?;
            tape.push(Call { due, began, ended: Instant::now() });
        }
        Ok(tape.calls().to_vec())
    }

    fn read(
        &self,
        mut take: impl FnMut() -> anyhow::Result<Option<u64>>,
        shared: bool,
        ready: &Barrier,
        gone: &AtomicBool,
    ) -> anyhow::Result<Vec<Reading>> {
        let mut seen = vec![Instant::now(); self.count];
        let (mut have, mut empty) = (0, 0_u64);
        ready.wait();
        let mut last = Instant::now();
        while have < self.count {
            match take()? {
                Some(newest) if newest >= self.first + have as u64 => {
                    last = Instant::now();
                    empty = 0;
                    let upto = (newest + 1 - self.first) as usize;
                    let fresh = seen.get_mut(have..upto).context("a reader saw more than was written")?;
                    fresh.fill(last);
                    have = upto;
                }
                _ => {
                    empty += 1;
                    if shared {
                        std::thread::yield_now();
                    } else {
                        std::hint::spin_loop();
                    }
                    let looked = empty.is_multiple_of(POLLS_PER_LOOK);
                    if looked {
                        self.stop.check()?;
                    }
                    let patience = if gone.load(Ordering::Relaxed) { PATIENCE / 10 } else { PATIENCE };
                    if looked && last.elapsed() > patience {
                        bail!(Failure::WrongAnswer(format!(
                            "a reader saw {have} of {} things, then none",
                            self.count
                        )));
                    }
                }
            }
        }
        Ok(seen)
    }
}
