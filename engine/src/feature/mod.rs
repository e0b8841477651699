//! The feature stage: windows and bars per instrument, and the vector of the configured columns.
//!
//! ```text
//! usable Tick --> bar due? --> BarClosed, bar columns --> the tick into the bar and the tick columns --> Features
//! Timer -------> bars due? --> BarClosed, bar columns
//! ```
//!
//! Invariants: only the columns chosen are computed, each in O(1) per tick; nothing is allocated after `new`; the
//! order of outputs is bars before features; inputs other than ticks and timers, and unusable ticks, change nothing.

mod bar;
mod bar_columns;
mod column;
mod day;
mod error;
mod indicator;
mod interval;
mod name;
mod schema;
mod state;
mod tick;
mod window;

pub use bar::OpenBar;
pub use column::{
    Bollinger, COLUMNS_DEFAULT, Column, ColumnInfo, FACTOR_MAX, FACTOR_ONE, MacdPeriods, PERIOD_MAX, WarmUp,
    catalogue,
};
pub use error::FeatureError;
pub use interval::BarInterval;
pub use schema::Schema;
pub use state::{FeatureState, InstrumentState, ValueState, WindowState};

use pawl_journal::record::{FEATURE_COLUMNS_MAX, Features, InstrumentId, Step, Tick, Time, Timer};
use serde::{Deserialize, Serialize};

use crate::Stage;
use crate::settings::Settings;
use crate::stateful;
use bar::Bars;
use bar_columns::BarColumns;
use day::Day;
use tick::TickColumns;

/// Bars and columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeatureSettings {
    /// Interval of a bar: a duration of event time (`"1m"`) or a number of ticks (`"100 ticks"`).
    pub bars: String,
    /// Columns of the feature vector, in order; see [`catalogue`].
    pub columns: Vec<String>,
}

impl Default for FeatureSettings {
    fn default() -> Self {
        Self {
            bars: "1m".to_owned(),
            columns: COLUMNS_DEFAULT.iter().map(|name| (*name).to_owned()).collect(),
        }
    }
}

/// What the stage holds of one instrument.
#[derive(Debug, Clone)]
struct Book {
    bars: Bars,
    tick_columns: TickColumns,
    bar_columns: BarColumns,
    /// The last vector.
    values: Box<[f32]>,
}

stateful!(Book { bars, tick_columns, bar_columns, values });

impl Book {
    fn new(instrument: InstrumentId, digits: u8, interval: BarInterval, columns: &[Column]) -> Self {
        // Powers of ten are exact floats up to 10^22.
        let points_per_unit = (0..digits).fold(1.0, |unit, _| unit * 10.0);
        Self {
            bars: Bars::new(instrument, interval),
            tick_columns: TickColumns::new(columns, points_per_unit),
            bar_columns: BarColumns::new(columns, points_per_unit),
            values: vec![0.0; columns.len()].into_boxed_slice(),
        }
    }

    fn close_bar(&mut self, time: Time, step: &mut Step) {
        let bar = self.bars.close(time);
        self.bar_columns.on_bar(&bar, self.bars.mid2(), &mut self.values);
        step.push(&bar);
    }

    #[inline]
    const fn is_warm(&self) -> bool {
        self.tick_columns.is_warm() && self.bar_columns.is_warm()
    }
}

/// The feature stage.
#[derive(Debug, Clone)]
pub struct Feature {
    schema: Schema,
    columns: Vec<Column>,
    symbols: Vec<String>,
    day: Day,
    books: Box<[Book]>,
}

stateful!(Feature { books } but { schema, columns, symbols, day });

