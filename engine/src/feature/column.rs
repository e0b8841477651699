//! `Column`: one number of the feature vector, and the catalogue of those there are.
//!
//! [`CATALOGUE`] is the documentation of every column: what it means, its unit, what it is computed from, how far
//! back it looks and when it is warm. A column's parameters are part of its name: `sma_30`, `bollinger_b_20_2`.
//!
//! Invariants: a name has one column and a column has one name; a column that is not warm reads 0.
//! Definitions and seeds of the averages and oscillators are TA-Lib's (<https://ta-lib.org/functions/>), which for RSI
//! and ATR are J. Welles Wilder's, "New Concepts in Technical Trading Systems", 1978.

/// Longest period a column may have, in ticks or bars.
pub const PERIOD_MAX: u32 = 4096;

/// Units of [`Bollinger::factor`] in one.
pub const FACTOR_ONE: u32 = 1000;

/// Largest [`Bollinger::factor`]: ten deviations.
pub const FACTOR_MAX: u32 = 10 * FACTOR_ONE;

/// Periods of a MACD, in bars; `fast` is below `slow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacdPeriods {
    /// Period of the fast average.
    pub fast: u32,
    /// Period of the slow average.
    pub slow: u32,
    /// Period of the average of their difference.
    pub signal: u32,
}

/// Period and width of Bollinger bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bollinger {
    /// Period of average and deviation, in bars.
    pub period: u32,
    /// Deviations between the middle and a band, in thousandths.
    pub factor: u32,
}

/// One column of the feature vector. See [`catalogue`] for what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// `mid`
    Mid,
    /// `return_N`
    Return(u32),
    /// `spread`
    Spread,
    /// `spread_mean_N`
    SpreadMean(u32),
    /// `spread_z_N`
    SpreadZ(u32),
    /// `tick_rate_N`
    TickRate(u32),
    /// `volatility_N`
    Volatility(u32),
    /// `tick_sma_N`
    TickSma(u32),
    /// `tick_ema_N`
    TickEma(u32),
    /// `day_sin`
    DaySin,
    /// `day_cos`
    DayCos,
    /// `return_bar`
    ReturnBar,
    /// `sma_N`
    Sma(u32),
    /// `ema_N`
    Ema(u32),
    /// `rsi_N`
    Rsi(u32),
    /// `macd_F_S_G`
    Macd(MacdPeriods),
    /// `macd_signal_F_S_G`
    MacdSignal(MacdPeriods),
    /// `macd_histogram_F_S_G`
    MacdHistogram(MacdPeriods),
    /// `bollinger_b_N_K`
    BollingerB(Bollinger),
    /// `bollinger_width_N_K`
    BollingerWidth(Bollinger),
    /// `atr_N`
    Atr(u32),
    /// `obv`
    Obv,
}

/// What a column must have seen of its instrument before it is warm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// So many usable ticks.
    Ticks(u32),
    /// So many closed bars.
    Bars(u32),
}

impl Column {
    /// When the column has its first value.
    #[must_use]
    pub const fn warm_up(self) -> WarmUp {
        match self {
            Self::Mid | Self::Spread | Self::DaySin | Self::DayCos => WarmUp::Ticks(1),
            Self::Return(n) | Self::TickRate(n) | Self::Volatility(n) => WarmUp::Ticks(n + 1),
            Self::SpreadMean(n) | Self::SpreadZ(n) | Self::TickSma(n) | Self::TickEma(n) => WarmUp::Ticks(n),
            Self::Obv => WarmUp::Bars(1),
            Self::ReturnBar => WarmUp::Bars(2),
            Self::Sma(n) | Self::Ema(n) => WarmUp::Bars(n),
            Self::BollingerB(bands) | Self::BollingerWidth(bands) => WarmUp::Bars(bands.period),
            Self::Rsi(n) | Self::Atr(n) => WarmUp::Bars(n + 1),
            Self::Macd(p) | Self::MacdSignal(p) | Self::MacdHistogram(p) => {
                WarmUp::Bars(p.slow + p.signal - 1)
            }
        }
    }
}

