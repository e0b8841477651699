//! `FeedFiles`: the files behind every feed of a configuration, found and put in order once, opened as often as wanted.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use pawl_adapters::feed::{Exports, TimeRange};
use pawl_engine::instrument::{self, Instrument};
use pawl_engine::quantity::Span;
use pawl_journal::record::{InstrumentId, Time};

use crate::config::Config;
use crate::output::time_text;
use crate::session::NamedFeed;

/// Days that are named in a note, at most.
const DAYS_NAMED_MAX: usize = 5;

/// The files behind every feed of a configuration.
#[derive(Debug)]
pub struct FeedFiles(Vec<FeedFile>);

#[derive(Debug)]
struct FeedFile {
    symbol: String,
    utc_offset: Span,
    exports: Exports,
}

/// No feed has a tick in the range.
#[derive(Debug, thiserror::Error)]
#[error("no feed has a tick from {} up to {}: check --from and --until against the files", end(.0.from), end(.0.until))]
pub struct NoTicks(TimeRange);

/// An end of a range, as people read it.
fn end(time: Time) -> String {
    let TimeRange { from, until } = TimeRange::ALL;
    match time {
        it if it == from => "the beginning".to_owned(),
        it if it == until => "the end".to_owned(),
        it => time_text(it).trim_end_matches(".000000000Z").to_owned(),
    }
}

impl FeedFiles {
    /// Finds the files of every feed and puts them in order. Says on stderr which days have none.
    pub fn find(config: &Config, instruments: &[Instrument]) -> anyhow::Result<Self> {
        let mut feeds = Vec::new();
        for feed in &config.feed {
            let (symbol, utc_offset) = (feed.symbol.clone(), feed.utc_offset);
            let (_, definition) = find(instruments, &symbol)?;
            let mut paths = Vec::new();
            for pattern in feed.file.patterns() {
                paths.extend(expand(pattern, &symbol)?);
            }
            if let Some(foreign) =
                paths.iter().skip(usize::from(paths.len() == 1)).find_map(|it| foreign(it, &symbol))
            {
                bail!(
                    "{foreign} is named after another symbol than {symbol}: leave it out of the files of {symbol}, or rename it"
                );
            }
            // Whatever is wrong with them here, no run has begun.
            let exports =
                Exports::in_order(&paths, definition, utc_offset).map_err(|error| anyhow!(error.message))?;
            tell_missing(&symbol, &exports);
            feeds.push(FeedFile { symbol, utc_offset, exports });
        }
        Ok(Self(feeds))
    }

    /// Opens every feed at the beginning of a range.
    ///
    /// # Errors
    /// [`NoTicks`] if there is nothing in the range.
    pub fn open(&self, instruments: &[Instrument], range: TimeRange) -> anyhow::Result<Vec<NamedFeed>> {
        let mut feeds = Vec::new();
        let mut is_empty = true;
        for FeedFile { symbol, utc_offset, exports } in &self.0 {
            let (instrument, definition) = find(instruments, symbol)?;
            let feed = exports.open(instrument, definition, range)?;
            is_empty &= feed.is_empty();
            feeds.push(NamedFeed {
                feed: Box::new(feed),
                instrument,
                origin: origin(exports, range),
                utc_offset: *utc_offset,
            });
        }
        if is_empty {
            return Err(NoTicks(range).into());
        }
        Ok(feeds)
    }
}

fn find<'a>(instruments: &'a [Instrument], symbol: &str) -> anyhow::Result<(InstrumentId, &'a Instrument)> {
    instrument::find(instruments, symbol).context("every feed's symbol is in the table")
}

/// The files that a text of the command line or the configuration means.
fn expand(pattern: &str, symbol: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = Path::new(pattern);
    if path.is_dir() {
        let mut found = Vec::new();
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read the folder {pattern}"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read the folder {pattern}"))?;
            let is_of_symbol = entry
                .file_name()
                .to_str()
                .and_then(|name| name.strip_prefix(symbol))
                .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()));
            if is_of_symbol && entry.path().is_file() {
                found.push(entry.path());
            }
        }
        if found.is_empty() {
            bail!(
                "{pattern}: no file in this folder is named after {symbol}, such as {symbol}-2024-01-02.csv.gz: name the \
                 files, or quote a pattern such as '{}/*.csv.gz'",
                pattern.trim_end_matches('/')
            );
        }
        return Ok(found);
    }
    if path.exists() || !pattern.contains(['*', '?', '[']) {
        return Ok(vec![path.to_owned()]);
    }
    let matches = glob::glob(pattern).with_context(|| format!("{pattern} is no pattern of file names"))?;
    let mut found = Vec::new();
    for path in matches {
        let path = path.with_context(|| format!("cannot look for {pattern}"))?;
        if !path.is_dir() {
            found.push(path);
        }
    }
    if found.is_empty() {
        bail!("{pattern}: no file has such a name: check the folder and the pattern");
    }
    Ok(found)
}

/// The file's path, if its name begins with a well-known symbol that is another one.
fn foreign(path: &Path, symbol: &str) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let token = name.split(|letter: char| !letter.is_ascii_alphanumeric()).next()?;
    let is_other = Instrument::well_known(token).is_some() && !symbol.contains(token);
    is_other.then(|| path.display().to_string())
}

/// Where the ticks of a run came from, in a few words.
fn origin(exports: &Exports, range: TimeRange) -> String {
    let (mut paths, count) = (exports.paths(), exports.paths().len());
    let name = |path: Option<&Path>| path.map(|path| path.display().to_string()).unwrap_or_default();
    let mut origin = name(paths.next());
    if count > 1 {
        origin = format!("{origin} .. {} ({count} files)", name(paths.last()));
    }
    if range != TimeRange::ALL {
        origin = format!("{origin}, from {} up to {}", end(range.from), end(range.until));
    }
    origin
}

/// Says which days have no file: they may be holidays, or lost.
fn tell_missing(symbol: &str, exports: &Exports) {
    let missing = exports.missing_days();
    if missing.is_empty() {
        return;
    }
    let mut named: Vec<String> = missing.iter().take(DAYS_NAMED_MAX).map(ToString::to_string).collect();
    if missing.len() > DAYS_NAMED_MAX {
        named.push(format!("and {} more", missing.len() - DAYS_NAMED_MAX));
    }
    eprintln!("pawl: note: {symbol} has no file that begins on {}", named.join(", "));
}
