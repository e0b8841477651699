//! The clock: a monotonic counter for stamps and the wall-clock time of receipt. The only file that names `quanta`.

use pawl_journal::record::{Stamps, Time};

/// Reads the processor's counter; nanoseconds are worked out afterwards, off the counter's calibration.
#[derive(Debug, Clone)]
pub struct Clock {
    counter: quanta::Clock,
    /// Nanoseconds of 2^[`SCALE_BITS`] counts.
    scale: u64,
    /// Nanoseconds of 2^32 counts, and the most counts that they convert in 64 bits.
    short: (u64, u64),
    anchor_raw: u64,
    anchor_unix: i64,
}

/// An hour comes out right to 10 ns, whatever the counter's frequency.
const SCALE_BITS: u32 = 40;

/// A reading of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Instant(u64);

impl Clock {
    /// A clock calibrated against the system's wall clock now.
    ///
    /// The first call in a process calibrates the counter, which takes some milliseconds.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    pub fn new() -> Self {
        let counter = quanta::Clock::new();
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let anchor_raw = counter.raw();
        let scale = counter.delta_as_nanos(0, 1 << SCALE_BITS);
        let per_word = counter.delta_as_nanos(0, 1 << u32::BITS).max(1);
        let short = (per_word, u64::MAX / per_word);
        Self {
            counter,
            scale,
            short,
            anchor_raw,
            anchor_unix: i64::try_from(unix.as_nanos()).unwrap_or(i64::MAX),
        }
    }

    /// The counter now.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(self.counter.raw())
    }

    /// Nanoseconds from one reading to a later one; 0 if it is not later.
    #[inline]
    #[must_use]
    pub fn nanoseconds(&self, from: Instant, to: Instant) -> u64 {
        let counts = to.0.saturating_sub(from.0);
        ((u128::from(counts) * u128::from(self.scale)) >> SCALE_BITS) as u64
    }

    /// As [`Self::nanoseconds`], in the width of a stamp.
    #[inline]
    #[must_use]
    pub fn stamp(&self, from: Instant, to: Instant) -> u32 {
        let counts = to.0.saturating_sub(from.0);
        let (per_word, counts_max) = self.short;
        if counts > counts_max {
            return self.long_stamp(from, to);
        }
        ((counts * per_word) >> u32::BITS) as u32
    }

    #[cold]
    fn long_stamp(&self, from: Instant, to: Instant) -> u32 {
        Stamps::saturate(self.nanoseconds(from, to))
    }

    /// The wall-clock time of a reading.
    #[inline]
    #[must_use]
    pub fn unix(&self, instant: Instant) -> Time {
        Time(self.anchor_unix.saturating_add_unsigned(self.nanoseconds(Instant(self.anchor_raw), instant)))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_are_those_of_the_counters_calibration() {
        let clock = Clock::new();
        for counts in [0, 1, 3, 999, 1 << 20, 1 << 32, 1 << 43] {
            let (from, to) = (Instant(7), Instant(7 + counts));
            let exact = clock.counter.delta_as_nanos(7, 7 + counts);
            let told = clock.nanoseconds(from, to);
            assert!(told.abs_diff(exact) <= 1 + (exact >> 36), "{counts}: {told} and {exact}");
            let stamp = u64::from(clock.stamp(from, to));
            assert!(stamp.abs_diff(told.min(u64::from(u32::MAX))) <= 1, "{counts}: {stamp} and {told}");
            assert_eq!((clock.nanoseconds(to, from), clock.stamp(to, from)), (0, 0));
        }
        assert_eq!(clock.stamp(Instant(0), Instant(u64::MAX >> 8)), u32::MAX);
    }
}
