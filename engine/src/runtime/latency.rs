//! Latencies, as HDR histograms of nanoseconds. The only file that names `hdrhistogram`.

use hdrhistogram::Histogram;

/// What three significant digits take: the next power of two above 2 x 10^3.
const SUB_BUCKETS: u32 = 2_048;

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

    /// Adds all that another one measured.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The curve of percentiles: the share of measurements at or below a value, 0 to 1, and that value, ns. Finer
    /// towards the maximum, with which it ends; nothing if nothing was measured.
    pub fn curve(&self) -> impl Iterator<Item = (f64, u64)> {
        self.0.iter_quantiles(5).map(|it| (it.quantile(), it.value_iterated_to()))
    }

    /// The distribution as text that the plotters of HdrHistogram read (`.hgrm`), in ns.
    #[must_use]
    pub fn distribution(&self) -> String {
        let mut text = format!(
            "{:>12} {:>14} {:>10} {:>14}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        let mut total = 0;
        for it in self.0.iter_quantiles(5) {
            total += it.count_since_last_iteration();
            let (value, quantile) = (it.value_iterated_to() as f64, it.quantile_iterated_to());
            let inverse =
                if quantile < 1.0 { format!("{:>14.2}", 1.0 / (1.0 - quantile)) } else { String::new() };
            text.push_str(format!("{value:>12.3} {quantile:>2.12} {total:>10} {inverse}").trim_end());
            text.push('\n');
        }
        let (mean, deviation, max) = (self.0.mean(), self.0.stdev(), self.0.max() as f64);
        text + &format!(
            "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]\n#[Max     = {max:>12.3}, Total count    = \
             {total:>12}]\n#[Buckets = {:>12}, SubBuckets     = {SUB_BUCKETS:>12}]\n",
            self.0.buckets()
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_ends_with_the_maximum_and_counts_everything() {
        let mut latency = Latency::new();
        (1..=1_000).for_each(|nanoseconds| latency.record(nanoseconds));
        let mut other = Latency::new();
        other.record(70_000);
        latency.add(&other);
        let text = latency.distribution();
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|word| word.parse().expect("a number")).collect())
            .collect();
        assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]), "{text}");
        let last = rows.last().expect("rows");
        assert!(
            last.len() == 3 && last[1] == 1.0 && last[2] == 1_001.0 && (last[0] - 70_000.0).abs() < 70.0,
            "{text}"
        );
        assert!(text.contains("Total count    =         1001]"), "{text}");
        assert_eq!(latency.curve().last().map(|(share, _)| share), Some(1.0));
        assert_eq!((latency.count(), Latency::new().curve().count()), (1_001, 0));
    }
}
