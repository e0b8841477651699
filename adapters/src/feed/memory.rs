//! `Memory`: a feed of ticks that are there already, for benchmarks and tests.

use pawl_engine::port::{Feed, FeedError, FeedTick};

use super::ended_before;

/// A feed of ticks that are there already. Nothing is read, parsed or allocated while it runs.
#[derive(Debug, Clone)]
pub struct Memory {
    name: String,
    ticks: Vec<FeedTick>,
    at: usize,
}

impl Memory {
    /// A feed of these ticks, in this order. Their `source_sequence` becomes their place in it, from 1.
    #[must_use]
    pub fn new(name: impl Into<String>, mut ticks: Vec<FeedTick>) -> Self {
        for (index, tick) in ticks.iter_mut().enumerate() {
            tick.source_sequence = index as u64 + 1;
        }
        Self { name: name.into(), ticks, at: 0 }
    }

    /// Reads another feed to its end and keeps its name and ticks.
    ///
    /// # Errors
    /// Those of the other feed.
    pub fn from_feed(feed: &mut dyn Feed) -> Result<Self, FeedError> {
        let mut ticks = Vec::new();
        while let Some(tick) = feed.next()? {
            ticks.push(tick);
        }
        Ok(Self::new(feed.name(), ticks))
    }

    /// All ticks, delivered or not.
    #[must_use]
    pub fn ticks(&self) -> &[FeedTick] {
        &self.ticks
    }

    /// Begins again with the first tick.
    pub const fn rewind(&mut self) {
        self.at = 0;
    }
}

impl Feed for Memory {
    #[inline]
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        let tick = self.ticks.get(self.at).copied();
        self.at += usize::from(tick.is_some());
        Ok(tick)
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        match usize::try_from(source_sequence) {
            Ok(place) if place <= self.ticks.len() => {
                self.at = self.at.max(place);
                Ok(())
            }
            _ => Err(ended_before(&self.name, source_sequence, self.ticks.len() as u64)),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn progress(&self) -> Option<f64> {
        Some(if self.ticks.is_empty() { 1.0 } else { self.at as f64 / self.ticks.len() as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pawl_journal::record::Time;

    fn three() -> Memory {
        let tick = |time| FeedTick { time: Time(time), ..FeedTick::default() };
        Memory::new("three", vec![tick(5), tick(3), tick(9)])
    }

    #[test]
    fn ticks_come_in_the_order_given_numbered_from_one() {
        let mut feed = three();
        let taken: Vec<(i64, u64)> = std::iter::from_fn(|| feed.next().expect("no error"))
            .map(|t| (t.time.0, t.source_sequence))
            .collect();
        assert_eq!(taken, [(5, 1), (3, 2), (9, 3)]);
        assert_eq!(feed.progress(), Some(1.0));
        feed.rewind();
        assert_eq!(Memory::from_feed(&mut feed).expect("no error").ticks(), feed.ticks());
    }

    #[test]
    fn going_on_after_a_restart_skips_what_was_taken() {
        let mut feed = three();
        feed.skip_to(2).expect("inside");
        assert_eq!(feed.next().expect("no error").expect("one left").source_sequence, 3);
        feed.skip_to(1).expect("already past it");
        assert_eq!(feed.next().expect("no error"), None);
        let error = three().skip_to(4).expect_err("too far");
        assert!(error.to_string().contains("ends after tick 3"), "{error}");
    }
}
