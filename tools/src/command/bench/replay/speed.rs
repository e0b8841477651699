//! How many steps a second does a replay run and compare, from the page cache on one core?
//!
//! Topology: one pinned thread; each session read by the empty baseline (walk, checksum every frame) and replayed (the
//! same, every stage run, every record and checkpoint compared), in turn. Predictions of models are taken from the
//! journal. A regression here is one of every replay, bisection and recovery.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use pawl_journal::log::Reader;
use pawl_replay::{ModelSource, Scope, replay};
use serde::Serialize;

use crate::measure::{Aim, Failure, largest, median, on_core};
use crate::output::{Bar, Table, thousands};
use crate::session::models_in;

use super::Plan;
use super::session::{Recorded, With};

/// How fast journals are replayed.
#[derive(Debug, Serialize)]
pub struct Speeds {
    rows: Vec<Row>,
    aims: Vec<Aim>,
}

/// One way to go through one journal.
#[derive(Debug, Serialize)]
struct Row {
    session: &'static str,
    name: &'static str,
    steps: u64,
    steps_per_second_best: f64,
    steps_per_second_median: f64,
    nanoseconds_per_step_median: f64,
}

/// The ways, the baseline first.
const WAYS: [&str; 2] = ["baseline: read", "replay and compare"];

/// Measures every session both ways.
pub fn measure(plan: &Plan, sessions: [&Recorded; 2]) -> anyhow::Result<Speeds> {
    let mut rows = Vec::new();
    let mut aims = Vec::new();
    let bar = Bar::new("speed", (plan.repetitions * WAYS.len() * sessions.len()) as u64);
    let mut done = 0;
    for session in sessions {
        let mut seconds = [const { Vec::new() }; WAYS.len()];
        for _ in 0..plan.repetitions {
            for (way, seconds) in seconds.iter_mut().enumerate() {
                plan.stop.check()?;
                bar.set_with(done, WAYS[way].to_owned());
                done += 1;
                seconds.push(on_core(plan.cores.first(), || once(plan, session, way))?);
            }
        }
        let (name, bound) = match session.with {
            With::Rule => ("features, no model", 4.0),
            With::Models => ("features, predictions of both models", 1.0),
        };
        for (way, seconds) in WAYS.iter().zip(&seconds) {
            let rates: Vec<f64> = seconds.iter().map(|seconds| session.steps as f64 / seconds).collect();
            rows.push(Row {
                session: name,
                name: way,
                steps: session.steps,
                steps_per_second_best: largest(&rates),
                steps_per_second_median: median(&rates),
                nanoseconds_per_step_median: 1e9 / median(&rates),
            });
        }
        let millions = session.steps as f64 / median(&seconds[1]) / 1e6;
        aims.push(Aim::at_least(format!("replay, median, {name}"), millions, bound, "M steps/s"));
    }
    Ok(Speeds { rows, aims })
}

/// Goes through a journal once; how long that took, in seconds.
fn once(plan: &Plan, session: &Recorded, way: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let steps = if way == 0 { walk(&session.dir)? } else { whole(plan, &session.dir)? };
    let seconds = began.elapsed().as_secs_f64();
    Failure::unless(steps == session.steps, || {
        format!("`{}` went through {steps} steps of {}", WAYS[way], session.steps)
    })?;
    Ok(seconds)
}

fn walk(dir: &Path) -> anyhow::Result<u64> {
    let mut reader = Reader::open(dir)?;
    let mut steps = 0;
    while let Some(frame) = reader.next()? {
        steps += u64::from(frame.step().record_count() > 0);
    }
    Ok(steps)
}

fn whole(plan: &Plan, dir: &Path) -> anyhow::Result<u64> {
    let models = ModelSource { models: models_in(Path::new(".")), as_recorded: true };
    let replayed = replay(dir, Scope::default(), &models, |step| {
        let look = step.sequence().0.is_multiple_of(4_096);
        if look && plan.stop.check().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    plan.stop.check()?;
    Failure::unless(replayed.is_identical() && replayed.compared == replayed.steps, || {
        format!("the replay differs: {:?}", replayed.divergence)
    })?;
    Ok(replayed.steps)
}

impl fmt::Display for Speeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "How fast a journal is run again and compared, from the page cache, on one core (three repetitions)"
        )?;
        let mut table = Table::new(&["", "", "steps", "steps/s: best", "median", "ns a step"]);
        for row in &self.rows {
            table.row([
                row.session.to_owned(),
                row.name.to_owned(),
                thousands(row.steps),
                thousands(row.steps_per_second_best as u64),
                thousands(row.steps_per_second_median as u64),
                format!("{:.0}", row.nanoseconds_per_step_median),
            ]);
        }
        table.numbers_from(2);
        write!(f, "{table}")?;
        self.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }
}
