//! A frame: one look at an engine's counters and at everybody who follows its journal, as text and as JSON.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use pawl_engine::risk::Mode;
use pawl_engine::runtime::counters::buckets::Distribution;
use pawl_engine::runtime::counters::catalogue::{
    self as at, FAMILIES, Family, FamilyKind, LabelNames, STAGES,
};
use pawl_engine::runtime::counters::{CountersError, CountersFile, PUBLISH, Reading};
use pawl_journal::log::{Cursor, Follower, writer_alive};
use pawl_journal::record::Time;
use serde_json::{Map, Value, json};

use crate::machine;
use crate::output::{Table, thousands, time_text};

/// Counters of a running engine that are older than this are not its own.
const STALE: Duration = Duration::from_secs(3);

/// One look.
pub struct Frame {
    reading: Reading,
    before: Option<Reading>,
    names: LabelNames,
    state: State,
    age: Duration,
    tailers: Vec<Tailer>,
}

/// How the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It runs, and counts.
    Running,
    /// It ended in order.
    Ended,
    /// It is gone and did not say that it ended.
    Died,
    /// An engine runs, and these are not its counters.
    Uncounted,
}

/// Somebody who follows the journal.
struct Tailer {
    name: String,
    kind: &'static str,
    next: u64,
    /// Its process; for a cursor whether somebody has it.
    pid: Option<u32>,
    is_in_use: bool,
}

impl Frame {
    /// A first look.
    pub fn read(journal: &Path, names: LabelNames) -> Result<Self, CountersError> {
        Self::look(journal, names, None)
    }

    /// The look that follows this one.
    pub fn next(self, journal: &Path) -> Result<Self, CountersError> {
        Self::look(journal, self.names, Some(self.reading))
    }

    fn look(journal: &Path, names: LabelNames, before: Option<Reading>) -> Result<Self, CountersError> {
        // Asked first: an engine that ends in between has written its last values by then.
        let is_alive = writer_alive(journal);
        let reading = CountersFile::read(journal)?;
        let age = since(reading.time, machine::now());
        let state = match (reading.is_ended, is_alive) {
            (false, true) if age < STALE => State::Running,
            (_, true) => State::Uncounted,
            (true, false) => State::Ended,
            (false, false) => State::Died,
        };
        // Another run began in between: nothing is older than its beginning.
        let before = before.filter(|it| (it.pid, it.started) == (reading.pid, reading.started));
        let tailers = tailers(journal, &reading, state)?;
        Ok(Self { reading, before, names, state, age, tailers })
    }

    /// Whether there is more to come.
    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    fn get(&self, family: Family) -> u64 {
        self.reading.values.value(&family, 0)
    }

    fn total(&self, family: Family) -> u64 {
        self.reading.values.total(&family)
    }

    /// Seconds over which rates are told, and how many a second there were of a family.
    fn seconds(&self) -> f64 {
        let from = self.before.as_ref().map_or(self.reading.started, |it| it.time);
        since(from, self.reading.time).as_secs_f64()
    }

    fn rate(&self, family: Family) -> f64 {
        let before = self.before.as_ref().map_or(0, |it| it.values.total(&family));
        let seconds = self.seconds();
        if seconds > 0.0 { self.total(family).saturating_sub(before) as f64 / seconds } else { 0.0 }
    }

    /// Every histogram that has counted something, by what it is called: over the run, and since the look before.
    fn latencies(&self) -> Vec<(String, Distribution, Distribution)> {
        let stages =
            STAGES.iter().enumerate().map(|(index, stage)| (at::STAGE_LATENCY, index, (*stage).to_owned()));
        let gateway = [
            (at::EXECUTION_LATENCY, 0, "published to gateway".to_owned()),
            (at::HOLD_LATENCY, 0, "committed to released".to_owned()),
        ];
        let models = (0..at::MODEL_LATENCY.len).filter_map(|index| {
            let agent = at::MODEL_LATENCY.label.value(index, &self.names)?;
            Some((at::MODEL_LATENCY, index, format!("model {agent}")))
        });
        let all = stages.chain(gateway).chain(models).map(|(family, index, name)| {
            let run = self.reading.values.distribution(&family, index);
            let now = match &self.before {
                Some(before) => run.since(&before.values.distribution(&family, index)),
                None => run.clone(),
            };
            (name, run, now)
        });
        all.filter(|(_, run, _)| run.count() > 0).collect()
    }

    /// The values of a family that are not zero, by their labels.
    fn counted(&self, family: &Family) -> Vec<(String, u64)> {
        let value = |index| {
            let count = self.reading.values.value(family, index);
            let label = family.label.value(index, &self.names).unwrap_or_else(|| index.to_string());
            (count > 0).then_some((label, count))
        };
        (0..family.len).filter_map(value).collect()
    }

