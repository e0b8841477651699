//! `BarColumns`: the columns that change when a bar closes, per instrument.
//!
//! Invariants: one window of closes for all, as long as the longest column on it; one MACD per triple of periods,
//! whichever of its three columns are chosen; between bars nothing is computed; a column that is not warm is 0.

use pawl_journal::record::BarClosed;

use super::column::{Bollinger, Column, FACTOR_ONE, MacdPeriods, WarmUp};
use super::indicator::{Atr, Bands, Ema, Macd, Moments, Obv, Rsi};
use super::tick::{pick, window};
use super::window::Window;
use crate::state::{State, Visitor};
use crate::stateful;

#[derive(Debug, Clone)]
struct Mean {
    period: u32,
    sum: i64,
    place: u32,
}

stateful!(Mean { sum } but { period, place });

/// An indicator and the place of its column.
#[derive(Debug, Clone)]
struct Placed<T> {
    indicator: T,
    place: u32,
}

impl<T: State> State for Placed<T> {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        self.indicator.visit(visitor);
    }
}

#[derive(Debug, Clone)]
struct MacdColumns {
    periods: MacdPeriods,
    macd: Macd,
    macd_place: Option<u32>,
    signal_place: Option<u32>,
    histogram_place: Option<u32>,
}

stateful!(MacdColumns { macd } but { periods, macd_place, signal_place, histogram_place });

#[derive(Debug, Clone)]
struct BandColumns {
    parameters: Bollinger,
    bands: Bands,
    b_place: Option<u32>,
    width_place: Option<u32>,
}

stateful!(BandColumns { bands } but { parameters, b_place, width_place });

/// The columns that change when a bar of one instrument closes.
#[derive(Debug, Clone)]
pub(super) struct BarColumns {
    bars: u64,
    /// Bars until every column here is warm.
    warm_at: u64,
    /// Points in one unit of price.
    points_per_unit: f64,
    mid2_before: i64,
    closes: Window,
    return_bar: Option<u32>,
    smas: Box<[Mean]>,
    emas: Box<[Placed<Ema>]>,
    rsis: Box<[Placed<Rsi>]>,
    macds: Box<[MacdColumns]>,
    bands: Box<[BandColumns]>,
    atrs: Box<[Placed<Atr>]>,
    /// One, or none.
    obvs: Box<[Placed<Obv>]>,
    /// Place and warm-up of every column here.
    warm_ups: Box<[(u32, u32)]>,
}

stateful!(BarColumns { bars, mid2_before, closes, smas, emas, rsis, macds, bands, atrs, obvs } but {
    warm_at, points_per_unit, return_bar, warm_ups,
});

impl BarColumns {
    /// The bar columns among `columns`, for an instrument with this many points in one unit of price.
    pub(super) fn new(columns: &[Column], points_per_unit: f64) -> Self {
        let place_of = |wanted: Column| columns.iter().position(|c| *c == wanted).map(|place| place as u32);
        let warm_ups: Box<[_]> = pick(columns, |column, place| match column.warm_up() {
            WarmUp::Bars(bars) => Some((place, bars)),
            WarmUp::Ticks(_) => None,
        });
        Self {
            bars: 0,
            warm_at: warm_ups.iter().map(|(_, bars)| u64::from(*bars)).max().unwrap_or(0),
            points_per_unit,
            mid2_before: 0,
            closes: window(columns, |c| match c {
                Column::Sma(n) => Some(n),
                Column::BollingerB(b) | Column::BollingerWidth(b) => Some(b.period),
                _ => None,
            }),
            return_bar: place_of(Column::ReturnBar),
            smas: pick(columns, |c, place| match c {
                Column::Sma(period) => Some(Mean { period, sum: 0, place }),
                _ => None,
            }),
            emas: pick(columns, |c, place| match c {
                Column::Ema(period) => Some(Placed { indicator: Ema::new(period), place }),
                _ => None,
            }),
            rsis: pick(columns, |c, place| match c {
                Column::Rsi(period) => Some(Placed { indicator: Rsi::new(period), place }),
                _ => None,
            }),
            macds: macds(columns),
            bands: bands(columns),
            atrs: pick(columns, |c, place| match c {
                Column::Atr(period) => Some(Placed { indicator: Atr::new(period), place }),
                _ => None,
            }),
            obvs: pick(columns, |c, place| {
                (c == Column::Obv).then(|| Placed { indicator: Obv::default(), place })
            }),
            warm_ups,
        }
    }