impl Feature {
    /// Builds windows and bars for every instrument.
    ///
    /// # Errors
    /// [`FeatureError`] for a column or an interval that does not exist, and for a column that is listed twice or has
    /// no place in a record.
    pub fn new(settings: &Settings) -> Result<Self, FeatureError> {
        let names = &settings.features.columns;
        let interval: BarInterval = settings.features.bars.parse()?;
        let columns = names.iter().map(|name| name::parse(name)).collect::<Result<Vec<_>, _>>()?;
        for (second, name) in names.iter().enumerate() {
            if let Some(first) = names[..second].iter().position(|other| other == name) {
                let name = name.clone();
                return Err(FeatureError::DuplicateColumn { name, first: first + 1, second: second + 1 });
            }
        }
        if let Some(name) = names.get(FEATURE_COLUMNS_MAX) {
            return Err(FeatureError::TooManyColumns { count: names.len(), name: name.clone() });
        }
        let books = settings.instruments.iter().zip(0_u16..);
        Ok(Self {
            schema: Schema::new(names.clone(), interval),
            symbols: settings.instruments.iter().map(|instrument| instrument.symbol.clone()).collect(),
            day: Day::new(),
            books: books.map(|(it, id)| Book::new(InstrumentId(id), it.digits, interval, &columns)).collect(),
            columns,
        })
    }

    /// The names and order of the columns.
    #[must_use]
    pub const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What the stage holds now.
    #[must_use]
    pub fn state(&self) -> FeatureState {
        FeatureState {
            bars: self.schema.bars().to_string(),
            schema_hash: format!("{:016x}", self.schema.hash()),
            instruments: self
                .symbols
                .iter()
                .zip(&self.books)
                .map(|(symbol, book)| self.instrument_state(symbol, book))
                .collect(),
        }
    }

    fn instrument_state(&self, symbol: &str, book: &Book) -> InstrumentState {
        let (ticks, bars) = (book.tick_columns.ticks(), book.bars.closed());
        let tick_windows = book.tick_columns.windows().map(|(source, window)| (source, window, ticks));
        let bar_windows = book.bar_columns.windows().map(|(source, window)| (source, window, bars));
        let values = self.schema.columns().iter().zip(&self.columns).zip(&book.values);
        InstrumentState {
            symbol: symbol.to_owned(),
            ticks,
            bars_closed: bars,
            ready: book.is_warm(),
            bar: book.bars.growing(),
            indicators: book.tick_columns.len() + book.bar_columns.len(),
            windows: tick_windows
                .chain(bar_windows)
                .map(|(source, window, count)| WindowState {
                    source,
                    longest: window.longest(),
                    values: window.kept(count),
                })
                .collect(),
            values: values
                .map(|((name, column), value)| ValueState {
                    column: name.clone(),
                    value: *value,
                    warm: match column.warm_up() {
                        WarmUp::Ticks(needed) => ticks >= u64::from(needed),
                        WarmUp::Bars(needed) => bars >= u64::from(needed),
                    },
                })
                .collect(),
        }
    }

    #[inline]
    fn on_tick(&mut self, tick: &Tick, step: &mut Step) {
        let Some(book) = self.books.get_mut(usize::from(tick.instrument.0)) else { return };
        let time = step.time();
        if book.bars.is_due(time) {
            book.close_bar(time, step);
        }
        if book.bars.add(tick, time) {
            book.close_bar(time, step);
        }
        book.tick_columns.on_tick(tick, time.0, &self.day, &mut book.values);
        let features = Features {
            schema_hash: self.schema.hash(),
            instrument: tick.instrument,
            columns: book.values.len() as u16,
            ready: u16::from(book.is_warm()),
            reserved: 0,
        };
        step.push_with_reals(&features, book.values.len()).copy_from_slice(&book.values);
    }

    fn on_timer(&mut self, step: &mut Step) {
        let time = step.time();
        for book in &mut self.books {
            if book.bars.is_due(time) {
                book.close_bar(time, step);
            }
        }
    }
}

impl Stage for Feature {
    #[inline]
    fn on_step(&mut self, step: &mut Step) {
        if let Some(&tick) = step.input_as::<Tick>() {
            if tick.is_usable() {
                self.on_tick(&tick, step);
            }
        } else if step.input_as::<Timer>().is_some() {
            self.on_timer(step);
        }
    }
}
