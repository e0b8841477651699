//! The naive twin of every column: recomputed from the whole history, as a textbook has it, in plain floats.
#![expect(
    clippy::disallowed_methods,
    reason = "a naive twin computes the obvious way, and is compared within a tolerance"
)]

use crate::driver::Quote;

/// A closed bar of the twin, in points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bar {
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
    pub(crate) mid: f64,
    pub(crate) volume: f64,
}

/// How the twin makes bars.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Interval {
    Nanoseconds(i64),
    Ticks(usize),
}

/// The bars that have closed when the last quote of the history is in.
pub(crate) fn bars(history: &[Quote], interval: Interval) -> Vec<Bar> {
    let mut groups: Vec<&[Quote]> = match interval {
        Interval::Nanoseconds(ns) => {
            history.chunk_by(|a, b| a.time.div_euclid(ns) == b.time.div_euclid(ns)).collect()
        }
        Interval::Ticks(ticks) => history.chunks_exact(ticks).collect(),
    };
    if matches!(interval, Interval::Nanoseconds(_)) {
        groups.pop();
    }
    let mut traded = false;
    let bid = |quote: &Quote| quote.bid as f64;
    groups
        .into_iter()
        .map(|quotes| {
            traded |= quotes.iter().any(|quote| quote.volume > 0);
            let last = quotes.last().expect("a group has quotes");
            let volume: i64 = quotes.iter().map(|quote| quote.volume).sum();
            Bar {
                high: quotes.iter().map(bid).fold(f64::MIN, f64::max),
                low: quotes.iter().map(bid).fold(f64::MAX, f64::min),
                close: bid(last),
                mid: mid(last),
                volume: if traded { volume as f64 } else { quotes.len() as f64 },
            }
        })
        .collect()
}

fn mid(quote: &Quote) -> f64 {
    (quote.bid + quote.ask) as f64 / 2.0
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64).sqrt()
}

fn last_of(values: &[f64], n: usize) -> Option<&[f64]> {
    values.len().checked_sub(n).map(|start| &values[start..])
}

/// Every value of an exponential average, the first being the mean of the first `n`.
fn ema(values: &[f64], n: usize) -> Vec<f64> {
    let Some((seed, rest)) = values.split_at_checked(n) else { return Vec::new() };
    let weight = 2.0 / (n as f64 + 1.0);
    let mut found = vec![mean(seed)];
    for value in rest {
        let before = found[found.len() - 1];
        found.push(before + weight * (value - before));
    }
    found
}

fn wilder(values: &[f64], n: usize) -> Option<f64> {
    let (seed, rest) = values.split_at_checked(n)?;
    Some(rest.iter().fold(mean(seed), |before, value| before + (value - before) / n as f64))
}

fn rsi(closes: &[f64], n: usize) -> Option<f64> {
    let moves: Vec<_> = closes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let gain = wilder(&moves.iter().map(|m| m.max(0.0)).collect::<Vec<_>>(), n)?;
    let loss = wilder(&moves.iter().map(|m| (-m).max(0.0)).collect::<Vec<_>>(), n)?;
    Some(if gain + loss == 0.0 { 0.0 } else { 100.0 * gain / (gain + loss) })
}

/// MACD, signal and histogram.
fn macd(closes: &[f64], fast: usize, slow: usize, signal: usize) -> Option<[f64; 3]> {
    let slows = ema(closes, slow);
    let fasts = ema(closes.get(slow - fast..)?, fast);
    let macds: Vec<_> = fasts.iter().zip(&slows).map(|(fast, slow)| fast - slow).collect();
    let signal = *ema(&macds, signal).last()?;
    let macd = *macds.last()?;
    Some([macd, signal, macd - signal])
}

fn atr(bars: &[Bar], n: usize) -> Option<f64> {
    let range = |pair: &[Bar]| {
        let (before, bar) = (pair[0].close, pair[1]);
        (bar.high - bar.low).max((bar.high - before).abs()).max((bar.low - before).abs())
    };
    wilder(&bars.windows(2).map(range).collect::<Vec<_>>(), n)
}

fn obv(bars: &[Bar]) -> Option<f64> {
    let first = bars.first()?.volume;
    let sign = |pair: &[Bar]| {
        if pair[0].close == pair[1].close { 0.0 } else { (pair[1].close - pair[0].close).signum() }
    };
    Some(first + bars.windows(2).map(|pair| sign(pair) * pair[1].volume).sum::<f64>())
}

