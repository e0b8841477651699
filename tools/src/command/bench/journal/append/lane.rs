//! A lane: one row of the append tables on its way, a journal or nothing, driven turn about with the others.

use std::hint::black_box;
use std::time::{Duration, Instant};

use pawl_engine::runtime::Latency;
use pawl_journal::log::{Appender, Durability, JournalError, JournalOptions, JournalStatistics, SealReason};
use pawl_journal::record::{Sequence, Step};

use crate::measure::{Call, Failure, Pace, Stop, Tape, Windows, on_core};
use crate::output::Bar;

use super::super::Plan;
use super::super::filling::check;
use super::super::steps::Steps;

/// In gated mode one step in so many holds an order, and is asked to be made durable now.
pub const STEPS_PER_ORDER: u64 = 1_000;

/// Most calls in one turn of a row that is not paced.
const FLAT_OUT_CALLS_MAX: u64 = 500_000;

/// Longest wait, behind a turn, for what it left to be made durable.
const SETTLE_MAX: Duration = Duration::from_millis(500);

/// How often each lane is driven, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    turns: usize,
    calls: usize,
    rate: Option<u64>,
}

impl Load {
    /// So many calls a second.
    pub fn paced(plan: &Plan) -> Self {
        Self { turns: plan.turns(), calls: plan.calls_per_turn(), rate: Some(plan.rate) }
    }

    /// As fast as it goes.
    pub fn flat_out(plan: &Plan) -> Self {
        let turns = plan.count.div_ceil(FLAT_OUT_CALLS_MAX).max(2);
        Self { turns: turns as usize, calls: (plan.count / turns) as usize, rate: None }
    }

    /// Calls of each lane in all turns.
    pub fn calls(&self) -> u64 {
        (self.turns * self.calls) as u64
    }
}

/// One row on its way.
pub struct Lane {
    /// What the row is called.
    pub name: String,
    /// How the journal is written; none for the baseline.
    pub options: Option<JournalOptions>,
    /// How long each append took.
    pub took: Windows,
    /// How long after its due time it was done.
    pub since_due: Windows,
    /// The appends that a roll fell into.
    pub rolling: Latency,
    /// The others.
    pub steady: Latency,
    /// All turns together.
    pub busy: Duration,
    /// Steps appended.
    pub steps: u64,
    /// What the appender counted.
    pub statistics: JournalStatistics,
    appender: Option<Appender>,
    maker: Steps,
}

impl Lane {
    /// The empty baseline.
    pub fn baseline() -> Self {
        Self {
            name: "baseline: nothing".to_owned(),
            options: None,
            took: Windows::default(),
            since_due: Windows::default(),
            rolling: Latency::new(),
            steady: Latency::new(),
            busy: Duration::ZERO,
            steps: 0,
            statistics: JournalStatistics::default(),
            appender: None,
            maker: Steps::small(),
        }
    }

    /// A new journal. Opened on a thread that is not pinned, so that the appender's own threads are not.
    pub fn journal(plan: &Plan, name: &str, options: JournalOptions) -> anyhow::Result<Self> {
        let dir = plan.place.path(&name.replace([' ', ':', ','], "-"));
        let name = name.to_owned();
        let appender = Some(Appender::create_or_open(&dir, &options)?);
        Ok(Self { name, options: Some(options), appender, ..Self::baseline() })
    }

    /// Whether the mode makes steps durable while they are written.
    pub fn is_synced(&self) -> bool {
        self.options.is_some_and(|it| it.durability != Durability::PageCache)
    }

    /// One turn: calls, then their readings, then rest.
    fn turn(&mut self, load: &Load, tape: &mut Tape, stop: &Stop) -> anyhow::Result<()> {
        let first = self.steps + 1;
        let turn = Turn { load, first, stop };
        let mut rolled = Vec::with_capacity(load.calls / 1_000 + 16);
        tape.rewind();
        let start = Instant::now();
        match &mut self.appender {
            None => {
                let nothing = |step: &Step| {
                    black_box(step);
                    Ok(())
                };
                turn.drive(&mut self.maker, tape, nothing, |_| {})?;
            }
            Some(appender) => {
                let marks = appender.watermarks();
                let gated = self.options.is_some_and(|it| it.durability == Durability::Gated);
                let mut rolls = marks.statistics().rolls;
                turn.drive(
                    &mut self.maker,
                    tape,
                    |step| appender.append(step),
                    |sequence| {
                        // Flat out, a look at the statistics behind every call would be most of the load.
                        if load.rate.is_some() {
                            let now = marks.statistics().rolls;
                            if now != rolls {
                                rolls = now;
                                rolled.push((sequence - first) as usize);
                            }
                        }
                        if gated && sequence.is_multiple_of(STEPS_PER_ORDER) {
                            marks.request(Sequence(sequence));
                        }
                    },
                )?;
            }
        }
        self.busy += start.elapsed();
        self.steps += load.calls as u64;
        self.take(tape, start, &rolled);
        self.settle()
    }

