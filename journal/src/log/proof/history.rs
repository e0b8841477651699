//! The history: turns of one writer on a simulated machine, everything in it drawn from a seed.
//!
//! ```text
//!  turn: open > append, tend, supply, finish, pad, flush, digest, poll ... > seal | leave | die
//! ```
//!
//! Invariants: the same seed gives the same history; whatever the machine's images show is checked before the
//! history goes on.

use std::sync::Arc;
use std::time::Duration;

use super::check::{Check, read};
use super::picture::picture;
use super::random::Random;
use super::{Violation, hold};
use crate::log::appender::{Appender, SealReason};
use crate::log::background::Background;
use crate::log::error::JournalError;
use crate::log::options::{Durability, JournalOptions};
use crate::log::region::PAGE_BYTES;
use crate::log::storage::machine::{Call, Death, Image, Imaging, Machine};
use crate::log::storage::simulated::Simulated;
use crate::log::tailer::{From, Tailer};
use crate::record::{RunEnded, STEP_HEADER_BYTES, Sequence, Step, Time};

/// What histories are like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// When to take images.
    pub(super) imaging: Imaging,
    /// Most turns.
    pub(super) turns: usize,
    /// Most pieces of work in a turn.
    pub(super) work: usize,
    /// How often an image may die again while it recovers.
    pub(super) depth: usize,
    /// Whether all steps end with their pages; they do now and then if not.
    pub(super) is_paged: bool,
    /// Whether calls fail.
    pub(super) is_failing: bool,
}

/// Bytes of the payload of steps.
#[derive(Debug, Clone, Copy)]
enum Sizes {
    Same(usize),
    Mixed,
    Large,
    /// Up to the end of a page, so that what is lost is whole steps.
    Paged,
}

/// A tailer of the history's machine, and what it has given.
#[derive(Debug)]
struct Watch {
    tailer: Tailer<Simulated>,
    is_durable: bool,
    given: usize,
}

/// A history that is being made.
pub(super) struct History {
    plan: Plan,
    random: Random,
    storage: Simulated,
    options: JournalOptions,
    sizes: Sizes,
    step: Step,
    watches: Vec<Watch>,
    /// An image to go on from, should the machine die.
    candidate: Option<Image>,
    images: u64,
    /// The watermark when something failed for good.
    frozen: Option<u64>,
}

/// Bytes of a step without its payload.
const STEP_BYTES: usize = STEP_HEADER_BYTES + 8 + size_of::<RunEnded>();

/// Whether a turn goes on.
#[derive(Debug, PartialEq, Eq)]
enum Goes {
    On,
    /// Something failed, as it was told to.
    Failed,
}

/// Makes one step of this size and puts its frame, without the commit word, into the account.
pub(super) fn build(
    step: &mut Step,
    random: &mut Random,
    sequence: u64,
    time: i64,
    bytes: usize,
) -> Arc<[u8]> {
    step.begin(Sequence(sequence), Time(time));
    let mut tail = vec![0; bytes];
    tail.chunks_mut(8).for_each(|word| {
        let random = random.next().to_le_bytes();
        word.copy_from_slice(&random[..word.len()]);
    });
    step.push_with_tail(&RunEnded::default(), &tail);
    step.bytes()[8..].into()
}

/// Opens the journal for writing, with nobody at work in the background.
pub(super) fn open(
    storage: &Simulated,
    options: &JournalOptions,
) -> Result<Appender<Simulated>, JournalError> {
    Appender::open_in(storage.clone(), options, |supplier, flusher, _, _| {
        Ok(Background::Inline { supplier, flusher })
    })
}

/// Whether an error is what a failing call may lead to.
fn is_typed(error: &JournalError) -> bool {
    matches!(
        error,
        JournalError::SyncFailed { .. }
            | JournalError::DiskFull { .. }
            | JournalError::Io { .. }
            | JournalError::NotWritable { .. }
    )
}

impl History {
    /// Makes the history of a seed. Gives the number of its images.
    pub(super) fn run(plan: Plan, seed: u64) -> Result<u64, Violation> {
        let mut random = Random::new(seed);
        let machine = Machine::new(random.fork());
        let durability = random.pick(&[
            Durability::PageCache,
            Durability::Async(Duration::from_millis(5)),
            Durability::Gated,
            Durability::Gated,
        ]);
        let sizes = match random.below(5) {
            _ if plan.is_paged => Sizes::Paged,
            0 => Sizes::Paged,
            1 => Sizes::Same(random.pick(&[40, 1000, 4096 - 72, 20_000, 60_000])),
            2 => Sizes::Mixed,
            _ => Sizes::Large,
        };
        let mut history = Self {
            plan,
            random,
            storage: Simulated::new(machine),
            options: JournalOptions { segment_bytes: JournalOptions::SEGMENT_BYTES_MIN, durability },
            sizes,
            step: Step::new(),
            watches: Vec::new(),
            candidate: None,
            images: 0,
            frozen: None,
        };
        let turns = 1 + history.random.below(plan.turns);
        for turn in 0..turns {
            history.turn().map_err(|violation| format!("{violation}, in turn {turn}"))?;
        }
        Ok(history.images)
    }

