//! Reading time and pacing calls, open-loop.
//!
//! ```text
//!  due 0      due 1      due 2      due 3           due times do not depend on how long a call took
//!  |--call--| |----------call---------||call|       call 2 starts late, and counts from when it was due
//! ```

use std::time::{Duration, Instant};

/// A reading of the system's monotonic clock.
///
/// Not the engine's counter: that one may be read before the work in front of it has ended, which is right for a
/// stamp that must cost nothing and wrong around a call of some ten nanoseconds.
pub type Reading = Instant;

/// When each of many calls is due.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    start: Reading,
    period_ns: Option<f64>,
}

impl Pace {
    /// Calls at `rate` a second from `start` on; without a rate each is due when it is made.
    pub fn new(start: Reading, rate: Option<u64>) -> Self {
        Self { start, period_ns: rate.map(|rate| 1e9 / rate as f64) }
    }

    /// Spins until call `index` is due, from 0; gives when that was.
    #[inline]
    pub fn wait(&self, index: usize) -> Reading {
        let Some(period_ns) = self.period_ns else { return Instant::now() };
        let due = self.start + Duration::from_nanos((index as f64 * period_ns) as u64);
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        due
    }
}

/// One call: when it was due, when it was made, when it returned.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// When it was due.
    pub due: Reading,
    /// The clock in front of it.
    pub began: Reading,
    /// The clock behind it.
    pub ended: Reading,
}

/// The readings of some calls, in memory that was touched before. Worked out when the calls are over.
#[derive(Debug)]
pub struct Tape {
    calls: Vec<Call>,
    used: usize,
}

impl Tape {
    /// Room for `count` calls.
    pub fn new(count: usize) -> Self {
        let now = Instant::now();
        Self { calls: vec![Call { due: now, began: now, ended: now }; count], used: 0 }
    }

    /// Starts over.
    pub fn rewind(&mut self) {
        self.used = 0;
    }

    /// Adds a call.
    ///
    /// # Panics
    /// If there is no room: a bug of the caller.
    #[inline]
    pub fn push(&mut self, call: Call) {
        self.calls[self.used] = call;
        self.used += 1;
    }

    /// The calls since the start.
    pub fn calls(&self) -> &[Call] {
        &self.calls[..self.used]
    }
}

impl Call {
    /// How long it took, ns.
    pub fn took_ns(&self) -> u64 {
        nanoseconds(self.began, self.ended)
    }

    /// How long after its due time it was done, ns.
    pub fn since_due_ns(&self) -> u64 {
        nanoseconds(self.due, self.ended)
    }
}

/// Nanoseconds from one reading to a later one; 0 if it is not later.
pub fn nanoseconds(from: Reading, to: Reading) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_behind_a_slow_one_counts_from_when_it_was_due() {
        let start = Instant::now() - Duration::from_millis(1);
        let pace = Pace::new(start, Some(1_000_000));
        assert_eq!(pace.wait(500), start + Duration::from_micros(500), "long past, and still due then");
        let due = pace.wait(2_000);
        assert!(Instant::now() >= due && due == start + Duration::from_millis(2));
        let call = Call { due: start, began: start + Duration::from_nanos(70), ended: due };
        assert_eq!((call.took_ns(), call.since_due_ns()), (1_999_930, 2_000_000));
    }
}
