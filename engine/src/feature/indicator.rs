//! Indicators: the averages and oscillators, one value in, one value out, as TA-Lib defines and seeds them.
//!
//! Their numbers are in whatever unit goes in (the stage feeds points); what they say during warm-up means nothing.
//! Where a sum is over a window it is an exact integer, so that nothing drifts however long the engine runs.

use crate::stateful;

/// An exponential average: the mean of the first `period` values, from then on value by value with weight 2/(period+1).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ema {
    period: u32,
    seen: u32,
    weight: f64,
    value: f64,
}

stateful!(Ema { seen, value } but { period, weight });

impl Ema {
    pub(super) fn new(period: u32) -> Self {
        Self { period, seen: 0, weight: 2.0 / (f64::from(period) + 1.0), value: 0.0 }
    }

    /// Takes a value and returns the average; while seeding, the sum so far.
    #[inline]
    pub(super) fn push(&mut self, value: f64) -> f64 {
        if self.seen < self.period {
            self.seen += 1;
            self.value += value;
            if self.seen == self.period {
                self.value /= f64::from(self.period);
            }
        } else {
            self.value = (value - self.value) * self.weight + self.value;
        }
        self.value
    }
}

/// Wilder's smoothing: the mean of the first `period` values, from then on value by value with weight 1/period.
#[derive(Debug, Clone, PartialEq)]
struct Wilder {
    period: u32,
    seen: u32,
    value: f64,
}

stateful!(Wilder { seen, value } but { period });

impl Wilder {
    const fn new(period: u32) -> Self {
        Self { period, seen: 0, value: 0.0 }
    }

    fn push(&mut self, value: f64) -> f64 {
        let period = f64::from(self.period);
        if self.seen < self.period {
            self.seen += 1;
            self.value += value;
            if self.seen == self.period {
                self.value /= period;
            }
        } else {
            self.value = (self.value * (period - 1.0) + value) / period;
        }
        self.value
    }
}

/// Relative strength index, 0 to 100.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rsi {
    gain: Wilder,
    loss: Wilder,
    close_before: Option<i64>,
}

stateful!(Rsi { gain, loss, close_before });

impl Rsi {
    pub(super) const fn new(period: u32) -> Self {
        Self { gain: Wilder::new(period), loss: Wilder::new(period), close_before: None }
    }

    pub(super) fn push(&mut self, close: i64) -> f64 {
        let Some(before) = self.close_before.replace(close) else { return 0.0 };
        let change = close - before;
        let gain = self.gain.push(change.max(0) as f64);
        let loss = self.loss.push((-change).max(0) as f64);
        if gain + loss > 0.0 { 100.0 * (gain / (gain + loss)) } else { 0.0 }
    }
}

/// What a MACD says after a bar.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct MacdValue {
    pub(super) macd: f64,
    pub(super) signal: f64,
    pub(super) histogram: f64,
}

/// Moving average convergence and divergence. The fast average starts late, so that both are seeded on the same bar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Macd {
    fast: Ema,
    slow: Ema,
    signal: Ema,
    seen: u32,
}

stateful!(Macd { fast, slow, signal, seen });

impl Macd {
    pub(super) fn new(fast: u32, slow: u32, signal: u32) -> Self {
        Self { fast: Ema::new(fast), slow: Ema::new(slow), signal: Ema::new(signal), seen: 0 }
    }

    pub(super) fn push(&mut self, close: i64) -> MacdValue {
        self.seen = self.seen.saturating_add(1);
        let slow = self.slow.push(close as f64);
        if self.seen <= self.slow.period - self.fast.period {
            return MacdValue::default();
        }
        let fast = self.fast.push(close as f64);
        if self.seen < self.slow.period {
            return MacdValue::default();
        }
        let macd = fast - slow;
        let signal = self.signal.push(macd);
        MacdValue { macd, signal, histogram: macd - signal }
    }
}

/// Average true range.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Atr {
    range: Wilder,
    close_before: Option<i64>,
}

stateful!(Atr { range, close_before });

impl Atr {
    pub(super) const fn new(period: u32) -> Self {
        Self { range: Wilder::new(period), close_before: None }
    }

    pub(super) fn push(&mut self, high: i64, low: i64, close: i64) -> f64 {
        let Some(before) = self.close_before.replace(close) else { return 0.0 };
        self.range.push((high.max(before) - low.min(before)) as f64)
    }
}