    fn turn(&mut self) -> Result<(), Violation> {
        self.storage.machine().imaging = self.plan.imaging;
        self.candidate = None;
        self.frozen = None;
        if self.plan.is_failing {
            let call = self.random.pick(&[
                Call::Create,
                Call::Put,
                Call::Rename,
                Call::Sync,
                Call::Sync,
                Call::SyncNames,
            ]);
            let before = self.random.below(if call == Call::Create { 4 } else { 12 });
            self.storage.machine().failing = Some((call, before));
        }
        let Some(mut appender) = self.open()? else { return Ok(()) };
        self.watch()?;
        let count = self.random.below(self.plan.work) + 1;
        for _ in 0..count {
            let goes = self.work(&mut appender)?;
            self.judge(None)?;
            if goes == Goes::Failed {
                break;
            }
        }
        self.end(appender)
    }

    /// Opens the journal; `None` if a call failed, as it was told to.
    fn open(&mut self) -> Result<Option<Appender<Simulated>>, Violation> {
        let account = self.storage.machine().account.clone();
        let opened = open(&self.storage, &self.options);
        let has_failed = self.has_failed();
        let appender = match opened {
            Ok(appender) => appender,
            Err(error) if has_failed && is_typed(&error) => {
                self.judge(None)?;
                return Ok(None);
            }
            Err(error) => {
                return Err(format!("the next writer is refused: {error}, of{}", picture(&self.storage)));
            }
        };
        let last = appender.recovered().last_sequence.0 as usize;
        let range = account.committed..=account.steps.len();
        hold!(range.contains(&last), "{last} steps are recovered instead of {range:?}");
        self.storage.machine().account.recovered(last, Some(appender.watermarks()));
        self.judge(Some(last))?;
        Ok(Some(appender))
    }

    /// Whether the call that was to fail has failed.
    fn has_failed(&self) -> bool {
        self.plan.is_failing && self.storage.machine().failing.is_none()
    }

    /// Judges the images that were taken, one of which the history may go on from.
    fn judge(&mut self, recovered: Option<usize>) -> Result<(), Violation> {
        for image in self.storage.take_images() {
            if self.candidate.is_none() || self.random.chance(100) {
                self.candidate = Some(image.copy());
            }
            self.images += Check::of(image, self.plan.depth, recovered)?;
        }
        Ok(())
    }

    fn work(&mut self, appender: &mut Appender<Simulated>) -> Result<Goes, Violation> {
        let before = appender.watermarks().durable().0;
        let goes = match self.random.below(16) {
            0..=6 => self.append(appender)?,
            7 => {
                let count = self.random.below(12);
                let mut goes = Goes::On;
                for _ in 0..count {
                    goes = self.append(appender)?;
                    self.judge(None)?;
                    if goes == Goes::Failed {
                        break;
                    }
                }
                goes
            }
            8 => {
                let tended = appender.tend();
                self.allowed(tended)?
            }
            9 => {
                appender.background().hurry();
                Goes::On
            }
            10 | 11 => {
                self.poll()?;
                Goes::On
            }
            kind => {
                if let Background::Inline { flusher, .. } = appender.background() {
                    match kind {
                        12 => flusher.ask_for_pad(),
                        13 if self.options.durability != Durability::PageCache => flusher.flush(),
                        13 | 14 => drop(flusher.finish()),
                        _ => drop(flusher.digest()),
                    }
                }
                Goes::On
            }
        };
        self.check_watermarks(appender, before)?;
        Ok(goes)
    }

    /// A failure is final: the watermark moves neither with it nor behind it.
    fn check_watermarks(&mut self, appender: &Appender<Simulated>, before: u64) -> Result<(), Violation> {
        let watermarks = appender.watermarks();
        let durable = watermarks.durable().0;
        hold!(durable >= before, "the watermark goes back from {before} to {durable}");
        if watermarks.failure().is_some() {
            hold!(self.has_failed(), "the journal has failed by itself: {:?}", watermarks.failure());
            let frozen = *self.frozen.get_or_insert(before);
            hold!(durable == frozen, "the watermark moves from {frozen} to {durable} behind a failure");
        }
        hold!(durable < appender.next_sequence().0, "step {durable} is durable and was never appended");
        Ok(())
    }

