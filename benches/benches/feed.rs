//! How many ticks a second does each feed give?
//!
//! ```text
//! ticks in memory --> Memory ----------------> count     (the base: what the call itself costs)
//! gzip in memory ---> gunzip ----------------> count     (the floor of what is packed)
//! bytes in memory --> Mt5Export -------------> count     (plain: parsing; gzip: unpacking and parsing)
//! gzip in memory ---> Mt5Export --> Ahead ---> count     (as whoever takes the ticks sees it)
//! seed -------------> Synthetic -------------> count
//! the same feeds ---> ingress > all stages > journal     (a run in one thread; from the first input to the last step)
//! ```
//!
//! A regression here makes backtests slower than the pipeline. Rounds are interleaved, every round's answer is checked;
//! the best and the median of each row are told. `cargo bench -p pawl-benches --bench feed [-- FILE SYMBOL]`; without a
//! file it writes a synthetic session as an export and reads that.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{Cursor, Read as _, Write as _};
use std::sync::Arc;
use std::time::Instant;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use pawl_adapters::feed::{Ahead, Memory, Mt5Export, Synthetic, SyntheticSettings};
use pawl_adapters::venue::{Paper, PaperSettings};
use pawl_engine::feature::FeatureSettings;
use pawl_engine::inference::{AgentSettings, Models, RuleSettings, SignalSettings, Trigger};
use pawl_engine::instrument::Instrument;
use pawl_engine::order::OrderSettings;
use pawl_engine::pipeline::Pipeline;
use pawl_engine::port::{Feed, FeedError, FeedTick};
use pawl_engine::risk::RiskSettings;
use pawl_engine::runtime::{
    IngressSettings, Progress, RingFull, Run, RunOptions, RunTexts, Sources, Threading,
};
use pawl_engine::settings::{AccountSettings, CheckpointSettings, Settings};
use pawl_journal::log::JournalOptions;
use pawl_journal::record::{InstrumentId, Points, Time};
use tempfile::TempDir;

const ROUNDS: usize = 15;

/// How often the file's ticks are read in a round, to come to so many.
const TICKS_MIN: u64 = 1_000_000;

/// What a round came to: ticks, and a digest of them.
type Answer = (u64, i64);

/// A row: its name, and what prepares a round of it, which does not count.
type Row<'a> = (&'static str, Box<dyn Fn() -> Result<Round<'a>, Box<dyn Error>> + 'a>);

/// A round, and a directory that it writes in.
struct Round<'a> {
    work: Box<dyn FnOnce() -> Result<Answer, Box<dyn Error>> + 'a>,
    home: Option<TempDir>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let is_smoke = std::env::args().any(|argument| argument == "--smoke");
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let file = arguments.next();
    let symbol = arguments.next().unwrap_or_else(|| "EURUSD".to_owned());
    let definition = Instrument::well_known(&symbol).ok_or("the symbol is not well known")?;
    let text = match file {
        Some(file) => plain(std::fs::read(file)?)?,
        None => export(
            &mut Synthetic::new(SyntheticSettings::default(), InstrumentId(0), &definition)?,
            &definition,
        )?,
    };
    let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64 - 1;
    let repeats = if is_smoke { 1 } else { TICKS_MIN.div_ceil(lines) };
    let header = text.iter().position(|byte| *byte == b'\n').ok_or("no header")? + 1;
    let mut long = text[..header].to_vec();
    (0..repeats).for_each(|_| long.extend_from_slice(&text[header..]));
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&long)?;
    let packed = packed.finish()?;
    let ticks = lines * repeats;
    println!("{ticks} ticks, {} bytes plain, {} bytes gzip", long.len(), packed.len());

    let open = |bytes: &[u8]| -> Result<Mt5Export, FeedError> {
        let reader = Box::new(Cursor::new(bytes.to_vec()));
        Mt5Export::from_reader("memory", reader, None, InstrumentId(0), &definition)
    };
    let memory = Memory::from_feed(&mut open(&long)?)?;
    let made_up = SyntheticSettings { ticks: ticks.min(TICKS_MIN), ..SyntheticSettings::default() };
    let rows: Vec<Row<'_>> = vec![
        ("memory (the base)", Box::new(|| Ok(drained(memory.clone())))),
        ("gunzip alone", Box::new(|| Ok(unpacked(&packed, ticks)))),
        ("export, plain", Box::new(|| Ok(drained(open(&long)?)))),
        ("export, gzip", Box::new(|| Ok(drained(open(&packed)?)))),
        ("export, gzip, ahead", Box::new(|| Ok(drained(Ahead::of(Box::new(open(&packed)?)))))),
        ("synthetic", Box::new(|| Ok(drained(Synthetic::new(made_up, InstrumentId(0), &definition)?)))),
        ("run, memory", Box::new(|| run(Box::new(memory.clone()), &definition))),
        ("run, gzip", Box::new(|| run(Box::new(open(&packed)?), &definition))),
        ("run, gzip, ahead", Box::new(|| run(Box::new(Ahead::of(Box::new(open(&packed)?))), &definition))),
    ];
    measure(&rows, if is_smoke { 1 } else { ROUNDS })
}