/// What kind of number a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    /// A count of ticks or bars, from this to [`PERIOD_MAX`].
    Period(u32),
    /// A number of deviations with up to three decimals, above 0 and at most 10; held in thousandths.
    Factor,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct ColumnInfo {
    /// The name, with capital letters where numbers go.
    pub pattern: &'static str,
    /// A name that is in use.
    pub example: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// Unit of its values.
    pub unit: &'static str,
    /// What it is computed from.
    pub source: &'static str,
    /// How far back a value looks.
    pub lookback: &'static str,
    /// What must have come in before the first value.
    pub warm_up: &'static str,
    /// The name without its numbers.
    pub(super) stem: &'static str,
    /// The numbers, in order.
    pub(super) parameters: &'static [Parameter],
    /// The column with these numbers.
    pub(super) build: fn(&[u32]) -> Column,
}

const NONE: &[Parameter] = &[];
const PERIOD: &[Parameter] = &[Parameter::Period(1)];
const SAMPLE: &[Parameter] = &[Parameter::Period(2)];
const MACD: &[Parameter] = &[Parameter::Period(1), Parameter::Period(2), Parameter::Period(1)];
const BANDS: &[Parameter] = &[Parameter::Period(2), Parameter::Factor];

const fn macd(p: &[u32]) -> MacdPeriods {
    MacdPeriods { fast: p[0], slow: p[1], signal: p[2] }
}

const fn bands(p: &[u32]) -> Bollinger {
    Bollinger { period: p[0], factor: p[1] }
}

macro_rules! catalogue {
    ($( $stem:literal $pattern:literal $example:literal, $parameters:expr, $build:expr;
        $meaning:literal; $unit:literal; $source:literal; $lookback:literal; $warm_up:literal. )*) => {
        /// The table that documents every column; see [`catalogue`].
        pub(super) const CATALOGUE: &[ColumnInfo] = &[$(ColumnInfo {
            pattern: $pattern, example: $example, meaning: $meaning, unit: $unit, source: $source,
            lookback: $lookback, warm_up: $warm_up, stem: $stem, parameters: $parameters, build: $build,
        }),*];
    };
}

