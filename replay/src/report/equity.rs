//! The course of the equity: samples at equal intervals, buckets for a picture, and the deepest fall.
//!
//! ```text
//! event time  ---|----x--x-|-x-------|---------|-x->      x: equity changes     |: a boundary of the interval, in UTC
//! samples        *         *         *         *          each the last equity before its boundary, then the end's
//! ```
//!
//! Samples and falls are exact: every tick counts. Buckets hold low, high and last of their share of the time, so that a
//! picture shows every spike in bounded memory.

use pawl_journal::record::{Micros, Time};

/// How far apart the samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interval {
    /// One minute.
    Minute,
    /// One hour.
    Hour,
    /// One day of UTC.
    Day,
}

impl Interval {
    /// The interval for so much event time: days from 30 days on, hours from 2 days on, else minutes.
    #[must_use]
    pub const fn for_span(nanoseconds: i64) -> Self {
        if nanoseconds >= 30 * Self::Day.nanoseconds() {
            Self::Day
        } else if nanoseconds >= 2 * Self::Day.nanoseconds() {
            Self::Hour
        } else {
            Self::Minute
        }
    }

    /// Its length.
    #[must_use]
    pub const fn nanoseconds(self) -> i64 {
        match self {
            Self::Minute => 60 * Time::SECOND,
            Self::Hour => 3_600 * Time::SECOND,
            Self::Day => 86_400 * Time::SECOND,
        }
    }

    /// How many there are in a year of 365 days.
    #[must_use]
    pub const fn per_year(self) -> f64 {
        match self {
            Self::Minute => 525_600.0,
            Self::Hour => 8_760.0,
            Self::Day => 365.0,
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// Equity at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The boundary; for the first and the last sample where the journal begins and ends.
    pub time: Time,
    /// The last equity before it.
    pub equity: Micros,
}

/// Takes samples at the boundaries of an interval.
#[derive(Debug)]
pub(super) struct Sampler {
    every: i64,
    next: i64,
    samples: Vec<Sample>,
}

impl Sampler {
    pub(super) const fn new(every: Interval) -> Self {
        Self { every: every.nanoseconds(), next: 0, samples: Vec::new() }
    }

    /// Event time reaches `now`; until then the equity was this.
    pub(super) fn advance(&mut self, now: Time, equity: Micros) {
        if self.samples.is_empty() {
            self.samples.push(Sample { time: now, equity });
            self.next = (now.0.div_euclid(self.every) + 1).saturating_mul(self.every);
        }
        while self.next <= now.0 {
            self.samples.push(Sample { time: Time(self.next), equity });
            self.next = self.next.saturating_add(self.every);
        }
    }

    /// The samples, the last one where the journal ends.
    pub(super) fn finish(mut self, now: Time, equity: Micros) -> Vec<Sample> {
        match self.samples.last_mut() {
            Some(last) if last.time == now => last.equity = equity,
            _ => self.samples.push(Sample { time: now, equity }),
        }
        self.samples
    }
}

/// The deepest fall of the equity from a peak, measured at every tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawdown {
    /// Peak less lowest equity.
    pub amount: Micros,
    /// That, as a fraction of the peak.
    pub fraction: f64,
    /// When equity fell below the peak.
    pub from: Time,
    /// When it was lowest.
    pub to: Time,
    /// When it was at the peak again; none if it never was.
    pub recovered: Option<Time>,
}

/// Follows the peak and what is below it.
#[derive(Debug, Default)]
pub(super) struct Falls {
    peak: Option<i64>,
    /// Since when equity has been below the peak.
    since: Option<Time>,
    deepest: Option<Drawdown>,
    longest_ns: i64,
}

impl Falls {
    /// Equity is this now; returns how far below its peak that is, as a fraction.
    pub(super) fn observe(&mut self, now: Time, equity: Micros) -> f64 {
        let peak = *self.peak.get_or_insert(equity.0);
        if equity.0 >= peak {
            self.peak = Some(equity.0);
            if let Some(since) = self.since.take() {
                self.longest_ns = self.longest_ns.max(now.0 - since.0);
                if let Some(deepest) = self.deepest.as_mut().filter(|it| it.from == since) {
                    deepest.recovered = deepest.recovered.or(Some(now));
                }
            }
            return 0.0;
        }
        let since = *self.since.get_or_insert(now);
        let amount = peak.saturating_sub(equity.0);
        let fraction = if peak > 0 { amount as f64 / peak as f64 } else { 0.0 };
        if self.deepest.is_none_or(|it| fraction > it.fraction) {
            let amount = Micros(amount);
            self.deepest = Some(Drawdown { amount, fraction, from: since, to: now, recovered: None });
        }
        fraction
    }

    /// The deepest fall, and the longest time from a fall below a peak to the next peak or the end.
    pub(super) fn finish(self, now: Time) -> (Option<Drawdown>, i64) {
        let last = self.since.map_or(0, |since| now.0 - since.0);
        (self.deepest, self.longest_ns.max(last))
    }
}

/// Equity in one share of the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Where the share ends.
    pub time: Time,
    /// Lowest equity in it.
    pub low: Micros,
    /// Highest equity in it.
    pub high: Micros,
    /// Equity at its end.
    pub last: Micros,
    /// Furthest below the peak so far, as a fraction of the peak.
    pub drawdown: f64,
    /// How far below it is at its end.
    below: f64,
}

/// Shares of the time in a picture.
const CURVE_POINTS: usize = 720;

/// Gathers the picture.
#[derive(Debug)]
pub(super) struct Curve {
    from: i64,
    span: i128,
    points: Vec<Option<CurvePoint>>,
    before: Option<(Micros, f64)>,
}

