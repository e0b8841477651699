//! One turn: an engine that runs for a moment, and what its journal and its venue say of the time.
//!
//! ```text
//!  due --wait--> published --ring--> taken > feature > inference > risk > order --commit--> committed
//!                    |                                                                          |
//!                    +------------------------------- published to order ----------------------+--> order read
//! ```
//!
//! Every tick behind the warm-up counts once, orders or not; every order once, from the tick that made it.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use pawl_engine::runtime::{Clock, Latency, Percentiles, Threading};
use pawl_journal::log::{Durability, Reader};
use pawl_journal::record::{OrderAction, OrderRequest, Sequence, Stamps, StepRef, Tick, Time};
use serde::Serialize;

use crate::command::bench::ticks::Ticks;
use crate::command::bench::work::{Work, session, threading_name};
use crate::config::DurabilityChoice;
use crate::measure::{Failure, Spread, Stop, Windows, on_core};

use super::arrivals::{Arrivals, Schedule};
use super::venue::{Handed, Stamping};

/// Ticks at full speed in front of those that count: windows are full and pages are there then.
const WARM_UP: u64 = 5_000;

/// Ticks behind them: the commit of a step stands in the step after it.
const TAIL: u64 = 1;

/// What is measured in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Ticks a second.
    pub rate: u64,
    /// Which threads there are.
    pub threading: Threading,
    /// When steps are made durable.
    pub durability: Durability,
    /// What the stages have to do.
    pub work: Work,
}

/// The stages of a step's time, in order.
#[derive(Debug, Default)]
struct Stages {
    wait: Latency,
    ring: Latency,
    feature: Latency,
    inference: Latency,
    risk: Latency,
    order: Latency,
    commit: Latency,
}

/// A row on its way.
pub struct Lane {
    pub case: Case,
    ticks: u64,
    orders: u64,
    ring_full: u64,
    stages: Stages,
    published_to_committed: Windows,
    due_to_committed: Windows,
    published_to_order: Windows,
    due_to_order: Windows,
}

/// A row.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub rate_per_second: u64,
    pub threading: String,
    pub durability: String,
    pub work: Work,
    pub ticks: u64,
    pub orders: u64,
    pub ring_full: u64,
    /// Whole run, each stage from the one before it; `wait` from when the tick was due to where it was published.
    pub stages: StageTimes,
    pub published_to_committed: Spread,
    pub due_to_committed: Spread,
    pub published_to_order: Spread,
    pub due_to_order: Spread,
}

/// Percentiles of the stages of a step's time.
#[derive(Debug, Clone, Serialize)]
pub struct StageTimes {
    pub wait: Percentiles,
    pub ring: Percentiles,
    pub feature: Percentiles,
    pub inference: Percentiles,
    pub risk: Percentiles,
    pub order: Percentiles,
    pub commit: Percentiles,
}

impl StageTimes {
    /// All of them with their names.
    pub const fn all(&self) -> [(&'static str, &Percentiles); 7] {
        [
            ("wait", &self.wait),
            ("ring", &self.ring),
            ("feature", &self.feature),
            ("inference", &self.inference),
            ("risk", &self.risk),
            ("order", &self.order),
            ("commit", &self.commit),
        ]
    }
}

/// How long a turn is, and where it writes.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    pub dir: &'a Path,
    pub ticks: &'a Ticks,
    pub length: Duration,
    pub stall: Option<Duration>,
    pub stop: &'a Stop,
}

/// The measurements of a turn, each with the time since the schedule began.
#[derive(Default)]
struct Series {
    published_to_committed: Vec<(Duration, u64)>,
    due_to_committed: Vec<(Duration, u64)>,
    published_to_order: Vec<(Duration, u64)>,
    due_to_order: Vec<(Duration, u64)>,
}

/// A tick whose commit is not known yet.
struct Open {
    since: Duration,
    due: Time,
    received: Time,
    published_ns: u32,
    order_ns: u32,
}