    fn behind(&self, next: u64) -> u64 {
        (self.get(at::COMMITTED) + 1).saturating_sub(next)
    }

    /// The frame for people.
    pub fn text(&self, journal: &Path) -> String {
        let mut out = String::new();
        let reading = &self.reading;
        let state = match self.state {
            State::Running => "running".to_owned(),
            State::Ended => {
                format!("ended {} ago; no engine runs, these are its last values", age_text(self.age))
            }
            State::Died => format!(
                "the engine is gone without ending its run; its last values, of {} ago",
                age_text(self.age)
            ),
            State::Uncounted => format!(
                "an engine runs that does not count (runtime.counters = false); the values are {} old",
                age_text(self.age)
            ),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}  pid {}  {state}", journal.display(), reading.pid);
        let _ = writeln!(
            out,
            "{}  {} halts  event time {}  feeds {:.1}%  up {}\n",
            mode(self.get(at::MODE)),
            self.get(at::HALTS),
            &time_text(Time(self.get(at::EVENT_TIME).cast_signed()))[..19],
            self.get(at::FEED_PROGRESS) as f64 / 1e4,
            age_text(since(reading.started, reading.time)),
        );
        let _ = write!(out, "{}\n{}\n{}", self.rates_table(), self.latency_table(), self.tailers_table());
        for (title, family) in [
            ("refused", at::REFUSALS),
            ("reports", at::REPORTS),
            ("rejected", at::REJECTS),
            ("alerts", at::ALERTS),
            ("flagged", at::FLAGGED),
        ] {
            let counted: Vec<_> = self
                .counted(&family)
                .iter()
                .map(|(label, count)| format!("{label} {}", thousands(*count)))
                .collect();
            if !counted.is_empty() {
                let _ = writeln!(out, " {title:<9} {}", counted.join(", "));
            }
        }
        if self.get(at::SYNC_FAILED) > 0 {
            let _ = writeln!(out, " a sync has failed: nothing becomes durable any more");
        }
        out
    }

    fn rates_table(&self) -> Table {
        let mut table = Table::new(&["", "a second", "in all", "", ""]);
        let ring = match self.get(at::RING_SLOTS) {
            0 => "none".to_owned(),
            slots => format!(
                "{} of {slots}, most {}",
                self.get(at::RING_OCCUPANCY),
                self.get(at::RING_OCCUPANCY_MAX)
            ),
        };
        let supply = ["enough", "low", "out"][self.get(at::SUPPLY).min(2) as usize];
        let beside = [
            ("published", thousands(self.get(at::PUBLISHED))),
            ("committed", thousands(self.get(at::COMMITTED))),
            ("durable", thousands(self.get(at::DURABLE))),
            ("in the ring", format!("{ring}, full {} times", thousands(self.get(at::RING_FULL)))),
            ("journal", format!("{} segments begun, {supply} ready", thousands(self.get(at::ROLLS)))),
        ];
        let families = [
            ("ticks", at::TICKS),
            ("steps", at::STEPS),
            ("predictions", at::PREDICTIONS),
            ("orders", at::ORDERS),
            ("ticks left out", at::DROPPED),
        ];
        for ((name, family), (place, value)) in families.into_iter().zip(beside) {
            let rate = thousands(self.rate(family).round() as u64);
            table.row([name.to_owned(), rate, thousands(self.total(family)), format!("   {place}"), value]);
        }
        table.numbers_from(1);
        table
    }

    fn latency_table(&self) -> Table {
        let heads = ["ns", "now p50", "p99", "run p50", "p90", "p99", "p99.9", "most", "count"];
        let mut table = Table::new(&heads);
        for (name, run, now) in self.latencies() {
            let recent =
                |share| if now.count() > 0 { thousands(now.quantile(share)) } else { "-".to_owned() };
            let whole = |share| thousands(run.quantile(share));
            table.row([
                name,
                recent(0.5),
                recent(0.99),
                whole(0.5),
                whole(0.9),
                whole(0.99),
                whole(0.999),
                thousands(run.highest()),
                thousands(run.count()),
            ]);
        }
        table.numbers_from(1);
        table
    }

    fn tailers_table(&self) -> Table {
        let mut table = Table::new(&["tailer", "", "next step", "steps behind"]);
        for it in &self.tailers {
            let kind = match (it.kind, it.pid) {
                (kind, Some(pid)) => format!("{kind} {pid}"),
                ("cursor", None) if it.is_in_use => "cursor in use".to_owned(),
                (kind, None) => kind.to_owned(),
            };
            table.row([it.name.clone(), kind, thousands(it.next), thousands(self.behind(it.next))]);
        }
        table.numbers_from(2);
        table
    }