    /// What an error of the writer means here.
    fn allowed(&self, result: Result<(), JournalError>) -> Result<Goes, Violation> {
        match result {
            Ok(()) => Ok(Goes::On),
            Err(error) if self.has_failed() && is_typed(&error) => Ok(Goes::Failed),
            Err(error) => Err(format!("the writer fails: {error}")),
        }
    }

    fn append(&mut self, appender: &mut Appender<Simulated>) -> Result<Goes, Violation> {
        let bytes = match self.sizes {
            Sizes::Same(bytes) => bytes,
            Sizes::Mixed => match self.random.below(3) {
                0 => self.random.below(300),
                1 => self.random.below(9000),
                _ => self.random.below(65_000),
            },
            Sizes::Paged => {
                let rest = PAGE_BYTES - (appender.offset() + STEP_BYTES) % PAGE_BYTES;
                rest + self.random.pick(&[0, 0, 0, PAGE_BYTES])
            }
            Sizes::Large => 30_000 + self.random.below(35_000),
        };
        let sequence = appender.next_sequence().0;
        let time = appender.last_time().0 + self.random.below(3) as i64;
        let frame = build(&mut self.step, &mut self.random, sequence, time, bytes);
        self.storage.machine().account.steps.push(frame);
        let appended = appender.append(&self.step);
        let is_frozen = self.frozen.is_some();
        let mut machine = self.storage.machine();
        if appended.is_ok() {
            hold!(!is_frozen, "step {sequence} is appended behind a failure");
            machine.account.committed += 1;
        } else {
            machine.account.steps.pop();
        }
        drop(machine);
        self.allowed(appended)
    }

    /// Begins to follow the journal.
    fn watch(&mut self) -> Result<(), Violation> {
        self.watches.retain(|_| false);
        for is_durable in [false, true] {
            let tailer = Tailer::open_in(&self.storage, From::Start, is_durable)
                .map_err(|error| format!("a tailer cannot open: {error}"))?;
            self.watches.push(Watch { tailer, is_durable, given: 0 });
        }
        Ok(())
    }

    /// Follows the journal to its end.
    fn poll(&mut self) -> Result<(), Violation> {
        for watch in &mut self.watches {
            let account = self.storage.machine().account.clone();
            watch.given += read(&mut watch.tailer, watch.given, &account.steps)?;
            let bound = if watch.is_durable { account.durable() } else { account.committed };
            if watch.is_durable && self.plan.is_failing {
                // A seal says so that could not be made durable itself.
                self.storage.machine().account.told = watch.given;
                continue;
            }
            hold!(watch.given <= bound, "a tailer has given {} steps of {bound}", watch.given);
            hold!(
                watch.is_durable || watch.given == bound,
                "a tailer gives {} steps of {bound}",
                watch.given
            );
        }
        Ok(())
    }

    /// Ends the turn.
    fn end(&mut self, mut appender: Appender<Simulated>) -> Result<(), Violation> {
        let kind = self.random.below(4);
        if kind == 0 {
            let reason = self.random.pick(&[SealReason::Ended, SealReason::Failed]);
            let sealed = appender.seal(reason);
            let all = appender.next_sequence().0 - 1;
            match self.allowed(sealed)? {
                Goes::On => {
                    hold!(self.frozen.is_none(), "sealed behind a failed sync");
                    hold!(appender.watermarks().durable().0 == all, "sealed, and not all is durable");
                }
                Goes::Failed => {
                    hold!(appender.watermarks().durable().0 <= all, "what was never appended is durable");
                }
            }
        }
        if kind <= 1 {
            self.poll()?;
            drop(appender);
            self.storage.machine().account.settle();
            return self.judge(None);
        }
        // It dies: at the end of the turn, or somewhere in it.
        self.watches.clear();
        match self.candidate.take().filter(|_| kind == 3) {
            Some(image) => self.storage = Simulated::new(image.machine),
            None => {
                let death = self.random.pick(&[Death::Process, Death::Machine, Death::Machine]);
                self.die(death);
            }
        }
        drop(appender);
        Ok(())
    }

    /// Goes on with what is left when something dies now.
    fn die(&mut self, death: Death) {
        drop(self.storage.take_images());
        let mut machine = self.storage.machine();
        machine.take_image(death);
        let next = machine.images.pop().map(|image| image.machine);
        drop(machine);
        self.storage = Simulated::new(next.expect("an image"));
    }
}
