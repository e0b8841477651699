//! `TickColumns`: the columns that change with every tick, per instrument.
//!
//! One flat list per kind of column, each entry holding its period, its running sum and its place in the vector; a
//! kind that nobody chose is an empty list. Windows are shared: one per source, as long as the longest column on it.
//!
//! Invariants: O(1) per entry and tick, no allocation after `new`; running sums are exact integers (returns are held
//! in fixed point, 2^-56), so that no error builds up over a run; a column that is not warm is 0.

use pawl_journal::record::Tick;

use super::column::{Column, WarmUp};
use super::day::Day;
use super::indicator::{Ema, Moments, wide_to_f64};
use super::window::Window;
use crate::stateful;

/// Units of a fixed-point return in one: 2^56.
const RETURN_ONE: f64 = 72_057_594_037_927_936.0;
/// Largest fixed-point return: 4, so that 4096 squares fit into 128 bits.
const RETURN_MAX: f64 = RETURN_ONE * 4.0;
/// Shortest time a tick rate divides by, ns: MT5's clock has milliseconds.
const RATE_NS_MIN: i64 = 1_000_000;

/// A column that is a function of a value and of the one `period` ticks before.
#[derive(Debug, Clone, Copy)]
struct Lag {
    period: u32,
    place: u32,
}

/// A column that is a running sum over `period` ticks, divided.
#[derive(Debug, Clone, Copy)]
struct Mean {
    period: u32,
    place: u32,
    sum: i64,
    divisor: f64,
}

stateful!(Mean { sum } but { period, place, divisor });

#[derive(Debug, Clone)]
struct Score {
    moments: Moments,
    place: u32,
}

stateful!(Score { moments } but { place });

#[derive(Debug, Clone, Copy)]
struct Volatility {
    squares: u128,
    period: u32,
    place: u32,
}

stateful!(Volatility { squares } but { period, place });

#[derive(Debug, Clone)]
struct Average {
    ema: Ema,
    place: u32,
}

stateful!(Average { ema } but { place });

/// The columns that change with every tick of one instrument.
#[derive(Debug, Clone)]
pub(super) struct TickColumns {
    ticks: u64,
    /// Ticks until every column here is warm.
    warm_at: u64,
    mid2_before: i64,
    /// Half points in one unit of price.
    half_points: f64,
    mids: Window,
    spreads: Window,
    times: Window,
    moves: Window,
    mid: Option<u32>,
    spread: Option<u32>,
    day_sin: Option<u32>,
    day_cos: Option<u32>,
    returns: Box<[Lag]>,
    tick_smas: Box<[Mean]>,
    tick_emas: Box<[Average]>,
    spread_means: Box<[Mean]>,
    spread_scores: Box<[Score]>,
    rates: Box<[Lag]>,
    volatilities: Box<[Volatility]>,
    /// Place and warm-up of every column here.
    warm_ups: Box<[(u32, u32)]>,
}

stateful!(TickColumns {
    ticks, mid2_before, mids, spreads, times, moves, tick_smas, tick_emas, spread_means, spread_scores, volatilities,
} but {
    warm_at, half_points, mid, spread, day_sin, day_cos, returns, rates, warm_ups,
});

impl TickColumns {
    /// The tick columns among `columns`, for an instrument with this many points in one unit of price.
    pub(super) fn new(columns: &[Column], points_per_unit: f64) -> Self {
        let half_points = 2.0 * points_per_unit;
        let place_of = |wanted: Column| columns.iter().position(|c| *c == wanted).map(|place| place as u32);
        let warm_ups: Box<[_]> = pick(columns, |column, place| match column.warm_up() {
            WarmUp::Ticks(ticks) => Some((place, ticks)),
            WarmUp::Bars(_) => None,
        });
        let mean =
            |period, place, unit: f64| Mean { period, place, sum: 0, divisor: f64::from(period) * unit };
        Self {
            ticks: 0,
            warm_at: warm_ups.iter().map(|(_, ticks)| u64::from(*ticks)).max().unwrap_or(0),
            mid2_before: 0,
            half_points,
            mids: window(columns, |c| match c {
                Column::Return(n) | Column::TickSma(n) => Some(n),
                _ => None,
            }),
            spreads: window(columns, |c| match c {
                Column::SpreadMean(n) | Column::SpreadZ(n) => Some(n),
                _ => None,
            }),
            times: window(columns, |c| if let Column::TickRate(n) = c { Some(n) } else { None }),
            moves: window(columns, |c| if let Column::Volatility(n) = c { Some(n) } else { None }),
            mid: place_of(Column::Mid),
            spread: place_of(Column::Spread),
            day_sin: place_of(Column::DaySin),
            day_cos: place_of(Column::DayCos),
            returns: pick(columns, |c, place| match c {
                Column::Return(period) => Some(Lag { period, place }),
                _ => None,
            }),
            tick_smas: pick(columns, |c, place| match c {
                Column::TickSma(period) => Some(mean(period, place, half_points)),
                _ => None,
            }),
            tick_emas: pick(columns, |c, place| match c {
                Column::TickEma(period) => Some(Average { ema: Ema::new(period), place }),
                _ => None,
            }),
            spread_means: pick(columns, |c, place| match c {
                Column::SpreadMean(period) => Some(mean(period, place, 1.0)),
                _ => None,
            }),
            spread_scores: pick(columns, |c, place| match c {
                Column::SpreadZ(period) => Some(Score { moments: Moments::new(period), place }),
                _ => None,
            }),
            rates: pick(columns, |c, place| match c {
                Column::TickRate(period) => Some(Lag { period, place }),
                _ => None,
            }),
            volatilities: pick(columns, |c, place| match c {
                Column::Volatility(period) => Some(Volatility { squares: 0, period, place }),
                _ => None,
            }),
            warm_ups,
        }
    }