/// The column's value after the last quote, or `None` if it is not warm.
pub(crate) fn value(column: &str, history: &[Quote], bars: &[Bar], digits: i32) -> Option<f64> {
    let words: Vec<&str> = column.split('_').collect();
    let names = words.iter().take_while(|word| word.parse::<f64>().is_err()).count();
    let numbers: Vec<f64> = words[names..].iter().map(|word| word.parse().expect("a number")).collect();
    let n = numbers.first().map_or(0, |n| *n as usize);
    let stem = words[..names].join("_");
    if let Some(value) = tick_value(&stem, n, history, digits) {
        return value;
    }
    let price = |points: f64| points / 10_f64.powi(digits);
    let closes: Vec<_> = bars.iter().map(|bar| bar.close).collect();
    let macd = || macd(&closes, numbers[0] as usize, numbers[1] as usize, numbers[2] as usize);
    match stem.as_str() {
        "return_bar" => {
            last_of(&bars.iter().map(|bar| bar.mid).collect::<Vec<_>>(), 2).map(|m| (m[1] - m[0]) / m[0])
        }
        "sma" => last_of(&closes, n).map(|closes| price(mean(closes))),
        "ema" => ema(&closes, n).last().map(|value| price(*value)),
        "rsi" => rsi(&closes, n),
        "macd" => macd().map(|values| price(values[0])),
        "macd_signal" => macd().map(|values| price(values[1])),
        "macd_histogram" => macd().map(|values| price(values[2])),
        "bollinger_b" => last_of(&closes, n).map(|last| {
            let distance = numbers[1] * deviation(last);
            if distance == 0.0 { 0.5 } else { (last[n - 1] - mean(last) + distance) / (2.0 * distance) }
        }),
        "bollinger_width" => last_of(&closes, n).map(|last| 2.0 * numbers[1] * deviation(last) / mean(last)),
        "atr" => atr(bars, n).map(price),
        "obv" => obv(bars),
        _ => panic!("the twin does not know {column}"),
    }
}

/// The value of a column on ticks; `None` if it is not one.
fn tick_value(stem: &str, n: usize, history: &[Quote], digits: i32) -> Option<Option<f64>> {
    let price = |points: f64| points / 10_f64.powi(digits);
    let all_mids = || history.iter().map(mid).collect::<Vec<_>>();
    let tail = |n: usize| history.len().checked_sub(n).map(|start| &history[start..]);
    let mids = |n: usize| Some(tail(n)?.iter().map(mid).collect::<Vec<_>>());
    let spreads = |n: usize| Some(tail(n)?.iter().map(|q| (q.ask - q.bid) as f64).collect::<Vec<_>>());
    let turn = |quote: &Quote| quote.time.div_euclid(1_000_000_000).rem_euclid(86_400) as f64 / 86_400.0;
    Some(match stem {
        "mid" => mids(1).map(|m| price(m[0])),
        "return" => mids(n + 1).map(|m| (m[n] - m[0]) / m[0]),
        "spread" => spreads(1).map(|s| s[0]),
        "spread_mean" => spreads(n).map(|s| mean(&s)),
        "spread_z" => spreads(n).map(|s| {
            let deviation = deviation(&s);
            if deviation == 0.0 { 0.0 } else { (s[n - 1] - mean(&s)) / deviation }
        }),
        "tick_rate" => tail(n + 1).map(|quotes| {
            let seconds = (quotes[n].time - quotes[0].time) as f64 / 1e9;
            n as f64 / seconds.max(0.001)
        }),
        "volatility" => mids(n + 1)
            .map(|m| m.windows(2).map(|pair| ((pair[1] - pair[0]) / pair[0]).powi(2)).sum::<f64>().sqrt()),
        "tick_sma" => mids(n).map(|m| price(mean(&m))),
        "tick_ema" => ema(&all_mids(), n).last().map(|value| price(*value)),
        "day_sin" => tail(1).map(|q| (turn(&q[0]) * std::f64::consts::TAU).sin()),
        "day_cos" => tail(1).map(|q| (turn(&q[0]) * std::f64::consts::TAU).cos()),
        _ => return None,
    })
}

/// How far a value may lie from its twin: rounding to `f32`, and the twin's own rounding near zero.
pub(crate) fn tolerance(column: &str, expected: f64, price: f64) -> f64 {
    let floor = match column.split('_').next().expect("a stem") {
        "mid" | "tick" | "sma" | "ema" | "macd" | "atr" => 1e-11 * price,
        "return" | "volatility" => 1e-13,
        "bollinger" if column.starts_with("bollinger_width") => 1e-13,
        _ => 1e-9,
    };
    expected.abs() * 1e-7 + floor
}

/// Holds a vector against the twin.
pub(crate) fn check(columns: &[&str], values: &[f32], history: &[Quote], interval: Interval, digits: i32) {
    assert_eq!(values.len(), columns.len());
    let bars = bars(history, interval);
    let price = history.last().map_or(0.0, mid) / 10_f64.powi(digits);
    for (column, found) in columns.iter().zip(values) {
        let expected = value(column, history, &bars, digits).unwrap_or(0.0);
        let error = (f64::from(*found) - expected).abs();
        assert!(
            error <= tolerance(column, expected, price),
            "{column} after {} ticks and {} bars: {found} is not {expected}",
            history.len(),
            bars.len()
        );
    }
}