    /// Takes a closed bar, whose last tick had this mid (in half points), and refreshes the bar columns in `values`.
    pub(super) fn on_bar(&mut self, bar: &BarClosed, mid2: i64, values: &mut [f32]) {
        let (bars, close, unit) = (self.bars, bar.close.0, self.points_per_unit);
        let mut set = |place: u32, value: f64| values[place as usize] = value as f32;
        if let Some(place) = self.return_bar {
            set(place, (mid2 - self.mid2_before) as f64 / self.mid2_before as f64);
        }
        for sma in &mut self.smas {
            sma.sum = sma.sum.wrapping_add(close).wrapping_sub(self.closes.back(bars, sma.period));
            set(sma.place, sma.sum as f64 / (f64::from(sma.period) * unit));
        }
        for Placed { indicator, place } in &mut self.emas {
            set(*place, indicator.push(close as f64) / unit);
        }
        for Placed { indicator, place } in &mut self.rsis {
            set(*place, indicator.push(close));
        }
        for columns in &mut self.macds {
            let value = columns.macd.push(close);
            columns.macd_place.inspect(|place| set(*place, value.macd / unit));
            columns.signal_place.inspect(|place| set(*place, value.signal / unit));
            columns.histogram_place.inspect(|place| set(*place, value.histogram / unit));
        }
        for columns in &mut self.bands {
            let bands = &mut columns.bands;
            bands.moments.push(close, self.closes.back(bars, bands.moments.period));
            columns.b_place.inspect(|place| set(*place, bands.percent_b(close)));
            columns.width_place.inspect(|place| set(*place, bands.width()));
        }
        for Placed { indicator, place } in &mut self.atrs {
            set(*place, indicator.push(bar.high.0, bar.low.0, close) / unit);
        }
        for Placed { indicator, place } in &mut self.obvs {
            set(*place, indicator.push(close, bar.volume));
        }
        self.closes.put(bars, close);
        self.mid2_before = mid2;
        self.bars += 1;
        if self.bars < self.warm_at {
            self.blank(values);
        }
    }

    /// Sets every column to 0 that is not warm yet.
    fn blank(&self, values: &mut [f32]) {
        for (place, bars) in &self.warm_ups {
            if self.bars < u64::from(*bars) {
                values[*place as usize] = 0.0;
            }
        }
    }

    /// Whether every column here is warm.
    #[inline]
    pub(super) const fn is_warm(&self) -> bool {
        self.bars >= self.warm_at
    }

    /// The window of closes, if one is kept.
    pub(super) fn windows(&self) -> impl Iterator<Item = (&'static str, &Window)> {
        [("bar.close", &self.closes)].into_iter().filter(|(_, window)| window.longest() > 0)
    }

    /// How many indicators are computed here; the columns of one MACD or one pair of bands count once.
    pub(super) fn len(&self) -> usize {
        usize::from(self.return_bar.is_some())
            + self.smas.len()
            + self.emas.len()
            + self.rsis.len()
            + self.macds.len()
            + self.bands.len()
            + self.atrs.len()
            + self.obvs.len()
    }
}

fn macds(columns: &[Column]) -> Box<[MacdColumns]> {
    let mut found: Vec<MacdColumns> = Vec::new();
    for (column, place) in columns.iter().zip(0_u32..) {
        let (Column::Macd(periods) | Column::MacdSignal(periods) | Column::MacdHistogram(periods)) = *column
        else {
            continue;
        };
        let index = found.iter().position(|other| other.periods == periods).unwrap_or_else(|| {
            let macd = Macd::new(periods.fast, periods.slow, periods.signal);
            found.push(MacdColumns {
                periods,
                macd,
                macd_place: None,
                signal_place: None,
                histogram_place: None,
            });
            found.len() - 1
        });
        let entry = &mut found[index];
        match column {
            Column::Macd(_) => entry.macd_place = Some(place),
            Column::MacdSignal(_) => entry.signal_place = Some(place),
            _ => entry.histogram_place = Some(place),
        }
    }
    found.into_boxed_slice()
}

fn bands(columns: &[Column]) -> Box<[BandColumns]> {
    let mut found: Vec<BandColumns> = Vec::new();
    for (column, place) in columns.iter().zip(0_u32..) {
        let (Column::BollingerB(parameters) | Column::BollingerWidth(parameters)) = *column else { continue };
        let index = found.iter().position(|other| other.parameters == parameters).unwrap_or_else(|| {
            let factor = f64::from(parameters.factor) / f64::from(FACTOR_ONE);
            let bands = Bands { moments: Moments::new(parameters.period), factor };
            found.push(BandColumns { parameters, bands, b_place: None, width_place: None });
            found.len() - 1
        });
        let entry = &mut found[index];
        match column {
            Column::BollingerB(_) => entry.b_place = Some(place),
            _ => entry.width_place = Some(place),
        }
    }
    found.into_boxed_slice()
}