/// On-balance volume.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Obv {
    total: i64,
    close_before: Option<i64>,
}

stateful!(Obv { total, close_before });

impl Obv {
    pub(super) fn push(&mut self, close: i64, volume: u64) -> f64 {
        let volume = volume.min(i64::MAX.unsigned_abs()).cast_signed();
        let signed = match self.close_before.replace(close) {
            None => volume,
            Some(before) => volume * (close - before).signum(),
        };
        self.total = self.total.saturating_add(signed);
        self.total as f64
    }
}

/// Sum and sum of squares of the last `period` values of a window: mean and population variance, exactly.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moments {
    pub(super) period: u32,
    sum: i64,
    squares: i128,
}

stateful!(Moments { sum, squares } but { period });

impl Moments {
    pub(super) const fn new(period: u32) -> Self {
        Self { period, sum: 0, squares: 0 }
    }

    /// Takes the value that comes into the window and the one that leaves it.
    #[inline]
    pub(super) fn push(&mut self, value: i64, leaving: i64) {
        let square = |x: i64| i128::from(x) * i128::from(x);
        self.sum = self.sum.wrapping_add(value).wrapping_sub(leaving);
        self.squares = self.squares.wrapping_add(square(value)).wrapping_sub(square(leaving));
    }

    /// `period` times the population standard deviation: the root of an exact integer.
    #[inline]
    pub(super) fn scaled_deviation(&self) -> f64 {
        let sum = i128::from(self.sum);
        let scaled = i128::from(self.period).wrapping_mul(self.squares).wrapping_sub(sum.wrapping_mul(sum));
        wide_to_f64(scaled.max(0).cast_unsigned()).sqrt()
    }

    /// `period` times the distance of `value` from the mean.
    #[inline]
    pub(super) fn scaled_distance(&self, value: i64) -> f64 {
        i64::from(self.period).wrapping_mul(value).wrapping_sub(self.sum) as f64
    }
}

/// A wide integer as a float, in two halves: within two units in the last place, and the same on every machine.
#[inline]
pub(super) fn wide_to_f64(value: u128) -> f64 {
    const HIGH: f64 = 18_446_744_073_709_551_616.0;
    (value >> 64) as u64 as f64 * HIGH + value as u64 as f64
}

/// Bollinger bands: `factor` population standard deviations around the mean.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bands {
    pub(super) moments: Moments,
    pub(super) factor: f64,
}

stateful!(Bands { moments } but { factor });

impl Bands {
    /// %B: 0 on the lower band, 1 on the upper, 0.5 if they coincide.
    pub(super) fn percent_b(&self, close: i64) -> f64 {
        let deviation = self.moments.scaled_deviation();
        if deviation > 0.0 {
            0.5 + self.moments.scaled_distance(close) / (2.0 * self.factor * deviation)
        } else {
            0.5
        }
    }