impl Lane {
    /// An empty row.
    pub fn new(case: Case) -> Self {
        Self {
            case,
            ticks: 0,
            orders: 0,
            ring_full: 0,
            stages: Stages::default(),
            published_to_committed: Windows::default(),
            due_to_committed: Windows::default(),
            published_to_order: Windows::default(),
            due_to_order: Windows::default(),
        }
    }

    /// Runs an engine for one turn.
    pub fn turn(&mut self, turn: Turn<'_>) -> anyhow::Result<()> {
        let Case { rate, threading, durability, work } = self.case;
        let count = (rate as f64 * turn.length.as_secs_f64()) as u64;
        let given = WARM_UP + count + TAIL;
        let stall = turn.stall.map(|stall| (WARM_UP + count / 2, stall));
        let schedule = Schedule::new(rate, WARM_UP, work.is_live(), stall);
        let feed = Arrivals::new(turn.ticks.repeated(given as usize), schedule.clone());
        let mut config = work.trading(threading);
        config.journal.durability = DurabilityChoice::This(durability);
        let session = session(config, turn.ticks, feed);
        // On a thread of its own, which the run may pin.
        let (outcome, handed) = on_core(None, || {
            let mut told = None;
            let run = session.begin(turn.dir, turn.stop.flag(), |paper| {
                let (venue, handed) = Stamping::new(paper, given as usize);
                told = Some(handed);
                Box::new(venue)
            })?;
            let outcome = run.drive()?;
            let handed = told.and_then(|told| told.recv().ok()).unwrap_or_default();
            anyhow::Ok((outcome, handed))
        })?;
        turn.stop.check()?;
        self.ring_full += outcome.ring_full;
        self.read(turn.dir, &schedule, count, &outcome.clock, handed)?;
        Ok(std::fs::remove_dir_all(turn.dir)?)
    }

    /// Takes the times of a turn from its journal and its venue.
    fn read(
        &mut self,
        dir: &Path,
        schedule: &Schedule,
        count: u64,
        clock: &Clock,
        handed: Handed,
    ) -> anyhow::Result<()> {
        let start = schedule.start(clock).unwrap_or_default();
        let mut handed: VecDeque<_> = handed.into();
        let mut series = Series::default();
        let (mut open, mut place) = (None, 0);
        let mut reader = Reader::open(dir)?;
        while let Some(frame) = reader.next()? {
            let step = frame.step();
            let Some(stamps) = step.get::<Stamps>() else { continue };
            if let Some(open) = open.take() {
                self.close(&open, stamps, &mut series);
            }
            let tick = step.get::<Tick>().filter(|it| it.source_sequence > schedule.warm_up);
            let due = tick.filter(|it| it.source_sequence <= schedule.warm_up + count).map(|tick| {
                place += 1;
                let since = schedule.due_ns(tick.source_sequence).unwrap_or(0);
                (Duration::from_nanos(since), Time(start.0 + since.cast_signed()))
            });
            if let Some((since, due)) = due {
                open = Some(self.tick(since, due, stamps));
            }
            self.order(step, due, stamps, clock, &mut handed, &mut series)?;
        }
        Failure::unless(place == count, || format!("{place} ticks of {count} are in the journal"))?;
        Failure::unless(handed.is_empty(), || {
            format!("the venue has {} orders that are not in the journal", handed.len())
        })?;
        self.ticks += count;
        self.published_to_committed.stretch(series.published_to_committed.into_iter());
        self.due_to_committed.stretch(series.due_to_committed.into_iter());
        self.published_to_order.stretch(series.published_to_order.into_iter());
        self.due_to_order.stretch(series.due_to_order.into_iter());
        Ok(())
    }

