//! How long does a restarted engine take to come to where it was?
//!
//! Topology: one pinned thread; what `pawl run` does with an existing journal before its first new input: the twin of
//! pipeline, intake and venue follows every step, or begins at the newest snapshot. The newest snapshot lies a whole
//! interval behind the end, as if the run had died in front of the next one: the worst case. The baseline is the reader
//! alone. Opening the journal to write is measured by `pawl bench journal`. A regression here is one of every restart.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use pawl_engine::snapshot::Snapshots;
use pawl_journal::log::Reader;
use pawl_journal::record::Sequence;
use pawl_replay::Shadow;
use serde::Serialize;

use crate::machine;
use crate::measure::{Aim, Failure, largest, median, on_core};
use crate::output::{Bar, Table, thousands};
use crate::twin::twin_of;

use super::Plan;
use super::session::Recorded;

/// How long restarts take.
#[derive(Debug, Serialize)]
pub struct Restarts {
    rows: Vec<Row>,
    snapshots: u64,
    snapshot_every: u64,
    aims: Vec<Aim>,
}

/// One way to come to the end of the journal.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    /// Steps that were read or run again.
    steps: u64,
    seconds_median: f64,
    seconds_max: f64,
}

/// Measures both ways, and leaves snapshots all along the journal behind.
pub fn measure(plan: &Plan, session: &Recorded) -> anyhow::Result<Restarts> {
    let mut rows = Vec::new();
    rows.push(repeat(plan, "baseline: read", session.steps, || read(&session.dir, session.steps))?);
    rows.push(repeat(plan, "without a snapshot", session.steps, || restart(plan, session, 0))?);
    let snapshots = snapshots(plan, session)?;
    let newest = session.steps - plan.snapshot_every.min(session.steps - 1);
    let behind = session.steps - newest;
    rows.push(repeat(plan, "from a snapshot", behind, || restart(plan, session, newest))?);
    let aim = |row: &Row, bound| {
        let what = format!("restart, median, {}, {} steps", row.name, thousands(session.steps));
        Aim::at_most(what, row.seconds_median, bound, "s")
    };
    let aims = vec![aim(&rows[1], 5.0), aim(&rows[2], 1.0)];
    Ok(Restarts { rows, snapshots, snapshot_every: plan.snapshot_every, aims })
}

fn repeat(
    plan: &Plan,
    name: &'static str,
    steps: u64,
    work: impl Fn() -> anyhow::Result<()> + Sync,
) -> anyhow::Result<Row> {
    let mut seconds = Vec::new();
    for _ in 0..plan.repetitions {
        plan.stop.check()?;
        seconds.push(on_core(plan.cores.first(), || {
            let began = Instant::now();
            work().map(|()| began.elapsed().as_secs_f64())
        })?);
    }
    Ok(Row { name, steps, seconds_median: median(&seconds), seconds_max: largest(&seconds) })
}

fn read(dir: &Path, steps: u64) -> anyhow::Result<()> {
    let mut reader = Reader::open(dir)?;
    let mut last = 0;
    while let Some(frame) = reader.next()? {
        last = frame.sequence().0;
    }
    Failure::unless(last == steps, || format!("the reader came to step {last} of {steps}"))?;
    Ok(())
}

/// Brings a twin to the end; it has to begin at the snapshot after step `from`.
fn restart(plan: &Plan, session: &Recorded, from: u64) -> anyhow::Result<()> {
    let mut twin = twin_of(&session.dir)?;
    let mut reader = Reader::open(&session.dir)?;
    let last = reader.last_sequence()?;
    let snapshots = Snapshots::of(&session.dir);
    let snapshot = snapshots.newest(reader.journal_id(), plan.build_hash, last, |_, _| {})?;
    let began = snapshot.as_ref().map_or(0, |it| it.sequence);
    let mut stopped = Ok(());
    twin.follow_to(&mut reader, snapshot.as_ref(), Sequence(u64::MAX), |reached| {
        if reached.0.is_multiple_of(4_096) {
            stopped = plan.stop.check();
        }
        if stopped.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    stopped?;
    let reached = twin.reached().sequence.0;
    Failure::unless((began, reached) == (from, session.steps), || {
        format!("a restart from step {from} of {} began at {began} and came to {reached}", session.steps)
    })?;
    Ok(())
}

/// Takes snapshots as far apart as those of a run that died in front of the next one; how many.
fn snapshots(plan: &Plan, session: &Recorded) -> anyhow::Result<u64> {
    let places = (1..).map_while(|back| session.steps.checked_sub(back * plan.snapshot_every));
    let mut places: Vec<u64> = places.filter(|at| *at > 0).collect();
    places.reverse();
    let bar = Bar::new("taking snapshots", places.len() as u64);
    let mut taken = 0;
    for at in places {
        plan.stop.check()?;
        bar.set(taken);
        let mut shadow = Shadow {
            journal: &session.dir,
            build_hash: plan.build_hash,
            twin: &|| twin_of(&session.dir),
            progress: &mut |_| {},
            skipped: &mut |_, _| {},
            stop: &AtomicBool::new(false),
        };
        taken += u64::from(shadow.take(Some(Sequence(at)), machine::now())?.is_some());
    }
    Ok(taken)
}

impl fmt::Display for Restarts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "How long it takes to come to the end of a journal again (s; in the page cache; three repetitions)"
        )?;
        let mut table = Table::new(&["", "steps run", "median", "max"]);
        for row in &self.rows {
            table.row([
                row.name.to_owned(),
                thousands(row.steps),
                format!("{:.3}", row.seconds_median),
                format!("{:.3}", row.seconds_max),
            ]);
        }
        table.numbers_from(1);
        write!(f, "{table}")?;
        let Self { snapshots, snapshot_every, .. } = self;
        writeln!(f, " {snapshots} snapshots, {} steps apart", thousands(*snapshot_every))?;
        self.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }
}
