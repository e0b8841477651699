//! `pawl run`: run the engine until its feeds end or a signal stops it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use pawl_engine::feature::catalogue;
use pawl_engine::risk::{Mode as Standing, RiskView};
use pawl_engine::runtime::{Cores, DurabilityReport, MemoryLock, Outcome, Percentiles};
use pawl_journal::log::JournalStatistics;
use pawl_journal::record::{EndReason, Sequence};
use pawl_replay::{Summary, summarise};
use serde::Serialize;
use toml::Value;

use crate::config::{Config, CoreChoice, Loaded, Mode, Origin};
use crate::exit::Exit;
use crate::inputs::{self, Inputs, locate};
use crate::output::{Bar, Table, put, say, summary_text};
use crate::session::Session;

/// Run the engine: ticks in, paper orders out, every step in the journal.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pawl run --feed EURUSD.ticks.csv.gz --symbol EURUSD --journal J\n  \
    pawl run --feed EURUSD.csv --symbol EURUSD --feed BTCUSD.csv --symbol BTCUSD --journal J --threading single\n  \
    pawl run --feed ticks/ --symbol EURUSD --from 2024-01-02 --until 2024-02-01 --threading single\n  \
    pawl run --feed 'ticks/EURUSD-2024-*.csv.gz' --symbol EURUSD --journal J\n  \
    pawl run --config pawl.toml --set risk.max_position=2\n  \
    pawl run --config pawl.toml --set journal.durability=gated\n  \
    pawl run --config pawl.toml --print-config\n  \
    pawl run --list-columns\n\n\
    Several files of a symbol are one feed, in the order of their ticks; files that overlap are refused. Feeds of several \
    symbols are merged by time.\n\n\
    A run on an existing journal goes on where it ended: with the same files, and new ones behind them. Ctrl-C drains and seals; a second one quits at once and \
    leaves a journal that the next run recovers.\n\n\
    journal.durability says when a step is on disk: page-cache (when the kernel likes), async:50ms (at most so much later), \
    gated (before its orders leave).\n\n\
    Environment: TRADING_MODE, PAPER_TRADE_MODE, ENABLE_LIVE_TRADING, MAX_POSITION_SIZE, MAX_DAILY_LOSS.\n\n\
    Exit codes: 0 the feeds ended, or a signal stopped it; 1 it ended at a finding, such as a line of a feed that cannot be \
    read; 2 it could not start; 3 the environment failed (a full disk, a sync that failed); 130 a second Ctrl-C.")]
pub struct Run {
    #[command(flatten)]
    inputs: Inputs,
    /// Directory of the journal
    #[arg(long, value_name = "DIR")]
    journal: Option<String>,
    /// Which threads there are
    #[arg(long, value_name = "single|fused|staged|auto", value_parser = ["single", "fused", "staged", "auto"])]
    threading: Option<String>,
    /// Where orders go; live needs ENABLE_LIVE_TRADING=true as well, and a live venue
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Event time per wall-clock time (1 is real time); 0 is as fast as the machine goes
    #[arg(long, value_name = "FACTOR")]
    speed: Option<f64>,
    /// Show every value in force and where it came from, and do not run
    #[arg(long)]
    print_config: bool,
    /// Show every feature column there is, with its unit, lookback and warm-up, and do not run
    #[arg(long)]
    list_columns: bool,
    /// Print the summary (or the configuration) as JSON
    #[arg(long)]
    json: bool,
}

impl Run {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        if self.list_columns {
            return list_columns();
        }
        let loaded = self.load()?;
        if self.print_config {
            return print_config(&loaded, self.json);
        }
        let journal = PathBuf::from(&loaded.config.journal.dir);
        let session = self.prepare(&loaded.config).map_err(|error| locate(&loaded, error))?;
        let currency = loaded.config.account.currency.clone();
        let (outcome, memory) = session.run(&journal).map_err(|error| locate(&loaded, error))?;
        report(&journal, &outcome, &memory, &currency, self.json)
    }

    fn load(&self) -> anyhow::Result<Loaded> {
        let mut layers = self.inputs.layers()?;
        let mut flag = |key: &str, value: Option<Value>, name: &str| match value {
            Some(value) => layers.set(key, value, Origin::Flag(name.to_owned())),
            None => Ok(()),
        };
        flag("journal.dir", self.journal.clone().map(Value::String), "--journal")?;
        flag("threading", self.threading.clone().map(Value::String), "--threading")?;
        flag("mode", self.mode.map(|mode| Value::String(format!("{mode:?}").to_lowercase())), "--mode")?;
        flag("runtime.speed", self.speed.map(Value::Float), "--speed")?;
        self.inputs.set(&mut layers)?;
        Ok(layers.finish()?)
    }

    /// Opens the feeds of a configuration that can be run here.
    fn prepare(&self, config: &Config) -> anyhow::Result<Session> {
        if let CoreChoice::These(cores) = &config.runtime.cores {
            Cores::here().check(cores).with_context(|| format!("runtime.cores = {cores:?}"))?;
        }
        inputs::session(config.clone(), self.inputs.models(), self.inputs.range()?)
    }
}

