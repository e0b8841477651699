//! Latencies, as HDR histograms of nanoseconds. The only file that names `hdrhistogram`.

use hdrhistogram::Histogram;

/// A histogram of nanoseconds, from 1 ns to 1 hour, three significant digits.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

/// The percentiles we report. Never a mean alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// Half are at or below, ns.
    pub p50_ns: u64,
    /// Nine in ten are at or below, ns.
    pub p90_ns: u64,
    /// 99 in 100 are at or below, ns.
    pub p99_ns: u64,
    /// 999 in 1,000 are at or below, ns.
    pub p999_ns: u64,
    /// 9,999 in 10,000 are at or below, ns.
    pub p9999_ns: u64,
    /// The longest, ns.
    pub max_ns: u64,
}

impl Latency {
    const HIGHEST: u64 = 3_600_000_000_000;

    /// Nothing measured yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, Self::HIGHEST, 3).expect("the bounds are constants"))
    }

    /// Adds a measurement; more than an hour counts as an hour. Allocates nothing.
    #[inline]
    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    /// The percentiles so far.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.0.len(),
            p50_ns: self.0.value_at_quantile(0.5),
            p90_ns: self.0.value_at_quantile(0.9),
            p99_ns: self.0.value_at_quantile(0.99),
            p999_ns: self.0.value_at_quantile(0.999),
            p9999_ns: self.0.value_at_quantile(0.9999),
            max_ns: self.0.max(),
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}
