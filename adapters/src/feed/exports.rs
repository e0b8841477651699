//! `Exports`: the files of one symbol, put in order, and read one after the other as one feed.
//!
//! ```text
//!  files   2024-01-01   2024-01-02   ..        in the order of their first ticks, whatever they are called
//!  ticks   1 .. n       n+1 .. m     ..        numbered on from file to file
//! ```
//!
//! Invariants: one file is open at a time; no tick is delivered that is later than the first tick of the next file, so
//! files that overlap are told, never merged. A blank price at the beginning of a file is that of the tick before.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use pawl_engine::instrument::Instrument;
use pawl_engine::port::{Feed, FeedError, FeedTick};
use pawl_engine::quantity::Span;
use pawl_journal::record::{InstrumentId, Time};

use super::{Between, Mt5Export, TimeRange, take_to};

/// Most files of one symbol: eleven years of days.
const FILES_MAX: usize = 4_096;

/// The exports of one symbol in the order of their content. Cheap to clone: the order is found once.
#[derive(Debug, Clone)]
pub struct Exports {
    parts: Arc<[Part]>,
    offset: Span,
}

/// One file.
#[derive(Debug, Clone)]
struct Part {
    path: PathBuf,
    /// Its first tick; the beginning of time for an only file, which is not read before its time.
    first: Time,
    bytes: u64,
}

impl Exports {
    /// Puts files in the order of their first ticks. `offset` is how far their clock is ahead of UTC.
    ///
    /// # Errors
    /// [`FeedError`] if there is no file or there are too many, if one of several cannot be read or has no tick, or if
    /// two begin at the same time. An only file is looked at when it is opened.
    pub fn in_order(paths: &[PathBuf], definition: &Instrument, offset: Span) -> Result<Self, FeedError> {
        let symbol = &definition.symbol;
        if paths.is_empty() {
            return Err(content(format!("{symbol} has no file: name one, or a folder, or a pattern")));
        }
        if paths.len() > FILES_MAX {
            return Err(content(format!(
                "{symbol} has {} files: at most {FILES_MAX} are one feed; join days to months",
                paths.len()
            )));
        }
        let mut parts = Vec::with_capacity(paths.len());
        for path in paths {
            let about = std::fs::metadata(path).ok();
            let first = if paths.len() == 1 {
                Time(i64::MIN)
            } else {
                if about.as_ref().is_some_and(|it| !it.is_file() && !it.is_dir()) {
                    return Err(FeedError {
                        message: format!(
                            "{}: is no regular file: a pipe can only be the one file of its symbol",
                            path.display()
                        ),
                        environment: true,
                    });
                }
                let mut file = export(path, InstrumentId(0), definition, offset)?;
                file.next()?.map_or(Time(i64::MIN), |tick| tick.time)
            };
            parts.push(Part { path: path.clone(), first, bytes: about.map_or(0, |it| it.len()) });
        }
        parts.sort_by(|a, b| (a.first, &a.path).cmp(&(b.first, &b.path)));
        for pair in parts.windows(2) {
            if pair[0].first == pair[1].first {
                return Err(content(format!(
                    "{} and {} both begin at {}: leave one of them out, each tick is to come once",
                    pair[0].path.display(),
                    pair[1].path.display(),
                    time_text(pair[0].first)
                )));
            }
        }
        Ok(Self { parts: parts.into(), offset })
    }

