//! How many ticks a second does each feed give, alone on one thread?
//!
//! ```text
//! bytes in memory --> Mt5Export --> count     (plain: parsing; gzip: unpacking and parsing)
//! seed -------------> Synthetic --> count
//! ticks in memory --> Memory -----> count     (the base: what the call itself costs)
//! ```
//!
//! A regression here makes backtests slower than the pipeline. Best and median of several rounds; every round's
//! answer is checked. `cargo run --release -p pawl-adapters --example feed_speed [FILE SYMBOL]`; without a file it
//! writes a synthetic session as an export and reads that.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{Cursor, Read as _, Write as _};
use std::time::Instant;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use pawl_adapters::feed::{Memory, Mt5Export, Synthetic, SyntheticSettings};
use pawl_engine::instrument::Instrument;
use pawl_engine::port::{Feed, FeedError, FeedTick};
use pawl_journal::record::{InstrumentId, Points, Time};

const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
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
    let repeats = 1_000_000_u64.div_ceil(lines);
    let header = text.iter().position(|byte| *byte == b'\n').ok_or("no header")? + 1;
    let mut long = text[..header].to_vec();
    (0..repeats).for_each(|_| long.extend_from_slice(&text[header..]));
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&long)?;
    let packed = packed.finish()?;
    let open = |bytes: &[u8]| -> Result<Box<dyn Feed>, FeedError> {
        let reader = Box::new(Cursor::new(bytes.to_vec()));
        Ok(Box::new(Mt5Export::from_reader("memory", reader, None, InstrumentId(0), &definition)?))
    };
    let memory = Memory::from_feed(open(&long)?.as_mut())?;
    let made_up = SyntheticSettings { ticks: 1_000_000, ..SyntheticSettings::default() };
    let expected = lines * repeats;
    println!("{expected} rows, {} bytes plain, {} bytes gzip", long.len(), packed.len());
    measure("memory", Some(expected), || Ok(Box::new(memory.clone())))?;
    measure("export, plain", Some(expected), || open(&long))?;
    measure("export, gzip", Some(expected), || open(&packed))?;
    measure("synthetic", None, || Ok(Box::new(Synthetic::new(made_up, InstrumentId(0), &definition)?)))?;
    Ok(())
}

fn measure(
    name: &str,
    expected: Option<u64>,
    mut open: impl FnMut() -> Result<Box<dyn Feed>, FeedError>,
) -> Result<(), Box<dyn Error>> {
    let mut rates = Vec::with_capacity(ROUNDS);
    let mut digests = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let mut feed = open()?;
        let (mut count, mut digest) = (0_u64, 0_i64);
        let start = Instant::now();
        while let Some(FeedTick { time: Time(time), bid: Points(bid), ask: Points(ask), .. }) = feed.next()? {
            count += 1;
            digest = digest.rotate_left(1) ^ time ^ bid ^ ask.rotate_left(32);
        }
        rates.push(count as f64 / start.elapsed().as_secs_f64());
        digests.push(digest);
        if expected.is_some_and(|expected| expected != count) {
            return Err(format!("{name}: {count} ticks").into());
        }
    }
    if digests.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(format!("{name}: rounds differ").into());
    }
    rates.sort_by(f64::total_cmp);
    let (best, median) = (rates[ROUNDS - 1] / 1e6, rates[ROUNDS / 2] / 1e6);
    println!(
        "{name:<14} best {best:>7.2} M ticks/s   median {median:>7.2} M ticks/s   digest {:016x}",
        digests[0]
    );
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
