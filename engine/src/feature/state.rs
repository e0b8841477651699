//! `FeatureState`: what the feature stage holds, as plain data for people and programs to read.

use serde::Serialize;

use super::bar::OpenBar;

/// What the feature stage holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureState {
    /// Interval of the bars, in its canonical form.
    pub bars: String,
    /// See `Schema::hash`, in hexadecimal.
    pub schema_hash: String,
    /// One per instrument, in the order of the settings.
    pub instruments: Vec<InstrumentState>,
}

/// What the feature stage holds of one instrument.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstrumentState {
    /// The instrument's symbol.
    pub symbol: String,
    /// Usable ticks so far.
    pub ticks: u64,
    /// Bars closed so far.
    pub bars_closed: u64,
    /// Whether every column is warm.
    pub ready: bool,
    /// The bar that is growing, if one is open.
    pub bar: Option<OpenBar>,
    /// How many sums and indicators are kept up to date; columns of one MACD or one pair of bands count once.
    pub indicators: usize,
    /// The windows that are kept.
    pub windows: Vec<WindowState>,
    /// The vector as it was after the last tick or bar, in the order of the schema.
    pub values: Vec<ValueState>,
}

/// The last values of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowState {
    /// What is kept: `tick.mid2` (half points), `tick.spread` (points), `tick.time` (ns since the UNIX epoch),
    /// `tick.return_2^-56` (mid return from tick to tick in units of 2^-56) or `bar.close` (points).
    pub source: &'static str,
    /// How far the longest column on it looks back.
    pub longest: usize,
    /// The values, oldest first; fewer than `longest` while it fills.
    pub values: Vec<i64>,
}

/// One column of the vector.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ValueState {
    /// The column's name.
    pub column: String,
    /// Its value; 0 while it is not warm.
    pub value: f32,
    /// Whether it is warm.
    pub warm: bool,
}
