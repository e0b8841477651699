//! `pawl bench journal`: what the journal costs the one who writes it, and what it gives those who read it.
//!
//! ```text
//!  append   one thread, turn about: baseline | page-cache | small segments | async | gated | baseline ..
//!  verify   one thread: read() and sum | walk and checksum | verify, the same bytes in turn
//!  lag      one writer, one or three pollers on other cores, turn about with a bare cache line
//!  open     one thread: journals of several sizes in turn
//! ```
//!
//! A regression of `append` is one of every step of the engine; of `lag`, of every order; of `open`, of a restart.

mod append;
mod filling;
mod lag;
mod open;
mod steps;
mod verify;

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::exit::Exit;
use crate::measure::{Conditions, Cores, Place, Sections, Stop};

/// Measure the journal: appends in every durability mode, rolls, syncs, verify, tailer lag, opening.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl bench journal\n  pawl bench journal --dir /data --seconds 60 --open-gib 10\n  \
    pawl bench journal --only lag,append --rate 500000\n  pawl bench journal --quick --json\n\n\
    Exit codes: 0 measured (aims that are not met are told, not failed), 1 what was measured gave a wrong answer, \
    2 could not measure, 3 the disk filled up, or interrupted, 130 interrupted a second time. The whole takes about three \
    minutes. \
    Numbers count only from a release build on a machine that does nothing else."
)]
pub struct Journal {
    #[command(flatten)]
    sections: Sections<Section>,
    /// Seconds that each paced row of `append` and `lag` is measured, 1 to 3600 [default: 10]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,
    /// Paced steps a second, 1000 to 2000000
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=2_000_000))]
    rate: u64,
    /// Steps of each row that is not paced, 10000 to 1000000000 [default: 4000000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(10_000..=1_000_000_000))]
    count: Option<u64>,
    /// MiB of each segment, 1 to 4096 [default: 64]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    segment_mib: Option<u64>,
    /// MiB of each journal that is verified, 16 to 65536 [default: 1024]
    #[arg(long, value_parser = clap::value_parser!(u64).range(16..=65_536))]
    verify_mib: Option<u64>,
    /// GiB of the largest journal that is opened, 1 to 1024 [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    open_gib: Option<u64>,
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// What an append costs, paced and flat out, in rolls, and what the syncs behind it cost
    Append,
    /// How fast a journal is verified
    Verify,
    /// How long after a step is committed a tailer sees it
    Lag,
    /// How long opening a journal takes
    Open,
}

/// How much is measured, and where.
#[derive(Debug)]
struct Plan {
    place: Place,
    cores: Cores,
    stop: Stop,
    run: Duration,
    turn: Duration,
    rate: u64,
    count: u64,
    segment_bytes: u64,
    small_segment_bytes: u64,
    verify_bytes: u64,
    open_segments: Vec<u64>,
    opens: usize,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    quick: bool,
    conditions: Conditions,
    #[serde(flatten)]
    append: Option<append::Appends>,
    verify: Option<verify::Verifies>,
    lag: Option<lag::Lags>,
    open: Option<open::Opens>,
}

impl Journal {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let plan = self.plan()?;
        self.check_room(&plan)?;
        let conditions = Conditions::now(&plan.place, &plan.cores);
        let mut report = Report {
            bench: "journal",
            quick: self.sections.quick,
            conditions,
            append: None,
            verify: None,
            lag: None,
            open: None,
        };
        let record = self.sections.begin(report.bench, &report.conditions)?;
        if self.sections.wants(Section::Append) {
            let it = append::measure(&plan)?;
            self.sections.show(&it)?;
            report.append = Some(it);
        }
        if self.sections.wants(Section::Verify) {
            let it = verify::measure(&plan)?;
            self.sections.show(&it)?;
            report.verify = Some(it);
        }
        if self.sections.wants(Section::Lag) {
            let it = lag::measure(&plan)?;
            self.sections.show(&it)?;
            report.lag = Some(it);
        }
        if self.sections.wants(Section::Open) {
            let it = open::measure(&plan)?;
            self.sections.show(&it)?;
            report.open = Some(it);
        }
        plan.place.remove()?;
        self.sections.end(&report, record.as_ref())?;
        Ok(Exit::Yes)
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let (run, turn) = match (self.seconds, self.sections.quick) {
            (None, true) => (Duration::from_millis(400), Duration::from_millis(200)),
            (seconds, _) => (Duration::from_secs(seconds.unwrap_or(10)), Duration::from_secs(1)),
        };
        let or =
            |given: Option<u64>, quick, full| given.unwrap_or(if self.sections.quick { quick } else { full });
        let segment_bytes = or(self.segment_mib, 4, 64) << 20;
        let large = match (self.open_gib, self.sections.quick) {
            (None, true) => 8,
            (gib, _) => (gib.unwrap_or(1) << 30).div_ceil(segment_bytes),
        };
        let mut open_segments = vec![1, 4, large];
        open_segments.sort_unstable();
        open_segments.dedup();
        let place = self.sections.place()?;
        Ok(Plan {
            place,
            cores: Cores::usable(),
            stop: Stop::on_signals()?,
            run,
            turn,
            rate: self.rate,
            count: or(self.count, 100_000, 4_000_000),
            segment_bytes,
            small_segment_bytes: segment_bytes.min(or(None, 1 << 20, 4 << 20)),
            verify_bytes: or(self.verify_mib, 64, 1_024) << 20,
            open_segments,
            opens: if self.sections.quick { 3 } else { 9 },
        })
    }

    /// Refuses before anything is measured what would fill the disk.
    fn check_room(&self, plan: &Plan) -> anyhow::Result<()> {
        let needs = [
            (Section::Append, append::bytes_needed(plan), "--seconds, --rate or --count"),
            (Section::Verify, verify::bytes_needed(plan), "--verify-mib"),
            (Section::Lag, lag::bytes_needed(plan), "--seconds or --rate"),
            (Section::Open, open::bytes_needed(plan), "--open-gib"),
        ];
        for (section, bytes, way_out) in needs {
            if self.sections.wants(section) {
                plan.place.need(bytes, Some(way_out))?;
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Turns of a paced row.
    fn turns(&self) -> usize {
        (self.run.as_nanos() / self.turn.as_nanos()).max(1) as usize
    }

    /// Calls in one of them.
    fn calls_per_turn(&self) -> usize {
        (self.rate as f64 * self.turn.as_secs_f64()) as usize
    }

    /// Bytes of all steps of a paced row.
    fn paced_bytes(&self) -> u64 {
        (self.turns() * self.calls_per_turn()) as u64 * steps::SMALL_BYTES
    }
}