    /// Distance of the bands as a fraction of the mean.
    pub(super) fn width(&self) -> f64 {
        2.0 * self.factor * self.moments.scaled_deviation() / self.moments.sum as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::window::Window;

    const POINTS_PER_UNIT: f64 = 100.0;

    /// Bars (open, high, low, close, volume, in points) and one of TA-Lib's columns beside them.
    fn vectors(file: &str, column: &str) -> Vec<([i64; 5], Option<f64>)> {
        let mut lines = file.lines();
        let place = lines.next().expect("a header").split(',').position(|name| name == column).expect(column);
        lines
            .map(|line| {
                let cells: Vec<_> = line.split(',').collect();
                let bar = std::array::from_fn(|i| cells[i].parse().expect("an integer"));
                (bar, (!cells[place].is_empty()).then(|| cells[place].parse().expect("a number")))
            })
            .collect()
    }

    fn agrees(column: &str, mut push: impl FnMut([i64; 5]) -> f64) {
        agrees_on(include_str!("../../tests/data/feature/talib_walk.csv"), column, &mut push);
    }

    fn agrees_on(file: &str, column: &str, push: &mut dyn FnMut([i64; 5]) -> f64) {
        let mut compared = 0;
        for (number, (bar, expected)) in vectors(file, column).into_iter().enumerate() {
            let value = push(bar);
            if let Some(expected) = expected {
                let error = (value - expected).abs();
                assert!(error <= 1e-9 * expected.abs(), "{column}, bar {number}: {value} is not {expected}");
                compared += 1;
            }
        }
        assert!(compared > 100, "{column}: only {compared} values to compare");
    }

    fn moments_over(period: u32) -> impl FnMut(i64) -> Moments {
        let (mut window, mut moments, mut count) = (Window::new(period as usize), Moments::new(period), 0);
        move |value| {
            moments.push(value, window.back(count, period));
            window.put(count, value);
            count += 1;
            moments.clone()
        }
    }

    #[test]
    fn averages_agree_with_ta_lib_in_double_precision() {
        for period in [2, 10, 30] {
            let mut moments = moments_over(period);
            let scale = f64::from(period) * POINTS_PER_UNIT;
            agrees(&format!("sma_{period}"), |bar| moments(bar[3]).sum as f64 / scale);
        }
        for period in [2, 20] {
            let mut ema = Ema::new(period);
            agrees(&format!("ema_{period}"), |bar| ema.push(bar[3] as f64) / POINTS_PER_UNIT);
        }
    }

    #[test]
    fn oscillators_agree_with_ta_lib_in_double_precision() {
        for period in [2, 14] {
            let mut rsi = Rsi::new(period);
            agrees(&format!("rsi_{period}"), |bar| rsi.push(bar[3]));
        }
        for (fast, slow, signal) in [(12, 26, 9), (3, 10, 1), (2, 30, 16)] {
            let fresh = || Macd::new(fast, slow, signal);
            let name = |stem: &str| format!("{stem}_{fast}_{slow}_{signal}");
            let mut macd = fresh();
            agrees(&name("macd"), |bar| macd.push(bar[3]).macd / POINTS_PER_UNIT);
            let mut macd = fresh();
            agrees(&name("macd_signal"), |bar| macd.push(bar[3]).signal / POINTS_PER_UNIT);
            let mut macd = fresh();
            agrees(&name("macd_histogram"), |bar| macd.push(bar[3]).histogram / POINTS_PER_UNIT);
        }
        for period in [1, 2, 14] {
            let mut atr = Atr::new(period);
            agrees(&format!("atr_{period}"), |bar| atr.push(bar[1], bar[2], bar[3]) / POINTS_PER_UNIT);
        }
        let mut obv = Obv::default();
        agrees("obv", |bar| obv.push(bar[3], bar[4].unsigned_abs()));
    }

    #[test]
    fn bollinger_bands_agree_with_ta_lib_in_double_precision() {
        for (period, factor) in [(20, 2.0), (5, 2.5)] {
            let mut moments = moments_over(period);
            agrees(&format!("bollinger_b_{period}_{factor}"), |bar| {
                Bands { moments: moments(bar[3]), factor }.percent_b(bar[3])
            });
            let mut moments = moments_over(period);
            agrees(&format!("bollinger_width_{period}_{factor}"), |bar| {
                Bands { moments: moments(bar[3]), factor }.width()
            });
        }
    }

    #[test]
    fn a_market_that_stands_still_is_what_ta_lib_says_it_is() {
        let flat = include_str!("../../tests/data/feature/talib_flat.csv");
        for period in [2, 14] {
            let mut rsi = Rsi::new(period);
            agrees_on(flat, &format!("rsi_{period}"), &mut |bar| rsi.push(bar[3]));
        }
        let mut obv = Obv::default();
        agrees_on(flat, "obv", &mut |bar| obv.push(bar[3], bar[4].unsigned_abs()));
        let mut still = moments_over(5);
        let bands = Bands { moments: (0..5).map(|_| still(10_000)).last().expect("five"), factor: 2.0 };
        assert_eq!((bands.percent_b(10_000), bands.width()), (0.5, 0.0));
    }

    #[test]
    fn a_deviation_is_exact_however_far_the_values_lie_from_zero() {
        for base in [0, 114_543, 1_i64 << 40] {
            let mut moments = moments_over(4);
            let last = [0, 2, 4, 6].map(|value| moments(base + value))[3].clone();
            assert_eq!(last.scaled_deviation(), 80.0_f64.sqrt(), "population variance 5, times 16");
            assert_eq!(last.scaled_distance(base + 6), 12.0);
        }
    }

    #[test]
    fn a_wide_integer_becomes_the_float_nearest_to_it_or_its_neighbour() {
        for value in [0, 1, u128::from(u64::MAX), 1 << 64, (1 << 100) + 12_345, u128::MAX] {
            let (ours, nearest) = (wide_to_f64(value), value as f64);
            assert!((ours - nearest).abs() <= nearest * f64::EPSILON, "{value}");
        }
    }
}
