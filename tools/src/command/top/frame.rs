//! A frame: one look at an engine's counters and at everybody who follows its journal, and the same as JSON.

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
use crate::output::time_text;

/// An engine that has not written its counters for so long does not run as it should, or they are not its own.
const STALE: Duration = Duration::from_secs(3);

/// One look.
pub struct Frame {
    pub(super) reading: Reading,
    pub(super) before: Option<Reading>,
    pub(super) names: LabelNames,
    pub(super) state: State,
    /// How long ago the counters were written.
    pub(super) age: Duration,
    pub(super) tailers: Vec<Tailer>,
}

/// How the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It runs, and counts.
    Running,
    /// It is there, and has not counted for a while.
    Silent,
    /// It ended in order.
    Ended,
    /// It is gone and did not say that it ended.
    Died,
    /// An engine runs, and these are not its counters.
    Uncounted,
}

impl State {
    /// By what the counters say of their engine, whether an engine has the journal, whether there is a process of the
    /// number that they name, and how old they are.
    fn of(is_ended: bool, is_alive: bool, is_there: bool, age: Duration) -> Self {
        match (is_alive, is_ended) {
            (false, true) => Self::Ended,
            (false, false) => Self::Died,
            (true, false) if age < STALE => Self::Running,
            (true, false) if is_there => Self::Silent,
            (true, _) => Self::Uncounted,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Silent => "silent",
            Self::Ended => "ended",
            Self::Died => "died",
            Self::Uncounted => "uncounted",
        }
    }
}

/// Somebody who follows the journal.
pub(super) struct Tailer {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) next: u64,
    /// Its process; for a cursor whether somebody has it.
    pub(super) pid: Option<u32>,
    pub(super) is_in_use: bool,
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
        let is_there = Path::new("/proc").join(reading.pid.to_string()).exists();
        let state = State::of(reading.is_ended, is_alive, is_there, age);
        // Another run began in between: nothing is older than its beginning.
        let before = before.filter(|it| (it.pid, it.started) == (reading.pid, reading.started));
        let tailers = tailers(journal, &reading, state)?;
        Ok(Self { reading, before, names, state, age, tailers })
    }

    /// Whether there is more to come.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running | State::Silent)
    }

    pub(super) fn get(&self, family: Family) -> u64 {
        self.reading.values.value(&family, 0)
    }

    pub(super) fn total(&self, family: Family) -> u64 {
        self.reading.values.total(&family)
    }

    /// Seconds over which rates are told, and how many a second there were of a family.
    fn seconds(&self) -> f64 {
        let from = self.before.as_ref().map_or(self.reading.started, |it| it.time);
        since(from, self.reading.time).as_secs_f64()
    }

    pub(super) fn rate(&self, family: Family) -> f64 {
        let before = self.before.as_ref().map_or(0, |it| it.values.total(&family));
        let seconds = self.seconds();
        if seconds > 0.0 { self.total(family).saturating_sub(before) as f64 / seconds } else { 0.0 }
    }

    /// Every histogram that has counted something, by what it is called: over the run, and since the look before.
    pub(super) fn latencies(&self) -> Vec<(String, Distribution, Distribution)> {
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
    pub(super) fn counted(&self, family: &Family) -> Vec<(String, u64)> {
        let value = |index| {
            let count = self.reading.values.value(family, index);
            let label = family.label.value(index, &self.names).unwrap_or_else(|| index.to_string());
            (count > 0).then_some((label, count))
        };
        (0..family.len).filter_map(value).collect()
    }

    pub(super) fn behind(&self, next: u64) -> u64 {
        (self.get(at::COMMITTED) + 1).saturating_sub(next)
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
        json!({
            "journal": journal.display().to_string(),
            "state": self.state.name(),
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
    if matches!(state, State::Running | State::Silent) {
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

pub(super) fn mode(code: u64) -> Mode {
    Mode::from_code(u16::try_from(code).unwrap_or(u16::MAX))
}

fn percentiles(it: &Distribution) -> Value {
    json!({
        "count": it.count(),
        "sum": it.sum_ns(),
        "p50": it.quantile(0.5),
        "p90": it.quantile(0.9),
        "p99": it.quantile(0.99),
        "p999": it.quantile(0.999),
        "max": it.highest(),
    })
}

pub(super) fn since(from: Time, to: Time) -> Duration {
    Duration::from_nanos(to.0.saturating_sub(from.0).max(0).unsigned_abs())
}

const _: () = assert!(PUBLISH.as_millis() * 10 < STALE.as_millis(), "a slow publisher is not a stale one");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_stopped_writing_is_told_from_one_whose_counters_these_are_not() {
        let (now, late) = (Duration::from_millis(99), STALE);
        let states = |is_ended, is_alive, is_there| {
            [now, late].map(|age| State::of(is_ended, is_alive, is_there, age))
        };
        assert_eq!(states(false, true, true), [State::Running, State::Silent]);
        assert_eq!(
            states(false, true, false),
            [State::Running, State::Uncounted],
            "another one that does not count"
        );
        assert_eq!(states(true, true, true), [State::Uncounted; 2], "the next one has not begun to count");
        assert_eq!(states(true, false, false), [State::Ended; 2]);
        assert_eq!(states(false, false, false), [State::Died; 2]);
    }
}