    /// Adds the readings of a turn.
    fn take(&mut self, tape: &Tape, start: Instant, rolled: &[usize]) {
        let calls = tape.calls();
        let at = |call: &Call| call.began.saturating_duration_since(start);
        self.took.stretch(calls.iter().map(|call| (at(call), call.took_ns())));
        self.since_due.stretch(calls.iter().map(|call| (at(call), call.since_due_ns())));
        let mut rolled = rolled.iter().copied().peekable();
        for (index, call) in calls.iter().enumerate() {
            let latency =
                if rolled.next_if_eq(&index).is_some() { &mut self.rolling } else { &mut self.steady };
            latency.record(call.took_ns());
        }
    }

    /// Waits until the turn's steps are durable, where the mode makes them so, lest the next lane pays for it.
    fn settle(&mut self) -> anyhow::Result<()> {
        let synced = self.is_synced();
        let Some(appender) = self.appender.as_mut().filter(|_| synced) else { return Ok(()) };
        let marks = appender.watermarks();
        let last = Sequence(self.steps);
        marks.request(last);
        let began = Instant::now();
        while marks.durable() < last && marks.failure().is_none() && began.elapsed() < SETTLE_MAX {
            appender.tend()?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Seals the journal and checks that it holds what was appended, in as many segments as there were rolls.
    fn finish(&mut self) -> anyhow::Result<()> {
        let Some(mut appender) = self.appender.take() else { return Ok(()) };
        let marks = appender.watermarks();
        appender.seal(SealReason::Ended)?;
        self.statistics = marks.statistics();
        let dir = appender.dir().to_path_buf();
        drop(appender);
        let name = &self.name;
        if let Some(failure) = marks.failure() {
            return Err(Failure::WrongAnswer(format!("`{name}` could not be made durable: {failure}")).into());
        }
        Failure::unless(marks.durable() == Sequence(self.steps), || {
            format!("`{name}` is durable to {} when sealed at {}", marks.durable(), self.steps)
        })?;
        let verified = check(&dir, self.steps, name)?;
        let rolls = self.statistics.rolls;
        Failure::unless(rolls + 1 == verified.segments, || {
            format!("`{name}` counted {rolls} rolls and has {} segments", verified.segments)
        })?;
        std::fs::remove_dir_all(&dir)?;
        Ok(())
    }
}

/// The calls of one turn of one lane.
struct Turn<'a> {
    load: &'a Load,
    first: u64,
    stop: &'a Stop,
}

impl Turn<'_> {
    /// Makes them: `act` inside the timed window, `after` behind it.
    fn drive(
        &self,
        maker: &mut Steps,
        tape: &mut Tape,
        mut act: impl FnMut(&Step) -> Result<(), JournalError>,
        mut after: impl FnMut(u64),
    ) -> anyhow::Result<()> {
        let pace = Pace::new(Instant::now(), self.load.rate);
        for index in 0..self.load.calls {
            self.stop.check()?;
            let sequence = self.first + index as u64;
            let step = maker.make(sequence);
            let due = pace.wait(index);
            let began = Instant::now();
            let done = act(step);
            let ended = Instant::now();
            done?;
            tape.push(Call { due, began, ended });
            after(sequence);
        }
        Ok(())
    }
}

/// Drives the lanes turn about on one core, then seals and checks their journals.
pub fn drive(plan: &Plan, title: &'static str, load: &Load, lanes: &mut [Lane]) -> anyhow::Result<()> {
    let bar = Bar::new(title, (load.turns * lanes.len()) as u64);
    on_core(plan.cores.first(), || -> anyhow::Result<()> {
        let mut tape = Tape::new(load.calls);
        let mut done = 0;
        for _ in 0..load.turns {
            for lane in lanes.iter_mut() {
                bar.set_with(done, lane.name.clone());
                lane.turn(load, &mut tape, &plan.stop)?;
                done += 1;
            }
        }
        Ok(())
    })?;
    lanes.iter_mut().try_for_each(Lane::finish)
}