    /// The frame for programs.
    pub fn json(&self, journal: &Path) -> Value {
        let latencies = self
            .latencies()
            .into_iter()
            .map(|(name, run, now)| (name, json!({ "run": percentiles(&run), "now": percentiles(&now) })));
        let tailers = self.tailers.iter().map(|it| {
            json!({
                "name": it.name, "kind": it.kind, "pid": it.pid, "in_use": it.is_in_use,
                "next": it.next, "behind": self.behind(it.next),
            })
        });
        let state = match self.state {
            State::Running => "running",
            State::Ended => "ended",
            State::Died => "died",
            State::Uncounted => "uncounted",
        };
        json!({
            "journal": journal.display().to_string(),
            "state": state,
            "pid": self.reading.pid,
            "started": time_text(self.reading.started),
            "time": time_text(self.reading.time),
            "age_s": self.age.as_secs_f64(),
            "first": self.reading.first.0,
            "mode": mode(self.get(at::MODE)).to_string(),
            "halts": self.get(at::HALTS),
            "event_time": time_text(Time(self.get(at::EVENT_TIME).cast_signed())),
            "feeds": self.get(at::FEED_PROGRESS) as f64 / 1e6,
            "rates": {
                "seconds": self.seconds(),
                "ticks": self.rate(at::TICKS),
                "steps": self.rate(at::STEPS),
                "predictions": self.rate(at::PREDICTIONS),
                "orders": self.rate(at::ORDERS),
            },
            "watermarks": {
                "published": self.get(at::PUBLISHED),
                "committed": self.get(at::COMMITTED),
                "durable": self.get(at::DURABLE),
            },
            "ring": {
                "slots": self.get(at::RING_SLOTS),
                "occupancy": self.get(at::RING_OCCUPANCY),
                "occupancy_max": self.get(at::RING_OCCUPANCY_MAX),
                "full": self.get(at::RING_FULL),
            },
            "refusals": self.counted(&at::REFUSALS).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "latency_ns": latencies.collect::<Map<_, _>>(),
            "tailers": tailers.collect::<Vec<_>>(),
            "counters": self.counters(),
        })
    }

    /// Every counter and gauge, by name and label.
    fn counters(&self) -> Map<String, Value> {
        let plain = FAMILIES.iter().filter(|family| family.kind != FamilyKind::Histogram);
        let value = |family: &Family| match family.label.name() {
            None => json!(self.reading.values.value(family, 0)),
            Some(_) => Value::Object(
                self.counted(family).into_iter().map(|(label, count)| (label, json!(count))).collect(),
            ),
        };
        plain.map(|family| (family.name.to_owned(), value(family))).collect()
    }
}

/// Everybody who follows the journal and can be seen: the gateway, live followers, and cursors where they were saved.
fn tailers(journal: &Path, reading: &Reading, state: State) -> Result<Vec<Tailer>, CountersError> {
    let mut tailers = Vec::new();
    if state == State::Running {
        let next = reading.values.value(&at::RELEASED, 0) + 1;
        let gateway = Tailer { name: "gateway".into(), kind: "engine", next, pid: None, is_in_use: true };
        tailers.push(gateway);
    }
    tailers.extend(Follower::list(journal)?.into_iter().map(|it| Tailer {
        name: it.name,
        kind: "live",
        next: it.next_sequence.0,
        pid: Some(it.pid),
        is_in_use: true,
    }));
    let cursors = Cursor::saved(journal)?.into_iter().filter_map(|it| {
        let next = it.place?.next_sequence.0;
        Some(Tailer { name: it.name, kind: "cursor", next, pid: None, is_in_use: it.is_in_use })
    });
    tailers.extend(cursors);
    Ok(tailers)
}

fn mode(code: u64) -> Mode {
    Mode::from_code(u16::try_from(code).unwrap_or(u16::MAX))
}

fn percentiles(it: &Distribution) -> Value {
    json!({
        "count": it.count(),
        "sum": it.sum_ns,
        "p50": it.quantile(0.5),
        "p90": it.quantile(0.9),
        "p99": it.quantile(0.99),
        "p999": it.quantile(0.999),
        "max": it.highest(),
    })
}

fn since(from: Time, to: Time) -> Duration {
    Duration::from_nanos(to.0.saturating_sub(from.0).max(0).unsigned_abs())
}

/// A length of time in the largest unit of which it has at least two; below two minutes in seconds.
fn age_text(age: Duration) -> String {
    let seconds = age.as_secs();
    match [(86_400, "d"), (3_600, "h"), (60, "min")].iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{:.1} s", age.as_secs_f64()),
    }
}

const _: () = assert!(PUBLISH.as_millis() * 10 < STALE.as_millis(), "a slow publisher is not a stale one");
