//! `Mt5Export`: ticks from a file as MetaTrader 5 exports them.
//!
//! ```text
//! <DATE>      <TIME>        <BID>    <ASK>    <LAST>  <VOLUME>  <FLAGS>      tab separated; columns found by name
//! 2019.02.04  00:00:00.994  1.14543  1.14545                    6            plain or gzip, UTF-8 or UTF-16
//! 2019.02.04  00:00:01.271  1.14544                             2            a blank bid or ask is unchanged
//! ```
//!
//! A tick's place in the feed is the number of its data row, from 1. Prices are read digit by digit into points.
//! What can be read is delivered, however odd it is; ingress marks it. What cannot be read ends the feed with an
//! error that names file and line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use pawl_engine::instrument::Instrument;
use pawl_engine::port::{Feed, FeedError, FeedTick};
use pawl_engine::quantity::{Decimal, Span};
use pawl_journal::record::{InstrumentId, Lots, Points, TickFlags, Time};

use super::columns::{Column, Columns, Row, quote};
use super::lines::{LINE_BYTES_MAX, Lines, LinesError};
use super::number::{self, DIGITS_MAX, NumberError};
use super::{moment, quick, take_to};

/// The bits of `<FLAGS>` that MT5 documents (MQL5 reference, MqlTick); terminals write others, which say nothing here.
const FLAGS_KNOWN: u32 = 0x7e;

/// Ticks from a file as MetaTrader 5 exports them.
pub struct Mt5Export {
    name: String,
    lines: Lines,
    columns: Columns,
    parser: Parser,
    bytes: Option<u64>,
    rows: u64,
}

impl std::fmt::Debug for Mt5Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mt5Export")
            .field("name", &self.name)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// What turns a row into a tick, and what it remembers of the row before.
#[derive(Debug, Clone)]
struct Parser {
    definition: Instrument,
    instrument: InstrumentId,
    offset: i64,
    date: [u8; 10],
    midnight: i64,
    bid: i64,
    ask: i64,
}

/// Why a row is no tick.
#[derive(Debug)]
enum RowError {
    /// It has another number of fields than the header.
    Fields(usize),
    /// This field is not what its column holds; what would be right.
    Field(Column, &'static str),
    /// This field is no number of points.
    Number(Column, NumberError),
}

impl Mt5Export {
    /// Opens an export of this instrument and reads its header.
    ///
    /// Times are those in the file; see [`Self::with_server_offset`].
    ///
    /// # Errors
    /// [`FeedError`] if the file cannot be opened (`environment` is set then), is empty, is no text or lacks a column.
    pub fn open(path: &Path, instrument: InstrumentId, definition: &Instrument) -> Result<Self, FeedError> {
        let name = path.display().to_string();
        let unreadable = |error: std::io::Error| FeedError {
            message: format!("{name}: cannot be opened: {error}: check the path and the permissions"),
            environment: true,
        };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(FeedError {
                message: format!("{name}: is a directory: give a file"),
                environment: true,
            });
        }
        let bytes = metadata.is_file().then_some(metadata.len());
        Self::from_reader(name, Box::new(file), bytes, instrument, definition)
    }

    /// Reads an export from anything that gives its bytes; `bytes` is how many there are, if that is known.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_reader(
        name: impl Into<String>,
        reader: Box<dyn Read + Send>,
        bytes: Option<u64>,
        instrument: InstrumentId,
        definition: &Instrument,
    ) -> Result<Self, FeedError> {
        let name = name.into();
        let mut lines = Lines::new(reader);
        let columns = match lines.next() {
            Ok(Some(header)) => {
                Columns::from_header(header).map_err(|problem| content(&name, Some(1), &problem))?
            }
            Ok(None) => {
                return Err(content(&name, None, "is empty: export the ticks again, or give another file"));
            }
            Err(error) => return Err(no_more_lines(&name, 0, error)),
        };
        let parser = Parser {
            definition: definition.clone(),
            instrument,
            offset: 0,
            date: *b"1970.01.01",
            midnight: 0,
            bid: 0,
            ask: 0,
        };
        Ok(Self { name, lines, columns, parser, bytes, rows: 0 })
    }

    /// Takes the times in the file for those of a server whose clock is this much ahead of UTC (behind, if negative).
    #[must_use]
    pub const fn with_server_offset(mut self, offset: Span) -> Self {
        self.parser.offset = offset.0;
        self
    }

    /// Takes blank prices at the beginning for unchanged from these.
    #[must_use]
    pub const fn with_quote(mut self, bid: Points, ask: Points) -> Self {
        (self.parser.bid, self.parser.ask) = (bid.0, ask.0);
        self
    }

    /// Bid and ask of the tick that was delivered last.
    #[must_use]
    pub const fn quote(&self) -> (Points, Points) {
        (Points(self.parser.bid), Points(self.parser.ask))
    }

    /// Data rows read so far: the place of the tick that was delivered last.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }
}

