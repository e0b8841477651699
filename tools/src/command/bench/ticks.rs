//! The ticks that the engine is measured with: exports that the user names, or a synthetic day.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use pawl_adapters::feed::{Memory, Synthetic, SyntheticSettings, TimeRange};
use pawl_engine::instrument::Instrument;
use pawl_engine::port::FeedTick;
use pawl_engine::quantity::Span;
use pawl_journal::record::{InstrumentId, Time};

use crate::command::demo::START;
use crate::config::{Config, FeedConfig, Files, resolve_instruments};
use crate::inputs::FeedFiles;
use crate::output::{thousands, time_text};
use crate::session::NamedFeed;

const DAY: i64 = 86_400 * Time::SECOND;

/// Ticks of a made-up day: as many as a real one has, or what a smoke test takes.
pub const fn synthetic_ticks(quick: bool) -> u64 {
    if quick { 8_000 } else { 136_741 }
}

/// Where the ticks come from.
#[derive(Debug, Clone, Args)]
pub struct Data {
    /// Tick exports of MetaTrader 5 to measure with, as `pawl run --feed` takes them, several separated by spaces [default: a
    /// synthetic day]
    #[arg(long, value_name = "DIR|FILE", num_args = 1..)]
    data: Vec<String>,
    /// The instrument that the exports quote: a well-known symbol of USD, such as EURUSD, USDJPY or XAUUSD
    #[arg(long, value_name = "NAME", default_value = "EURUSD")]
    symbol: String,
}

/// Ticks in memory, and the export they are in.
#[derive(Debug)]
pub struct Ticks {
    /// Where they are from, for people.
    pub origin: String,
    /// The instrument they quote.
    pub instruments: Vec<Instrument>,
    files: FeedFiles,
    day: Vec<FeedTick>,
}

impl Data {
    /// Reads the ticks. A synthetic day has `synthetic` ticks and is written as a gzip export into `place` first.
    pub fn load(&self, place: &Path, synthetic: u64) -> anyhow::Result<Ticks> {
        // The account is in USD, and nothing converts to it.
        let known = Instrument::well_known(&self.symbol).filter(|_| self.symbol.contains("USD"));
        let Some(instrument) = known else {
            bail!(
                "--symbol {:?} is no well-known symbol of USD: name one with the digits of the ticks, such as EURUSD, USDJPY, \
                 XAUUSD or BTCUSD; what it is called changes no figure",
                self.symbol
            );
        };
        let mut origin = None;
        let mut files = self.data.clone();
        if files.is_empty() {
            let path = place.join(format!("{}.ticks.csv.gz", self.symbol));
            write_synthetic(&path, &instrument, synthetic)?;
            files.push(path.display().to_string());
            origin = Some(format!("a synthetic day of {}, seed 1", self.symbol));
        }
        let feed =
            FeedConfig { file: Files::Several(files), symbol: self.symbol.clone(), ..FeedConfig::default() };
        let config = Config { feed: vec![feed], ..Config::default() };
        let instruments = resolve_instruments(&config)?;
        let files = FeedFiles::find(&config, &instruments)?;
        let mut feeds = files.open(&instruments, TimeRange::ALL)?;
        let Some(feed) = feeds.first_mut() else { bail!("there is no feed") };
        let mut day = Memory::from_feed(feed.feed.as_mut())?.ticks().to_vec();
        let all = day.len();
        // Ingress leaves repeats out; every tick given is to be a tick in the journal.
        day.dedup_by_key(|tick| (tick.time, tick.bid, tick.ask, tick.last));
        let origin = origin.unwrap_or_else(|| feed.origin.clone());
        let origin =
            format!("{origin}: {} {}", thousands(all as u64), if all == 1 { "tick" } else { "ticks" });
        Ok(Ticks { origin, instruments, files, day })
    }
}

impl Ticks {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.day.len()
    }

    /// So many ticks: those there are, and again with the times of later days.
    pub fn repeated(&self, count: usize) -> Vec<FeedTick> {
        let span = self.day.last().map_or(0, |last| last.time.0) - self.day[0].time.0;
        let days = span / DAY + 1;
        let repeat = |index: usize| {
            let mut tick = self.day[index % self.day.len()];
            tick.time = Time(tick.time.0 + (index / self.day.len()) as i64 * days * DAY);
            tick
        };
        (0..count).map(repeat).collect()
    }

    /// The export, opened at its beginning.
    pub fn open(&self) -> anyhow::Result<Vec<NamedFeed>> {
        self.files.open(&self.instruments, TimeRange::ALL)
    }

    /// A feed of ticks in memory, as a session takes it.
    pub fn feed(&self, feed: impl pawl_engine::port::Feed + 'static) -> Vec<NamedFeed> {
        let feed = Box::new(feed);
        vec![NamedFeed {
            feed,
            instrument: InstrumentId(0),
            origin: self.origin.clone(),
            utc_offset: Span(0),
        }]
    }
}

/// Writes a synthetic day as MetaTrader 5 exports ticks.
fn write_synthetic(path: &Path, instrument: &Instrument, ticks: u64) -> anyhow::Result<()> {
    let duration = Span(DAY);
    let settings = SyntheticSettings {
        start: Time(START.0.div_euclid(DAY) * DAY),
        duration,
        ticks,
        ..Default::default()
    };
    let mut feed = Synthetic::new(settings, InstrumentId(0), instrument)?;
    let ticks = Memory::from_feed(&mut feed)?;
    let digits = usize::from(instrument.digits);
    let price = |points: i64| {
        let scale = 10_i64.pow(digits as u32);
        format!("{}.{:0digits$}", points / scale, points % scale)
    };
    let mut text = String::from("<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n");
    for tick in ticks.ticks() {
        let time = time_text(tick.time);
        let (date, clock) = (time[..10].replace('-', "."), &time[11..23]);
        let (bid, ask) = (price(tick.bid.0), price(tick.ask.0));
        write!(text, "{date}\t{clock}\t{bid}\t{ask}\t\t\t6\r\n").context("formatted")?;
    }
    let written = || {
        let mut out = GzEncoder::new(File::create(path)?, Compression::default());
        out.write_all(text.as_bytes())?;
        out.finish()?.sync_all()
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}