    /// The files, in order.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.parts.iter().map(|part| part.path.as_path())
    }

    /// The days on which no file begins, where most begin a few days behind the one before: Saturdays and Sundays only if
    /// some file begins on one. They may be holidays.
    #[must_use]
    pub fn missing_days(&self) -> Vec<Date> {
        const DAY: i64 = 86_400 * Time::SECOND;
        // A weekend and a holiday apart at most; files of a week or a month are further.
        let close =
            self.parts.windows(2).filter(|pair| pair[1].first.0 - pair[0].first.0 <= 4 * DAY + DAY / 2);
        if 2 * close.count() < self.parts.len() {
            return Vec::new();
        }
        let day = |part: &Part| {
            let at = Timestamp::from_nanosecond(i128::from(part.first.0) + i128::from(self.offset.0)).ok()?;
            Some(at.to_zoned(TimeZone::UTC).date())
        };
        let days: Vec<Date> = self.parts.iter().filter_map(day).collect();
        let is_off = |date: &Date| {
            matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
                && !days.iter().any(|known| known.weekday() == date.weekday())
        };
        let between = |pair: &[Date]| {
            let last = pair[1];
            pair[0]
                .tomorrow()
                .ok()
                .map(move |next| next.series(jiff::Span::new().days(1)).take_while(move |it| *it < last))
        };
        days.windows(2).filter_map(between).flatten().filter(|date| !is_off(date)).collect()
    }

    /// The feed of what lies in `range`, for an instrument.
    ///
    /// # Errors
    /// [`FeedError`] if the first file that is needed cannot be read, or the ticks before the range cannot.
    pub fn open(
        &self,
        instrument: InstrumentId,
        definition: &Instrument,
        range: TimeRange,
    ) -> Result<Between, FeedError> {
        let needed: Vec<usize> = (0..self.parts.len())
            .filter(|&at| {
                let is_before = self.parts.get(at + 1).is_some_and(|next| next.first < range.from);
                !is_before && self.parts[at].first < range.until
            })
            .collect();
        let at = needed.first().copied().unwrap_or(0);
        let until = needed.last().map_or(at + 1, |last| last + 1);
        let bytes = self.parts[at..until].iter().map(|part| part.bytes).sum();
        let series = Series {
            file: export(&self.parts[at].path, instrument, definition, self.offset)?,
            name: self.parts[at].path.display().to_string(),
            definition: definition.clone(),
            instrument,
            exports: self.clone(),
            at,
            until,
            delivered: 0,
            bytes,
            bytes_before: 0,
        };
        Between::open(Box::new(series), range)
    }
}

fn export(
    path: &Path,
    instrument: InstrumentId,
    definition: &Instrument,
    offset: Span,
) -> Result<Mt5Export, FeedError> {
    Ok(Mt5Export::open(path, instrument, definition)?.with_server_offset(offset))
}

/// Files that follow each other, as one feed.
#[derive(Debug)]
struct Series {
    exports: Exports,
    definition: Instrument,
    instrument: InstrumentId,
    /// The open file, its place, and the place behind the last one that is read.
    file: Mt5Export,
    at: usize,
    until: usize,
    name: String,
    delivered: u64,
    bytes: u64,
    bytes_before: u64,
}

impl Series {
    /// Refuses a tick that belongs behind the beginning of the next file.
    #[inline]
    fn check_order(&self, time: Time) -> Result<(), FeedError> {
        match self.exports.parts.get(self.at + 1) {
            Some(next) if time > next.first => Err(content(format!(
                "{}: goes on at {}, but {} begins at {} already: the two overlap; leave one of them out, or cut it",
                self.name,
                time_text(time),
                next.path.display(),
                time_text(next.first)
            ))),
            _ => Ok(()),
        }
    }
}

/// [`Between`] sees to it that nobody asks on behind the end or an error.
impl Feed for Series {
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        loop {
            if let Some(mut tick) = self.file.next()? {
                self.check_order(tick.time)?;
                self.delivered += 1;
                tick.source_sequence = self.delivered;
                return Ok(Some(tick));
            }
            if self.at + 1 >= self.until {
                return Ok(None);
            }
            self.bytes_before += self.exports.parts[self.at].bytes;
            self.at += 1;
            let path = &self.exports.parts[self.at].path;
            self.name = path.display().to_string();
            let (bid, ask) = self.file.quote();
            self.file =
                export(path, self.instrument, &self.definition, self.exports.offset)?.with_quote(bid, ask);
        }
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        let reached = self.delivered;
        take_to(self, reached, source_sequence)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn progress(&self) -> Option<f64> {
        let own = self.exports.parts[self.at].bytes as f64 * self.file.progress()?;
        Some(if self.bytes == 0 { 1.0 } else { (self.bytes_before as f64 + own) / self.bytes as f64 })
    }
}

fn content(message: String) -> FeedError {
    FeedError { message, environment: false }
}

fn time_text(time: Time) -> String {
    Timestamp::from_nanosecond(i128::from(time.0))
        .map_or_else(|_| time.0.to_string(), |timestamp| timestamp.to_string())
}

#[cfg(test)]
mod tests;