impl Feed for Mt5Export {
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        loop {
            match self.lines.next() {
                Ok(Some([])) => {}
                Ok(Some(line)) => {
                    let mut tick = match self.parser.tick(line, &self.columns) {
                        Ok(tick) => tick,
                        Err(error) => {
                            let problem = self.parser.explain(&error, line, &self.columns);
                            self.lines.close();
                            return Err(content(&self.name, Some(self.lines.number()), &problem));
                        }
                    };
                    self.rows += 1;
                    tick.source_sequence = self.rows;
                    return Ok(Some(tick));
                }
                Ok(None) if self.rows == 0 => {
                    let problem = "has a header and no ticks: export a range that has some";
                    return Err(content(&self.name, None, problem));
                }
                Ok(None) => return Ok(None),
                Err(error) => return Err(no_more_lines(&self.name, self.lines.number(), error)),
            }
        }
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        let reached = self.rows;
        take_to(self, reached, source_sequence)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn progress(&self) -> Option<f64> {
        let bytes = self.bytes?;
        Some(if bytes == 0 { 1.0 } else { (self.lines.bytes_done() / bytes as f64).min(1.0) })
    }
}

impl Parser {
    #[inline]
    fn tick(&mut self, line: &[u8], columns: &Columns) -> Result<FeedTick, RowError> {
        if columns.are_as_exported()
            && let Some(quote) = quick::quote(line, &self.date, self.definition.digits)
        {
            (self.bid, self.ask) = (quote.bid.unwrap_or(self.bid), quote.ask.unwrap_or(self.ask));
            return Ok(FeedTick {
                time: self.time_at(quote.since_midnight),
                source_sequence: 0,
                bid: Points(self.bid),
                ask: Points(self.ask),
                last: Points(0),
                volume: Lots(0),
                instrument: self.instrument,
                flags: known_flags(quote.flags),
            });
        }
        self.careful_tick(line, columns)
    }

    /// Any row that is one, however it is written.
    fn careful_tick(&mut self, line: &[u8], columns: &Columns) -> Result<FeedTick, RowError> {
        let row = Row::split(line, columns).map_err(RowError::Fields)?;
        let field = |column| row.field(columns, column);
        let time = self.time(field(Column::Date), field(Column::Time))?;
        let before = (self.bid, self.ask);
        let price = |column, blank| match field(column) {
            [] => Ok(blank),
            text => {
                number::points(text, self.definition.digits).map_err(|error| RowError::Number(column, error))
            }
        };
        let (bid, ask, last) =
            (price(Column::Bid, before.0)?, price(Column::Ask, before.1)?, price(Column::Last, 0)?);
        let volume = self.volume(field(Column::Volume))?;
        let flags = match field(Column::Flags) {
            [] => changes(before, (bid, ask), last, volume),
            text => known_flags(number::whole(text).ok_or(RowError::Field(Column::Flags, "a whole number"))?),
        };
        (self.bid, self.ask) = (bid, ask);
        Ok(FeedTick {
            time,
            source_sequence: 0,
            bid: Points(bid),
            ask: Points(ask),
            last: Points(last),
            volume,
            instrument: self.instrument,
            flags,
        })
    }

    #[inline]
    fn time(&mut self, date: &[u8], time: &[u8]) -> Result<Time, RowError> {
        if !<&[u8; 10]>::try_from(date).is_ok_and(|date| *date == self.date) {
            let wrong = RowError::Field(Column::Date, "a date such as 2019.02.04, from 1970 to 2261");
            self.midnight = moment::midnight(date).ok_or(wrong)?;
            self.date.copy_from_slice(date);
        }
        let since = moment::time_of_day(time)
            .ok_or(RowError::Field(Column::Time, "a time such as 23:59:59 or 23:59:59.123"))?;
        Ok(self.time_at(since))
    }

    #[inline]
    const fn time_at(&self, since_midnight: i64) -> Time {
        Time((self.midnight + since_midnight).saturating_sub(self.offset))
    }

