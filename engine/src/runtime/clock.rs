//! The clock: a monotonic counter for stamps and the wall-clock time of receipt. The only file that names `quanta`.

use pawl_journal::record::{Stamps, Time};

/// Reads the processor's counter; nanoseconds are worked out afterwards, off the counter's calibration.
#[derive(Debug, Clone)]
pub struct Clock {
    counter: quanta::Clock,
    anchor_raw: u64,
    anchor_unix: i64,
}

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
        Self { counter, anchor_raw, anchor_unix: i64::try_from(unix.as_nanos()).unwrap_or(i64::MAX) }
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
        self.counter.delta_as_nanos(from.0, to.0)
    }

    /// As [`Self::nanoseconds`], in the width of a stamp.
    #[inline]
    #[must_use]
    pub fn stamp(&self, from: Instant, to: Instant) -> u32 {
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
