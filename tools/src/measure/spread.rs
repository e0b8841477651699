//! How measurements spread: percentiles of all of them, and of the quiet tenth of 100-ms windows.
//!
//! A shared machine takes time away in slices of milliseconds, whatever the program does. So every latency is told
//! twice: over the whole run, and over the tenth of its windows (at least one) whose p99 is lowest.

use std::time::Duration;

use pawl_engine::runtime::{Latency, Percentiles};
use serde::Serialize;

use crate::output::thousands;

/// Length of a window.
const WINDOW: Duration = Duration::from_millis(100);

/// Measurements on their way to a [`Spread`].
#[derive(Debug, Default)]
pub struct Windows {
    all: Latency,
    whole: Vec<Vec<u32>>,
}

/// How measurements spread.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// Of all of them.
    pub whole: Percentiles,
    /// Of those in the quiet windows; none if no window was filled.
    pub quiet: Option<Percentiles>,
    /// Windows that were filled.
    pub windows: usize,
}

impl Spread {
    /// A percentile of the whole, ns; none if nothing was measured.
    pub fn whole_ns(&self, pick: impl Fn(&Percentiles) -> u64) -> Option<f64> {
        (self.whole.count > 0).then(|| pick(&self.whole) as f64)
    }
}

impl Windows {
    /// Adds the measurements of a stretch without a break: for each the time since the stretch began, and its
    /// nanoseconds. A last window that is not filled counts for the whole only.
    pub fn stretch(&mut self, measurements: impl Iterator<Item = (Duration, u64)>) {
        let (mut window, mut index, mut last) = (Vec::new(), 0, Duration::ZERO);
        for (at, nanoseconds) in measurements {
            self.all.record(nanoseconds);
            while at >= WINDOW * (index + 1) {
                self.keep(&mut window);
                index += 1;
            }
            window.push(u32::try_from(nanoseconds).unwrap_or(u32::MAX));
            last = at;
        }
        if last.saturating_sub(WINDOW * index) >= WINDOW * 9 / 10 {
            self.keep(&mut window);
        }
    }

    fn keep(&mut self, window: &mut Vec<u32>) {
        if !window.is_empty() {
            self.whole.push(std::mem::take(window));
        }
    }

    /// All of them, as a histogram.
    pub const fn all(&self) -> &Latency {
        &self.all
    }

    /// How they spread.
    pub fn spread(&self) -> Spread {
        let mut ranked: Vec<(u32, &Vec<u32>)> = self.whole.iter().map(|it| (p99(it), it)).collect();
        ranked.sort_by_key(|(p99, _)| *p99);
        ranked.truncate(self.whole.len().div_ceil(10));
        let mut quiet = Latency::new();
        ranked.iter().flat_map(|(_, window)| *window).for_each(|it| quiet.record(u64::from(*it)));
        Spread {
            whole: self.all.percentiles(),
            quiet: (!ranked.is_empty()).then(|| quiet.percentiles()),
            windows: self.whole.len(),
        }
    }
}

fn p99(window: &[u32]) -> u32 {
    let mut values = window.to_vec();
    let index = (values.len() - 1) * 99 / 100;
    *values.select_nth_unstable(index).1
}

/// What percentiles have over those of the baseline, ns. Negative where the baseline is the higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Over {
    /// Of the medians.
    pub p50_ns: i64,
    /// Of the 90th percentiles.
    pub p90_ns: i64,
    /// Of the 99th.
    pub p99_ns: i64,
    /// Of the 99.9th.
    pub p999_ns: i64,
    /// Of the 99.99th.
    pub p9999_ns: i64,
}

impl Over {
    /// The differences, percentile by percentile.
    pub fn new(it: &Percentiles, baseline: &Percentiles) -> Self {
        let over = |value: u64, base: u64| value.cast_signed() - base.cast_signed();
        Self {
            p50_ns: over(it.p50_ns, baseline.p50_ns),
            p90_ns: over(it.p90_ns, baseline.p90_ns),
            p99_ns: over(it.p99_ns, baseline.p99_ns),
            p999_ns: over(it.p999_ns, baseline.p999_ns),
            p9999_ns: over(it.p9999_ns, baseline.p9999_ns),
        }
    }
}

/// Column heads of a table of percentiles, with others in front and behind.
pub fn heads<'a>(front: &[&'a str], behind: &[&'a str]) -> Vec<&'a str> {
    [front, &["p50", "p90", "p99", "p99.9", "p99.99", "max"], behind].concat()
}

/// The cells under [`heads`]; strokes where there is nothing to tell.
pub fn percentile_cells(it: &Percentiles) -> Vec<String> {
    if it.count == 0 {
        return vec!["-".to_owned(); 6];
    }
    [it.p50_ns, it.p90_ns, it.p99_ns, it.p999_ns, it.p9999_ns, it.max_ns].map(thousands).to_vec()
}

/// p50, p99 and p99.9 over the baseline.
pub fn over_cells(it: Option<&Over>) -> Vec<String> {
    let signed =
        |value: i64| format!("{}{}", if value < 0 { "-" } else { "+" }, thousands(value.unsigned_abs()));
    it.map_or_else(|| vec![String::new(); 3], |it| [it.p50_ns, it.p99_ns, it.p999_ns].map(signed).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quiet_tenth_leaves_out_what_disturbed_other_windows() {
        let mut windows = Windows::default();
        // Twenty windows of 1,000 measurements; all but the third and the ninth lose some milliseconds.
        windows.stretch((0..20_000_u32).map(|index| {
            let disturbed = !matches!(index / 1_000, 3 | 9) && index % 1_000 >= 900;
            (Duration::from_micros(u64::from(index) * 100), if disturbed { 5_000_000 } else { 30 })
        }));
        let spread = windows.spread();
        assert_eq!((spread.windows, spread.whole.count), (20, 20_000));
        assert!(spread.whole.max_ns >= 5_000_000 && spread.whole.p50_ns == 30);
        let quiet = spread.quiet.unwrap();
        assert_eq!((quiet.count, quiet.max_ns), (2_000, 30));
    }

    #[test]
    fn a_window_that_is_not_filled_is_not_quiet() {
        let mut windows = Windows::default();
        windows.stretch((0..50).map(|index| (Duration::from_millis(index), 10)));
        let spread = windows.spread();
        assert_eq!((spread.windows, spread.quiet.is_none(), spread.whole.count), (0, true, 50));
        windows.stretch(std::iter::empty());
        assert_eq!(windows.spread().whole.count, 50);
    }

    #[test]
    fn what_is_over_the_baseline_may_be_negative() {
        let (mut high, mut low) = (Latency::new(), Latency::new());
        (0..100).for_each(|_| high.record(70));
        (0..100).for_each(|_| low.record(40));
        let (high, low) = (high.percentiles(), low.percentiles());
        assert_eq!((Over::new(&high, &low).p50_ns, Over::new(&low, &high).p999_ns), (30, -30));
        assert_eq!(over_cells(Some(&Over::new(&low, &high))), ["-30", "-30", "-30"]);
    }
}
