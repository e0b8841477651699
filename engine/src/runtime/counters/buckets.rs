//! Buckets: histograms of nanoseconds in fixed log-linear buckets, one word each, so that they can be counted on the
//! hot path and read by anybody.
//!
//! ```text
//!  0 1 2 .. 15 | 16 18 20 .. 30 | 32 36 40 .. 60 | 64 ..     lowest value of each bucket: eight to a power of two
//! ```
//!
//! A bucket is at most an eighth of its lowest value wide and is told by its middle: no percentile is wrong by more than
//! 6.25 %.

/// Buckets of a histogram: up to `u32::MAX` ns, 4.29 s; what is longer counts as that.
pub const BUCKETS: usize = 240;

/// Words of a histogram: its buckets, the sum of everything counted, and some that are spare.
pub const HISTOGRAM_WORDS: usize = 256;

/// Place of the sum among the words.
pub(super) const SUM: usize = BUCKETS;

/// The bucket of a value.
#[inline]
#[must_use]
pub const fn bucket_of(nanoseconds: u32) -> usize {
    let shift = 28 - (nanoseconds | 8).leading_zeros();
    ((shift << 3) + (nanoseconds >> shift)) as usize
}

/// The lowest and the highest value of a bucket, ns.
#[must_use]
pub const fn range_of(bucket: usize) -> (u64, u64) {
    let bucket = bucket as u64;
    if bucket < 16 {
        return (bucket, bucket);
    }
    let shift = bucket / 8 - 1;
    let lowest = (bucket % 8 + 8) << shift;
    (lowest, lowest + (1 << shift) - 1)
}

/// A histogram as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    counts: Vec<u64>,
    /// Everything counted together, ns.
    pub sum_ns: u64,
}

impl Distribution {
    /// The histogram in these words.
    ///
    /// # Panics
    /// If they are fewer than [`HISTOGRAM_WORDS`].
    #[must_use]
    pub fn new(words: &[u64]) -> Self {
        Self { counts: words[..BUCKETS].to_vec(), sum_ns: words[SUM] }
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.up_to(BUCKETS - 1)
    }

    /// How many values were counted in the buckets up to this one.
    #[must_use]
    pub fn up_to(&self, bucket: usize) -> u64 {
        self.counts[..=bucket].iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// What was counted since an earlier reading of the same histogram.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let counts = self.counts.iter().zip(&before.counts).map(|(now, before)| now.saturating_sub(*before));
        Self { counts: counts.collect(), sum_ns: self.sum_ns.saturating_sub(before.sum_ns) }
    }

    /// The value at or below which this share of the values is, ns, as the middle of its bucket; 0 of an empty histogram.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0_u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= wanted {
                let (lowest, highest) = range_of(bucket);
                return lowest.midpoint(highest);
            }
        }
        0
    }

    /// No value was higher than this, ns.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.counts.iter().rposition(|count| *count > 0).map_or(0, |bucket| range_of(bucket).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap_and_none_is_wider_than_promised() {
        let mut next = 0;
        for bucket in 0..BUCKETS {
            let (lowest, highest) = range_of(bucket);
            assert_eq!(lowest, next, "bucket {bucket}");
            for value in [lowest, lowest.midpoint(highest), highest] {
                assert_eq!(bucket_of(u32::try_from(value).expect("within range")), bucket, "{value}");
                let error = value.abs_diff(lowest.midpoint(highest)) as f64;
                assert!(error <= 0.0625 * value as f64, "{value}");
            }
            next = highest + 1;
        }
        assert_eq!(next, 1 << 32);
    }

    #[test]
    fn percentiles_are_within_the_promised_error_of_the_exact_ones() {
        let values: Vec<u32> =
            (1..=10_000_u32).map(|number| number.wrapping_mul(2_654_435_761) >> 12).collect();
        let mut words = vec![0; HISTOGRAM_WORDS];
        for value in &values {
            words[bucket_of(*value)] += 1;
            words[SUM] += u64::from(*value);
        }
        let told = Distribution::new(&words);
        let mut sorted = values;
        sorted.sort_unstable();
        for share in [0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = f64::from(sorted[(share * 10_000.0_f64).ceil() as usize - 1]);
            let error = (told.quantile(share) as f64 - exact).abs() / exact;
            assert!(error <= 0.0625, "{share}: {error}");
        }
        assert!(told.highest() >= u64::from(sorted[9_999]));
        assert_eq!(told.count(), 10_000);
    }

    #[test]
    fn an_empty_histogram_has_no_percentiles() {
        let empty = Distribution::new(&[0; HISTOGRAM_WORDS]);
        assert_eq!((empty.count(), empty.quantile(0.99), empty.highest()), (0, 0, 0));
    }
}