    /// A volume in whole volume steps, rounded down.
    #[inline]
    fn volume(&self, text: &[u8]) -> Result<Lots, RowError> {
        if text.is_empty() {
            return Ok(Lots(0));
        }
        match number::points(text, DIGITS_MAX) {
            Ok(volume) if volume >= 0 => Ok(self.definition.lots_floor(Decimal(volume))),
            Ok(_) => Err(RowError::Field(Column::Volume, "a volume, 0 or above")),
            Err(error) => Err(RowError::Number(Column::Volume, error)),
        }
    }

    #[cold]
    fn explain(&self, error: &RowError, line: &[u8], columns: &Columns) -> String {
        let text = |column| match Row::split(line, columns) {
            Ok(row) => quote(row.field(columns, column)),
            Err(_) => quote(line),
        };
        let Instrument { symbol, digits, .. } = &self.definition;
        match *error {
            RowError::Fields(found) => format!(
                "`{}` has {found} fields where the header names {}: the file was cut or edited; export it again",
                quote(line),
                columns.count()
            ),
            RowError::Field(column, wanted) => {
                format!("{} `{}` is not {wanted}: correct or remove the line", column.name(), text(column))
            }
            RowError::Number(column, NumberError::Shape) => format!(
                "{} `{}` is not a number such as 1.14543: correct or remove the line",
                column.name(),
                text(column)
            ),
            RowError::Number(column @ Column::Volume, _) => format!(
                "{} `{}` is not a volume of at most 1000000 with at most {DIGITS_MAX} decimals",
                column.name(),
                text(column)
            ),
            RowError::Number(column, NumberError::Decimals(needed)) if needed <= usize::from(DIGITS_MAX) => {
                format!(
                    "{} `{}` has {needed} decimals and {symbol} is configured with digits = {digits}: \
                 set digits = {needed} for it, or check that this file is of {symbol}",
                    column.name(),
                    text(column)
                )
            }
            RowError::Number(column, NumberError::Decimals(needed)) => format!(
                "{} `{}` has {needed} decimals, and no instrument can have more than {DIGITS_MAX}: \
                 correct or remove the line",
                column.name(),
                text(column)
            ),
            RowError::Number(column, NumberError::TooLarge) => format!(
                "{} `{}` is larger than 1e14 points of {symbol} (digits = {digits}): check the line, or set fewer digits",
                column.name(),
                text(column)
            ),
        }
    }
}

/// The flags that say something here.
const fn known_flags(flags: u32) -> TickFlags {
    TickFlags((flags & FLAGS_KNOWN) as u16)
}

/// What changed, where the file does not say so.
fn changes(before: (i64, i64), now: (i64, i64), last: i64, volume: Lots) -> TickFlags {
    let mut flags = TickFlags::NONE;
    flags.set_if(TickFlags::BID, now.0 != before.0);
    flags.set_if(TickFlags::ASK, now.1 != before.1);
    flags.set_if(TickFlags::LAST, last != 0);
    flags.set_if(TickFlags::VOLUME, volume.0 != 0);
    flags
}

fn content(name: &str, line: Option<u64>, problem: &str) -> FeedError {
    let message = match line {
        Some(line) => format!("{name}:{line}: {problem}"),
        None => format!("{name}: {problem}"),
    };
    FeedError { message, environment: false }
}

#[cold]
fn no_more_lines(name: &str, lines_read: u64, error: LinesError) -> FeedError {
    let line = Some(lines_read + 1);
    match error {
        LinesError::TooLong => content(
            name,
            line,
            &format!(
                "the line is longer than {LINE_BYTES_MAX} bytes: this is not a tick export, or a damaged one"
            ),
        ),
        LinesError::GzipTruncated => content(
            name,
            line,
            "the gzip data ends here, before its end: the file was not copied or written to its end; get it again",
        ),
        LinesError::GzipDamaged(problem) => content(
            name,
            line,
            &format!("the gzip data is damaged here ({problem}): get the file again, or see `gzip -t`"),
        ),
        LinesError::HalfCharacter => {
            content(name, line, "the UTF-16 text ends inside a character: the file was cut; export it again")
        }
        LinesError::Unsupported(what, way_out) => content(name, None, &format!("is {what}: {way_out}")),
        LinesError::Unreadable(error) => FeedError {
            message: format!("{name}:{}: cannot be read: {error}: check the disk", lines_read + 1),
            environment: true,
        },
    }
}

#[cfg(test)]
mod tests;