    /// Takes the stages of a tick that counts.
    fn tick(&mut self, since: Duration, due: Time, stamps: &Stamps) -> Open {
        let published = stamps.received.0 + i64::from(stamps.published_ns);
        self.stages.wait.record(since_time(due, Time(published)));
        let mut from = stamps.published_ns;
        for (stage, until) in [
            (&mut self.stages.ring, stamps.taken_ns),
            (&mut self.stages.feature, stamps.feature_ns),
            (&mut self.stages.inference, stamps.inference_ns),
            (&mut self.stages.risk, stamps.risk_ns),
            (&mut self.stages.order, stamps.order_ns),
        ] {
            stage.record(u64::from(until.saturating_sub(from)));
            from = until;
        }
        let Stamps { received, published_ns, order_ns, .. } = *stamps;
        Open { since, due, received, published_ns, order_ns }
    }

    /// Takes the commit of a tick from the step behind it.
    fn close(&mut self, open: &Open, next: &Stamps, series: &mut Series) {
        let committed_ns = next.committed_before_ns;
        self.stages.commit.record(u64::from(committed_ns.saturating_sub(open.order_ns)));
        let committed = Time(open.received.0 + i64::from(committed_ns));
        let published = u64::from(committed_ns.saturating_sub(open.published_ns));
        series.published_to_committed.push((open.since, published));
        series.due_to_committed.push((open.since, since_time(open.due, committed)));
    }

    /// Takes the way of the new order of a step, if it has one.
    fn order(
        &mut self,
        step: StepRef<'_>,
        due: Option<(Duration, Time)>,
        stamps: &Stamps,
        clock: &Clock,
        handed: &mut VecDeque<(Sequence, pawl_engine::runtime::Instant)>,
        series: &mut Series,
    ) -> anyhow::Result<()> {
        if !step.has_orders() || !step.all::<OrderRequest>().any(|it| it.action == OrderAction::NEW) {
            return Ok(());
        }
        let (sequence, mut first) = (step.sequence(), None);
        while let Some((of, at)) = handed.front().copied()
            && of == sequence
        {
            first.get_or_insert(at);
            handed.pop_front();
        }
        let Some(at) = first else {
            let next = handed.front().map(|(of, _)| of);
            return Err(Failure::WrongAnswer(format!(
                "the order of step {sequence} never came to the venue, whose next is of {next:?}"
            ))
            .into());
        };
        if let Some((since, due)) = due {
            let at = clock.unix(at);
            let published = Time(stamps.received.0 + i64::from(stamps.published_ns));
            series.published_to_order.push((since, since_time(published, at)));
            series.due_to_order.push((since, since_time(due, at)));
            self.orders += 1;
        }
        Ok(())
    }

    /// The histograms of the row, by the ends of their names.
    pub const fn histograms(&self) -> [(&'static str, &Latency); 4] {
        [
            ("published-to-order", self.published_to_order.all()),
            ("due-to-order", self.due_to_order.all()),
            ("published-to-committed", self.published_to_committed.all()),
            ("due-to-committed", self.due_to_committed.all()),
        ]
    }

    /// The row.
    pub fn row(&self) -> Row {
        let Case { rate, threading, durability, work } = self.case;
        let Stages { wait, ring, feature, inference, risk, order, commit } = &self.stages;
        Row {
            rate_per_second: rate,
            threading: threading_name(threading),
            durability: durability.to_string(),
            work,
            ticks: self.ticks,
            orders: self.orders,
            ring_full: self.ring_full,
            stages: StageTimes {
                wait: wait.percentiles(),
                ring: ring.percentiles(),
                feature: feature.percentiles(),
                inference: inference.percentiles(),
                risk: risk.percentiles(),
                order: order.percentiles(),
                commit: commit.percentiles(),
            },
            published_to_committed: self.published_to_committed.spread(),
            due_to_committed: self.due_to_committed.spread(),
            published_to_order: self.published_to_order.spread(),
            due_to_order: self.due_to_order.spread(),
        }
    }
}

/// Nanoseconds from one time to a later one; 0 if it is not later.
fn since_time(from: Time, to: Time) -> u64 {
    to.0.saturating_sub(from.0).max(0).cast_unsigned()
}