    /// Takes a usable tick and refreshes the tick columns in `values`.
    #[inline]
    pub(super) fn on_tick(&mut self, tick: &Tick, time: i64, day: &Day, values: &mut [f32]) {
        let (mid2, spread) = (tick.mid2(), tick.ask.0 - tick.bid.0);
        self.on_mid(mid2, values);
        self.on_spread(spread, values);
        for rate in &self.rates {
            let elapsed = time.saturating_sub(self.times.back(self.ticks, rate.period)).max(RATE_NS_MIN);
            values[rate.place as usize] = (f64::from(rate.period) * 1e9 / elapsed as f64) as f32;
        }
        self.times.put(self.ticks, time);
        if self.day_sin.is_some() || self.day_cos.is_some() {
            let (sin, cos) = day.at(time);
            set(values, self.day_sin, sin);
            set(values, self.day_cos, cos);
        }
        self.mid2_before = mid2;
        self.ticks += 1;
        if self.ticks < self.warm_at {
            self.blank(values);
        }
    }

    #[inline]
    fn on_mid(&mut self, mid2: i64, values: &mut [f32]) {
        let ticks = self.ticks;
        let mid = mid2 as f64;
        set(values, self.mid, (mid / self.half_points) as f32);
        for lag in &self.returns {
            let before = self.mids.back(ticks, lag.period);
            values[lag.place as usize] = ((mid2 - before) as f64 / before as f64) as f32;
        }
        for sma in &mut self.tick_smas {
            sma.sum = sma.sum.wrapping_add(mid2).wrapping_sub(self.mids.back(ticks, sma.period));
            values[sma.place as usize] = (sma.sum as f64 / sma.divisor) as f32;
        }
        for average in &mut self.tick_emas {
            values[average.place as usize] = (average.ema.push(mid) / self.half_points) as f32;
        }
        self.mids.put(ticks, mid2);
        if !self.volatilities.is_empty() {
            let before = if ticks == 0 { mid2 } else { self.mid2_before };
            let change = (mid2 - before) as f64 / before as f64 * RETURN_ONE;
            let change = change.clamp(-RETURN_MAX, RETURN_MAX) as i64;
            let square = |x: i64| (i128::from(x) * i128::from(x)).cast_unsigned();
            for volatility in &mut self.volatilities {
                let leaving = square(self.moves.back(ticks, volatility.period));
                volatility.squares = volatility.squares.wrapping_add(square(change)).wrapping_sub(leaving);
                let value = wide_to_f64(volatility.squares).sqrt() / RETURN_ONE;
                values[volatility.place as usize] = value as f32;
            }
            self.moves.put(ticks, change);
        }
    }

    #[inline]
    fn on_spread(&mut self, spread: i64, values: &mut [f32]) {
        let ticks = self.ticks;
        set(values, self.spread, spread as f32);
        for mean in &mut self.spread_means {
            mean.sum = mean.sum.wrapping_add(spread).wrapping_sub(self.spreads.back(ticks, mean.period));
            values[mean.place as usize] = (mean.sum as f64 / mean.divisor) as f32;
        }
        for score in &mut self.spread_scores {
            score.moments.push(spread, self.spreads.back(ticks, score.moments.period));
            let deviation = score.moments.scaled_deviation();
            let distance = score.moments.scaled_distance(spread);
            values[score.place as usize] = if deviation > 0.0 { (distance / deviation) as f32 } else { 0.0 };
        }
        self.spreads.put(ticks, spread);
    }

    /// Sets every column to 0 that is not warm yet.
    #[cold]
    fn blank(&self, values: &mut [f32]) {
        for (place, ticks) in &self.warm_ups {
            if self.ticks < u64::from(*ticks) {
                values[*place as usize] = 0.0;
            }
        }
    }

    /// Whether every column here is warm.
    #[inline]
    pub(super) const fn is_warm(&self) -> bool {
        self.ticks >= self.warm_at
    }

    /// Usable ticks so far.
    pub(super) const fn ticks(&self) -> u64 {
        self.ticks
    }

    /// The windows by source, for those that are kept.
    pub(super) fn windows(&self) -> impl Iterator<Item = (&'static str, &Window)> {
        [
            ("tick.mid2", &self.mids),
            ("tick.spread", &self.spreads),
            ("tick.time", &self.times),
            ("tick.return_2^-56", &self.moves),
        ]
        .into_iter()
        .filter(|(_, window)| window.longest() > 0)
    }

    /// How many columns are computed here.
    pub(super) fn len(&self) -> usize {
        let flags = [self.mid, self.spread, self.day_sin, self.day_cos];
        flags.iter().flatten().count()
            + self.returns.len()
            + self.tick_smas.len()
            + self.tick_emas.len()
            + self.spread_means.len()
            + self.spread_scores.len()
            + self.rates.len()
            + self.volatilities.len()
    }
}

#[inline]
fn set(values: &mut [f32], place: Option<u32>, value: f32) {
    if let Some(place) = place {
        values[place as usize] = value;
    }
}

/// A window as long as the longest of the columns that `period` says look back on it.
pub(super) fn window(columns: &[Column], period: impl Fn(Column) -> Option<u32>) -> Window {
    Window::new(columns.iter().filter_map(|column| period(*column)).max().unwrap_or(0) as usize)
}

/// The entries that `entry` makes of some columns, with their places.
pub(super) fn pick<T>(columns: &[Column], entry: impl Fn(Column, u32) -> Option<T>) -> Box<[T]> {
    columns.iter().zip(0_u32..).filter_map(|(column, place)| entry(*column, place)).collect()
}
