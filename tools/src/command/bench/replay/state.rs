//! How long does `state --at` take, anywhere in a journal with snapshots?
//!
//! Topology: one pinned thread; places all along the journal, and the step in front of each snapshot, which is the
//! farthest from one. The baseline is the last step of the newest snapshot, which needs no step to be run. A regression
//! here is one of everybody who looks into the past.

use std::fmt;
use std::time::Instant;

use pawl_journal::record::Sequence;
use pawl_replay::state_at;
use serde::Serialize;

use crate::measure::{Aim, Failure, largest, median, on_core};
use crate::output::{Bar, Table, thousands};

use super::Plan;
use super::session::Recorded;

/// Places all along the journal.
const PLACES: u64 = 16;

/// How long looks at the state take.
#[derive(Debug, Serialize)]
pub struct States {
    rows: Vec<Row>,
    aims: Vec<Aim>,
}

/// Looks at places of one sort, in seconds.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    places: usize,
    seconds_median: f64,
    seconds_max: f64,
}

/// Measures every sort of place.
pub fn measure(plan: &Plan, session: &Recorded) -> anyhow::Result<States> {
    let newest = session.steps - plan.snapshot_every.min(session.steps - 1);
    let all_over = (0..PLACES).map(|place| session.steps * (2 * place + 1) / (2 * PLACES)).collect();
    let farthest = (0..).map_while(|back| newest.checked_sub(back * plan.snapshot_every + 1));
    let sorts: [(&str, Vec<u64>); 3] = [
        ("baseline: at a snapshot", vec![newest; 3]),
        ("all over the journal", all_over),
        ("in front of a snapshot", farthest.filter(|at| *at > 0).collect()),
    ];
    let bar = Bar::new("state", sorts.iter().map(|(_, places)| places.len() as u64).sum());
    let (mut rows, mut done) = (Vec::new(), 0);
    for (name, places) in sorts {
        let mut seconds = Vec::new();
        for at in places {
            plan.stop.check()?;
            bar.set(done);
            done += 1;
            seconds.push(on_core(plan.cores.first(), || look(plan, session, at))?);
        }
        let (seconds_median, seconds_max) = (median(&seconds), largest(&seconds));
        rows.push(Row { name, places: seconds.len(), seconds_median, seconds_max });
    }
    let longest = largest(&rows.iter().map(|row| row.seconds_max).collect::<Vec<_>>());
    let what = format!("state at a step, longest, {} steps", thousands(session.steps));
    Ok(States { rows, aims: vec![Aim::at_most(what, longest, 1.0, "s")] })
}

fn look(plan: &Plan, session: &Recorded, at: u64) -> anyhow::Result<f64> {
    let began = Instant::now();
    let found = state_at(&session.dir, Sequence(at), plan.build_hash, |_| {})?;
    let seconds = began.elapsed().as_secs_f64();
    Failure::unless(found.sequence.0 == at && found.divergence.is_none(), || {
        format!("the state at step {at} is that of {}, {:?}", found.sequence, found.divergence)
    })?;
    Ok(seconds)
}

impl fmt::Display for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "How long it takes to know the whole state after a step (s; in the page cache)")?;
        let mut table = Table::new(&["", "places", "median", "max"]);
        for row in &self.rows {
            table.row([
                row.name.to_owned(),
                row.places.to_string(),
                format!("{:.3}", row.seconds_median),
                format!("{:.3}", row.seconds_max),
            ]);
        }
        table.numbers_from(1);
        write!(f, "{table}")?;
        self.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }
}