catalogue! {
    "mid" "mid" "mid", NONE, |_| Column::Mid;
        "half of bid plus ask"; "price"; "tick: bid, ask"; "this tick"; "1 tick".
    "return" "return_N" "return_5", PERIOD, |p| Column::Return(p[0]);
        "change of mid over N ticks, divided by the mid N ticks ago"; "fraction"; "tick: mid"; "N + 1 ticks";
        "N + 1 ticks".
    "spread" "spread" "spread", NONE, |_| Column::Spread;
        "ask less bid"; "points"; "tick: bid, ask"; "this tick"; "1 tick".
    "spread_mean" "spread_mean_N" "spread_mean_100", PERIOD, |p| Column::SpreadMean(p[0]);
        "mean spread"; "points"; "tick: spread"; "N ticks"; "N ticks".
    "spread_z" "spread_z_N" "spread_z_100", SAMPLE, |p| Column::SpreadZ(p[0]);
        "spread less its mean, divided by its population standard deviation; 0 if that is 0";
        "standard deviations"; "tick: spread"; "N ticks"; "N ticks".
    "tick_rate" "tick_rate_N" "tick_rate_20", PERIOD, |p| Column::TickRate(p[0]);
        "N divided by the time since the tick N ticks ago, taken as at least a millisecond";
        "ticks per second"; "tick: step time"; "N + 1 ticks"; "N + 1 ticks".
    "volatility" "volatility_N" "volatility_100", PERIOD, |p| Column::Volatility(p[0]);
        "realised volatility: root of the sum of the squared mid returns from tick to tick (each at most 4)";
        "fraction"; "tick: mid"; "N + 1 ticks"; "N + 1 ticks".
    "tick_sma" "tick_sma_N" "tick_sma_20", PERIOD, |p| Column::TickSma(p[0]);
        "mean of mid"; "price"; "tick: mid"; "N ticks"; "N ticks".
    "tick_ema" "tick_ema_N" "tick_ema_20", PERIOD, |p| Column::TickEma(p[0]);
        "exponential average of mid, weight 2/(N+1), seeded with the mean of the first N"; "price"; "tick: mid";
        "all ticks, fading"; "N ticks".
    "day_sin" "day_sin" "day_sin", NONE, |_| Column::DaySin;
        "sine of the whole second of the UTC day, one turn a day"; "-1 to 1"; "step time"; "this tick"; "1 tick".
    "day_cos" "day_cos" "day_cos", NONE, |_| Column::DayCos;
        "cosine of the whole second of the UTC day, one turn a day"; "-1 to 1"; "step time"; "this tick"; "1 tick".
    "return_bar" "return_bar" "return_bar", NONE, |_| Column::ReturnBar;
        "last mid of the last closed bar against the last mid of the bar before"; "fraction"; "bar: last mid";
        "2 bars"; "2 bars".
    "sma" "sma_N" "sma_10", PERIOD, |p| Column::Sma(p[0]);
        "mean close (TA-Lib SMA)"; "price"; "bar: close"; "N bars"; "N bars".
    "ema" "ema_N" "ema_20", PERIOD, |p| Column::Ema(p[0]);
        "exponential average of the close, weight 2/(N+1), seeded with the mean of the first N (TA-Lib EMA)";
        "price"; "bar: close"; "all bars, fading"; "N bars".
    "rsi" "rsi_N" "rsi_14", PERIOD, |p| Column::Rsi(p[0]);
        "relative strength index: smoothed gain as a share of smoothed gain and loss; 0 if both are 0 (TA-Lib RSI)";
        "0 to 100"; "bar: close"; "all bars, fading"; "N + 1 bars".
    "macd" "macd_F_S_G" "macd_12_26_9", MACD, |p| Column::Macd(macd(p));
        "fast less slow exponential average of the close, both seeded on bar S (TA-Lib MACD)"; "price";
        "bar: close"; "all bars, fading"; "S + G - 1 bars".
    "macd_signal" "macd_signal_F_S_G" "macd_signal_12_26_9", MACD, |p| Column::MacdSignal(macd(p));
        "exponential average of the MACD over G bars (TA-Lib MACD)"; "price"; "bar: close"; "all bars, fading";
        "S + G - 1 bars".
    "macd_histogram" "macd_histogram_F_S_G" "macd_histogram_12_26_9", MACD, |p| Column::MacdHistogram(macd(p));
        "MACD less its signal (TA-Lib MACD)"; "price"; "bar: close"; "all bars, fading"; "S + G - 1 bars".
    "bollinger_b" "bollinger_b_N_K" "bollinger_b_20_2", BANDS, |p| Column::BollingerB(bands(p));
        "%B: close less lower band, divided by the distance of the bands, which lie K population standard \
         deviations from the mean close; 0.5 if they coincide (TA-Lib BBANDS)";
        "fraction; 0 on the lower, 1 on the upper band"; "bar: close"; "N bars"; "N bars".
    "bollinger_width" "bollinger_width_N_K" "bollinger_width_20_2", BANDS, |p| Column::BollingerWidth(bands(p));
        "distance of the bands divided by the mean close (TA-Lib BBANDS)"; "fraction"; "bar: close"; "N bars";
        "N bars".
    "atr" "atr_N" "atr_14", PERIOD, |p| Column::Atr(p[0]);
        "average true range, Wilder's smoothing seeded with the mean of the first N (TA-Lib ATR)"; "price";
        "bar: high, low, close"; "all bars, fading"; "N + 1 bars".
    "obv" "obv" "obv", NONE, |_| Column::Obv;
        "on-balance volume: volume of rising less that of falling bars, from the first bar's volume (TA-Lib OBV)";
        "volume of the bars (ticks or volume steps)"; "bar: close, volume"; "all bars"; "1 bar".
}

/// The columns of a configuration that names none: what the demo agents were trained on.
pub const COLUMNS_DEFAULT: &[&str] = &[
    "mid",
    "return_1",
    "return_5",
    "return_20",
    "return_bar",
    "spread",
    "spread_mean_100",
    "spread_z_100",
    "tick_rate_20",
    "volatility_100",
    "tick_sma_20",
    "tick_ema_20",
    "sma_10",
    "sma_30",
    "ema_20",
    "rsi_14",
    "macd_12_26_9",
    "macd_signal_12_26_9",
    "macd_histogram_12_26_9",
    "bollinger_b_20_2",
    "bollinger_width_20_2",
    "atr_14",
    "obv",
    "day_sin",
    "day_cos",
];

/// Every column there is: the table that documents them, for people to read and for a command to print.
///
/// "Price" is in units of the quote, as people write it (points x 10^-digits). A tick counts if it is usable
/// (`Tick::is_usable`). Columns on bars change when a bar closes and keep their value in between.
#[must_use]
pub const fn catalogue() -> &'static [ColumnInfo] {
    CATALOGUE
}
