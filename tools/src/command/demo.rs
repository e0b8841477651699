//! `pawl demo`: a seeded synthetic session, both demo agents, every stage, one journal.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use pawl_adapters::feed::{Synthetic, SyntheticSettings};
use pawl_engine::inference::{AgentSettings, Trigger};
use pawl_engine::instrument::Instrument;
use pawl_engine::quantity::{Decimal, Span};
use pawl_journal::record::{InstrumentId, Kind, Time};

use pawl_replay::settings_of;

use crate::command::run::report;
use crate::config::Config;
use crate::exit::Exit;
use crate::output::say;
use crate::session::{NamedFeed, Session};

/// 2025-03-03 08:00:00 UTC, a Monday.
pub(super) const START: Time = Time(1_740_988_800_000_000_000);

/// Ticks an hour, of each symbol.
const TICKS_PER_HOUR: u64 = 15_000;

/// See the whole engine work in seconds: a synthetic session of two symbols through all stages, on paper.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl demo\n  pawl demo --seed 7 --journal /tmp/demo --hours 1")]
pub struct Demo {
    /// Directory of the journal; must be new
    #[arg(long, value_name = "DIR", default_value = "pawl-demo")]
    journal: PathBuf,
    /// Seed of the session: the same seed is the same session, to the bit
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Hours of event time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=48))]
    hours: u32,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Demo {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        replace_old(&self.journal)?;
        let config = demo_config();
        let instruments = demo_instruments();
        let settings = SyntheticSettings {
            seed: self.seed,
            start: START,
            duration: Span::seconds(i64::from(self.hours) * 3_600),
            ticks: u64::from(self.hours) * TICKS_PER_HOUR,
            ..SyntheticSettings::default()
        };
        let feeds = synthetic_feeds(settings, &instruments)?;
        let session = Session::new(config, instruments, PathBuf::from("."), feeds);
        let (outcome, memory) = session.run(&self.journal)?;
        let exit = report(&self.journal, &outcome, &memory, "USD", self.json)?;
        if !self.json {
            print_next(&self.journal)?;
        }
        Ok(exit)
    }
}

/// What the demo trades, tight enough that risk has something to refuse.
pub(super) fn demo_instruments() -> Vec<Instrument> {
    let tight = |(symbol, max_spread)| Some(Instrument { max_spread, ..Instrument::well_known(symbol)? });
    [("EURUSD", 1), ("BTCUSD", 200)].into_iter().filter_map(tight).collect()
}

/// A synthetic feed for each instrument.
pub(super) fn synthetic_feeds(
    settings: SyntheticSettings,
    instruments: &[Instrument],
) -> anyhow::Result<Vec<NamedFeed>> {
    let mut feeds = Vec::new();
    for (index, definition) in instruments.iter().enumerate() {
        let instrument = InstrumentId(index as u16);
        let feed = Box::new(Synthetic::new(settings, instrument, definition)?);
        let origin = format!("synthetic {}, seed {}", definition.symbol, settings.seed);
        feeds.push(NamedFeed { feed, instrument, origin, utc_offset: Span(0) });
    }
    Ok(feeds)
}

/// The demo's configuration: both agents, every column, limits small enough that some of them bite.
pub(super) fn demo_config() -> Config {
    let agent = |name: &str, on, weight, max_age| AgentSettings {
        model: Some(format!("builtin:{name}")),
        on,
        weight,
        max_age,
        ..AgentSettings::named(name)
    };
    let mut config = Config {
        agent: vec![
            agent("fast", Trigger::Tick, 1.0, Span::seconds(5)),
            agent("precise", Trigger::Bar, 2.0, Span::seconds(120)),
        ],
        ..Config::default()
    };
    config.risk.max_position = Decimal(Decimal::ONE / 2);
    config
}

/// Removes the journal of an earlier demo, and nothing else.
fn replace_old(directory: &Path) -> anyhow::Result<()> {
    let is_new = std::fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
    if is_new {
        return Ok(());
    }
    let is_demo = settings_of(directory)
        .is_ok_and(|(_, environment)| environment.feeds.iter().all(|feed| feed.starts_with("synthetic ")));
    if !is_demo {
        bail!(
            "{} holds something else than an earlier demo: choose another directory with --journal",
            directory.display()
        );
    }
    std::fs::remove_dir_all(directory)
        .with_context(|| format!("cannot remove the earlier demo in {}", directory.display()))
}

fn print_next(journal: &Path) -> anyhow::Result<()> {
    let mut order = None;
    let mut reader = pawl_journal::log::Reader::open(journal)?;
    while let Some(frame) = reader.next()? {
        if frame.step().record(Kind::OrderRequest).is_some() {
            order = Some(frame.step().sequence());
            break;
        }
    }
    let path = journal.display();
    say!("\nTry next:");
    if let Some(order) = order {
        say!("  pawl chain {path} {order}     why the first order was sent, and what became of it");
    }
    say!("  pawl replay {path} --recompute     run it again: the same decisions, to the bit");
    say!("  pawl tail {path} --kind verdict,order_request,execution_report | less     what was decided");
    Ok(())
}
