//! `Between`: the part of a feed that lies in a range of time.

use pawl_engine::port::{Feed, FeedError, FeedTick};
use pawl_journal::record::Time;

use super::take_to;

/// A range of time: from `from` on, up to and not including `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment in it.
    pub from: Time,
    /// The first moment behind it.
    pub until: Time,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self { from: Time(i64::MIN), until: Time(i64::MAX) };
}

/// The part of a feed that lies in a range of time: it begins with the first tick at or after the beginning, and ends
/// before the first one at or after the end. Ticks are numbered from there, from 1.
pub struct Between {
    inner: Box<dyn Feed>,
    range: TimeRange,
    /// The first tick, read and not delivered.
    head: Option<FeedTick>,
    delivered: u64,
    last: Time,
    ended: bool,
}

impl Between {
    /// Reads a feed up to the first tick of the range; nothing, if the range is all of time.
    ///
    /// # Errors
    /// Those of the feed.
    pub fn open(inner: Box<dyn Feed>, range: TimeRange) -> Result<Self, FeedError> {
        let mut own = Self { inner, range, head: None, delivered: 0, last: range.from, ended: false };
        if range != TimeRange::ALL {
            let mut head = own.inner.next()?;
            while head.is_some_and(|tick| tick.time < range.from) {
                head = own.inner.next()?;
            }
            own.head = head.filter(|tick| tick.time < range.until);
            own.ended = own.head.is_none();
        }
        Ok(own)
    }

    /// Whether it is known to have no tick to give.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ended
    }
}

impl Feed for Between {
    #[inline]
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        if self.ended {
            return Ok(None);
        }
        // Over behind an error too.
        self.ended = true;
        let tick = match self.head.take() {
            Some(tick) => Some(tick),
            None => self.inner.next()?.filter(|tick| tick.time < self.range.until),
        };
        self.ended = tick.is_none();
        Ok(tick.map(|tick| {
            self.delivered += 1;
            self.last = tick.time;
            FeedTick { source_sequence: self.delivered, ..tick }
        }))
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        let reached = self.delivered;
        take_to(self, reached, source_sequence)
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    /// By time where both ends are known, else as the feed says.
    fn progress(&self) -> Option<f64> {
        let TimeRange { from, until } = self.range;
        if from == TimeRange::ALL.from || until == TimeRange::ALL.until {
            return self.inner.progress();
        }
        let (done, all) = (self.last.0.saturating_sub(from.0), until.0.saturating_sub(from.0));
        Some(if self.ended { 1.0 } else { (done as f64 / all as f64).clamp(0.0, 1.0) })
    }
}

impl std::fmt::Debug for Between {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Between")
            .field("name", &self.inner.name())
            .field("range", &self.range)
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use pawl_journal::record::Points;

    use super::super::Memory;
    use super::*;

    fn feed(times: &[i64]) -> Box<dyn Feed> {
        let tick = |&time: &i64| FeedTick { time: Time(time), bid: Points(time), ..FeedTick::default() };
        Box::new(Memory::new("ticks", times.iter().map(tick).collect()))
    }

    fn taken(feed: &mut Between) -> Vec<(u64, i64)> {
        std::iter::from_fn(|| feed.next().expect("readable"))
            .map(|it| (it.source_sequence, it.time.0))
            .collect()
    }

    #[test]
    fn a_range_begins_and_ends_within_the_feed_and_counts_from_one() {
        let range = TimeRange { from: Time(20), until: Time(40) };
        let mut feed_20 = Between::open(feed(&[10, 20, 30, 25, 40, 35]), range).expect("readable");
        assert!(!feed_20.is_empty());
        assert_eq!(
            taken(&mut feed_20),
            [(1, 20), (2, 30), (3, 25)],
            "what comes behind the end is not looked at"
        );
        let mut resumed = Between::open(feed(&[10, 20, 30, 25, 40]), range).expect("readable");
        resumed.skip_to(2).expect("there");
        assert_eq!(taken(&mut resumed), [(3, 25)]);
        assert!(Between::open(feed(&[10, 20, 30]), range).expect("readable").skip_to(3).is_err());
    }

    #[test]
    fn a_range_without_a_tick_is_empty_and_all_of_time_is_the_feed() {
        for (from, until) in [(0, 10), (31, 90), (20, 20)] {
            let range = TimeRange { from: Time(from), until: Time(until) };
            assert!(
                Between::open(feed(&[10, 20, 30]), range).expect("readable").is_empty(),
                "{from} {until}"
            );
        }
        let mut all = Between::open(feed(&[30, 10]), TimeRange::ALL).expect("readable");
        assert_eq!(taken(&mut all), [(1, 30), (2, 10)]);
    }
}