impl Curve {
    /// An empty picture of this stretch of event time.
    pub(super) fn new(from: Time, until: Time) -> Self {
        let span = i128::from(until.0.saturating_sub(from.0).max(1));
        Self { from: from.0, span, points: vec![None; CURVE_POINTS], before: None }
    }

    /// Equity is this now, and so far below its peak.
    pub(super) fn observe(&mut self, now: Time, equity: Micros, drawdown: f64) {
        let place = i128::from(now.0.saturating_sub(self.from)) * CURVE_POINTS as i128 / self.span;
        let place = place.clamp(0, CURVE_POINTS as i128 - 1) as usize;
        let end = Time(self.from + (self.span * (place as i128 + 1) / CURVE_POINTS as i128) as i64);
        // A share begins with what was there before it.
        let (was, was_below) = self.before.unwrap_or((equity, drawdown));
        let point = self.points[place].get_or_insert(CurvePoint {
            time: end,
            low: was,
            high: was,
            last: was,
            drawdown: was_below,
            below: was_below,
        });
        point.low = point.low.min(equity);
        point.high = point.high.max(equity);
        point.last = equity;
        point.drawdown = point.drawdown.max(drawdown);
        point.below = drawdown;
        self.before = Some((equity, drawdown));
    }

    /// Every share in order; one in which nothing changed holds what was there before it.
    pub(super) fn finish(self) -> Vec<CurvePoint> {
        let mut filled: Vec<CurvePoint> = Vec::with_capacity(CURVE_POINTS);
        for (place, point) in self.points.into_iter().enumerate() {
            let end = Time(self.from + (self.span * (place as i128 + 1) / CURVE_POINTS as i128) as i64);
            let quiet = |it: &CurvePoint| CurvePoint {
                time: end,
                low: it.last,
                high: it.last,
                drawdown: it.below,
                ..*it
            };
            filled.extend(point.or_else(|| filled.last().map(quiet)));
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = Interval::Minute.nanoseconds();

    #[test]
    fn a_sample_is_the_last_equity_before_its_boundary_and_a_gap_repeats_it() {
        let mut sampler = Sampler::new(Interval::Minute);
        for (time, before) in [(MINUTE / 2, 100), (MINUTE - 1, 101), (MINUTE, 102), (4 * MINUTE + 5, 103)] {
            sampler.advance(Time(time), Micros(before));
        }
        let samples = sampler.finish(Time(4 * MINUTE + 5), Micros(104));
        let found: Vec<_> = samples.iter().map(|it| (it.time.0, it.equity.0)).collect();
        let minutes = [(1, 102), (2, 103), (3, 103), (4, 103)].map(|(minute, it)| (minute * MINUTE, it));
        let expected = [&[(MINUTE / 2, 100)][..], &minutes, &[(4 * MINUTE + 5, 104)]].concat();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_interval_follows_the_length_of_the_journal() {
        let day = Interval::Day.nanoseconds();
        assert_eq!(Interval::for_span(2 * day - 1), Interval::Minute);
        assert_eq!(Interval::for_span(2 * day), Interval::Hour);
        assert_eq!(Interval::for_span(30 * day), Interval::Day);
    }

    #[test]
    fn the_deepest_fall_knows_where_it_began_and_whether_it_recovered() {
        let mut falls = Falls::default();
        for (time, equity) in [(0, 100), (1, 90), (2, 95), (3, 100), (4, 200), (5, 190), (6, 150), (7, 199)] {
            falls.observe(Time(time), Micros(equity));
        }
        let (deepest, longest) = falls.finish(Time(9));
        let expected =
            Drawdown { amount: Micros(50), fraction: 0.25, from: Time(5), to: Time(6), recovered: None };
        assert_eq!((deepest, longest), (Some(expected), 4));
        let mut falls = Falls::default();
        for (time, equity) in [(0, 100), (1, 90), (2, 100), (3, 95), (4, 101)] {
            falls.observe(Time(time), Micros(equity));
        }
        let (deepest, longest) = falls.finish(Time(4));
        assert_eq!(deepest.map(|it| (it.to, it.recovered)), Some((Time(1), Some(Time(2)))));
        assert_eq!(longest, 1);
    }

    #[test]
    fn a_picture_keeps_every_spike() {
        let mut curve = Curve::new(Time(0), Time(1_000_000));
        for time in 0..=1_000_000_i64 {
            let equity = if time == 333_000 {
                1
            } else if time == 777_777 {
                9_000
            } else {
                5_000
            };
            curve.observe(Time(time), Micros(equity), if equity == 1 { 0.9998 } else { 0.0 });
        }
        let points = curve.finish();
        assert_eq!(points.len(), CURVE_POINTS);
        assert_eq!(points.iter().map(|it| it.low.0).min(), Some(1));
        assert_eq!(points.iter().map(|it| it.high.0).max(), Some(9_000));
        assert_eq!(points.iter().filter(|it| it.drawdown > 0.5).count(), 1);
        assert_eq!(points.last().map(|it| it.time), Some(Time(1_000_000)));
        let mut curve = Curve::new(Time(0), Time(72_000));
        for (time, equity, drawdown) in [(0, 100, 0.0), (310, 50, 0.5), (320, 90, 0.1)] {
            curve.observe(Time(time), Micros(equity), drawdown);
        }
        let points = curve.finish();
        assert_eq!((points.len(), points[3].low, points[3].high), (CURVE_POINTS, Micros(50), Micros(100)));
        assert_eq!(
            (points[4].low, points[4].drawdown),
            (Micros(90), 0.1),
            "a quiet share is as the last one ended"
        );
    }
}