fn drained<'a>(mut feed: impl Feed + 'a) -> Round<'a> {
    let work = Box::new(move || {
        let feed: &mut dyn Feed = &mut feed;
        let (mut count, mut digest) = (0_u64, 0_i64);
        while let Some(FeedTick { time: Time(time), bid: Points(bid), ask: Points(ask), .. }) = feed.next()? {
            count += 1;
            digest = digest.rotate_left(1) ^ time ^ bid ^ ask.rotate_left(32);
        }
        Ok((count, digest))
    });
    Round { work, home: None }
}

fn unpacked(packed: &[u8], ticks: u64) -> Round<'_> {
    let work = Box::new(move || {
        let (mut source, mut buffer) = (MultiGzDecoder::new(packed), vec![0; 128 << 10]);
        let mut bytes = 0;
        loop {
            match source.read(&mut buffer)? {
                0 => return Ok((ticks, bytes)),
                count => bytes += count as i64,
            }
        }
    });
    Round { work, home: None }
}

/// A run over this feed, all columns and a rule, into a journal that is removed behind it.
fn run<'a>(feed: Box<dyn Feed>, definition: &Instrument) -> Result<Round<'a>, Box<dyn Error>> {
    let rule = RuleSettings { fast: "sma_10".into(), slow: "sma_30".into() };
    let settings = Settings {
        account: AccountSettings::default(),
        instruments: vec![definition.clone()],
        ingress: IngressSettings::default(),
        features: FeatureSettings::default(),
        agents: vec![AgentSettings { rule: Some(rule), on: Trigger::Bar, ..AgentSettings::named("cross") }],
        signal: SignalSettings::default(),
        risk: RiskSettings::default(),
        order: OrderSettings::default(),
        checkpoint: CheckpointSettings::default(),
    };
    let pipeline = Pipeline::new(&settings, &Models::new("."))?;
    let venue = Paper::new(&PaperSettings::default(), &settings.instruments)?;
    let options = RunOptions {
        threading: Threading::Single,
        cores: Vec::new(),
        waits: Vec::new(),
        ring_slots: 1_024,
        on_ring_full: RingFull::Halt,
        speed: None,
        stamps: true,
        journal: JournalOptions::default(),
    };
    let (_, commands) = crossbeam_channel::bounded(0);
    let sources = Sources {
        feeds: vec![(feed, InstrumentId(0))],
        venue: Box::new(venue),
        commands,
        stop: Arc::default(),
    };
    let home = tempfile::tempdir()?;
    let (texts, progress) = (RunTexts::default(), Arc::new(Progress::default()));
    let journal = home.path().join("journal");
    let run = Run::prepare(&journal, &settings, pipeline, &texts, options, sources, &progress)?.begin()?;
    let work = Box::new(move || {
        let outcome = run.drive()?;
        Ok((progress.status().ticks, outcome.last.0 as i64))
    });
    Ok(Round { work, home: Some(home) })
}

/// Runs the rows in turns, and prints the best and the median of each.
fn measure(rows: &[Row<'_>], rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut found: Vec<(Vec<f64>, Option<Answer>)> = vec![(Vec::new(), None); rows.len()];
    for _ in 0..rounds {
        for ((name, prepare), (rates, known)) in rows.iter().zip(&mut found) {
            let Round { work, home } = prepare()?;
            let start = Instant::now();
            let answer = work()?;
            rates.push(start.elapsed().as_secs_f64() * 1e9 / answer.0 as f64);
            drop(home);
            if *known.get_or_insert(answer) != answer {
                return Err(format!("{name}: rounds differ").into());
            }
        }
    }
    println!("{:<20} {:>9} {:>9} {:>12}   digest", "ns per tick", "best", "median", "M ticks/s");
    for ((name, _), (rates, answer)) in rows.iter().zip(&mut found) {
        rates.sort_by(f64::total_cmp);
        let (best, median) = (rates[0], rates[rates.len() / 2]);
        let digest = answer.map_or(0, |(_, digest)| digest);
        println!("{name:<20} {best:>9.1} {median:>9.1} {:>12.2}   {digest:016x}", 1e3 / median);
    }
    Ok(())
}

fn plain(bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text)?;
    Ok(text)
}

/// A feed as MetaTrader 5 would export it.
fn export(feed: &mut dyn Feed, definition: &Instrument) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut text = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n".to_owned();
    while let Some(tick) = feed.next()? {
        let ms = tick.time.0 / Time::MILLISECOND;
        let (day, rest) = (ms / 86_400_000, ms % 86_400_000);
        let date =
            jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(day))?.strftime("%Y.%m.%d");
        let (bid, ask) = (definition.price_text(tick.bid), definition.price_text(tick.ask));
        let (s, ms) = (rest / 1_000, rest % 1_000);
        writeln!(
            text,
            "{date}\t{:02}:{:02}:{:02}.{ms:03}\t{bid}\t{ask}\t\t\t{}",
            s / 3_600,
            s / 60 % 60,
            s % 60,
            tick.flags.0
        )?;
    }
    Ok(text.into_bytes())
}