/// Sums up a run and says how it ended.
pub fn report(
    journal: &Path,
    outcome: &Outcome,
    memory: &MemoryLock,
    currency: &str,
    json: bool,
) -> anyhow::Result<Exit> {
    let summary = sum_up(journal, outcome.first, outcome.last)?;
    let bytes = directory_bytes(journal);
    if json {
        say!(
            "{}",
            serde_json::json!({
                "reason": outcome.reason.name(),
                "message": outcome.message,
                "resumed_after": outcome.resumed_after.0,
                "restored_from": outcome.restored_from.0,
                "elapsed_ns": outcome.elapsed_ns,
                "ring_full": outcome.ring_full,
                "published_to_gateway": outcome.gateway,
                "pinned": outcome.pinned,
                "memory": memory,
                "journal_bytes": bytes,
                "durability": DurabilityJson::of(&outcome.durability),
                "account_before": outcome.before,
                "account": outcome.after,
                "summary": summary,
            })
        );
    } else {
        if outcome.resumed_after > Sequence(0) {
            match outcome.restored_from.0 {
                0 => say!("resumed after step {}", outcome.resumed_after),
                from => {
                    say!("resumed after step {}, from the snapshot after step {from}", outcome.resumed_after);
                }
            }
        }
        put!("{}", summary_text(&summary, outcome, memory, currency, bytes));
    }
    if let Some(told) = standing(journal, &outcome.after) {
        eprintln!("pawl: {told}");
    }
    match outcome.reason {
        EndReason::FEED_ENDED => Ok(Exit::Yes),
        EndReason::ENVIRONMENT_FAILED => {
            eprintln!("pawl: {}", outcome.message);
            eprintln!("pawl: the journal is sealed with the {} steps before", outcome.last);
            Ok(Exit::Stopped)
        }
        EndReason::STOPPED => {
            eprintln!(
                "pawl: stopped and sealed after step {}; the same command goes on from there",
                outcome.last
            );
            Ok(Exit::Yes)
        }
        _ => {
            eprintln!("pawl: {}", outcome.message);
            eprintln!("pawl: the journal is sealed with the {} steps before", outcome.last);
            Ok(Exit::Finding)
        }
    }
}

/// What is to be said of an engine that ended without leave to add risk: why, and what gives it back.
fn standing(journal: &Path, after: &RiskView) -> Option<String> {
    if after.mode == Standing::Active {
        return None;
    }
    let (place, causes) = (journal.display(), after.causes.join(", "));
    let mut told = format!(
        "warning: the engine is {} ({causes}): no order adds risk until `pawl ctl {place} resume`, while an engine runs on it",
        after.mode
    );
    if after.causes.iter().any(|cause| cause.starts_with("journal_")) {
        told += &format!(
            "; the journal could not be given room in time: see `pawl doctor --journal {place}` first"
        );
    }
    Some(told)
}

/// How durable the journal is, as programs read it.
#[derive(Serialize)]
struct DurabilityJson<'a> {
    mode: String,
    durable_sequence: u64,
    #[serde(flatten)]
    statistics: &'a JournalStatistics,
    committed_to_released: &'a Percentiles,
}

impl<'a> DurabilityJson<'a> {
    fn of(report: &'a DurabilityReport) -> Self {
        Self {
            mode: report.mode.to_string(),
            durable_sequence: report.durable.0,
            statistics: &report.statistics,
            committed_to_released: &report.held,
        }
    }
}

fn sum_up(journal: &Path, first: Sequence, last: Sequence) -> anyhow::Result<Summary> {
    let bar = Bar::new("summing up", last.0 + 1 - first.0);
    Ok(summarise(journal, first, |at| bar.set(at.0 - first.0))?)
}

fn directory_bytes(journal: &Path) -> u64 {
    let entries = std::fs::read_dir(journal).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).filter(|it| it.is_file()).map(|it| it.len()).sum()
}

fn list_columns() -> anyhow::Result<Exit> {
    let mut table = Table::new(&["column", "unit", "lookback", "warm after", "what it is"]);
    for it in catalogue() {
        table.row([it.pattern, it.unit, it.lookback, it.warm_up, it.meaning]);
    }
    put!("{table}");
    Ok(Exit::Yes)
}

fn print_config(loaded: &Loaded, json: bool) -> anyhow::Result<Exit> {
    let live = std::env::var("ENABLE_LIVE_TRADING").ok();
    if json {
        let rows = loaded.rows().into_iter().map(|(key, value, origin)| {
            serde_json::json!({ "key": key, "value": value, "origin": origin.to_string() })
        });
        say!("{}", serde_json::json!({ "config": rows.collect::<Vec<_>>(), "enable_live_trading": live }));
        return Ok(Exit::Yes);
    }
    let mut table = Table::new(&["key", "from", "value"]);
    for (key, value, origin) in loaded.rows() {
        table.row([key, origin.to_string(), value]);
    }
    let armed = live.clone().unwrap_or_else(|| "false".to_owned());
    let from = if live.is_some() { "environment ENABLE_LIVE_TRADING" } else { "default" };
    table.row(["(armed for live)".to_owned(), from.to_owned(), armed]);
    put!("{table}");
    Ok(Exit::Yes)
}
