//! `OrderRate`: how many order messages left in the last minute, over a ring of their times.

use crate::stateful;
use pawl_journal::record::Time;

/// Most messages a minute that can be counted, and so the highest limit.
pub(super) const RATE_MAX: usize = 1_024;

const MINUTE_NS: i64 = 60 * Time::SECOND;

/// The times of the last messages.
#[derive(Debug, Clone)]
pub(super) struct OrderRate {
    times: Box<[Time]>,
    count: usize,
}

stateful!(OrderRate { times, count });

impl OrderRate {
    /// Nothing sent.
    pub(super) fn new() -> Self {
        Self { times: vec![Time(0); RATE_MAX].into_boxed_slice(), count: 0 }
    }

    /// Counts a message.
    pub(super) fn push(&mut self, now: Time) {
        self.times[self.count % RATE_MAX] = now;
        self.count += 1;
    }

    /// Whether `limit` messages (1 to [`RATE_MAX`]) left in the minute that ends now.
    pub(super) fn is_full(&self, limit: usize, now: Time) -> bool {
        self.count >= limit && now.0.saturating_sub(self.times[(self.count - limit) % RATE_MAX].0) < MINUTE_NS
    }

    /// Messages in the minute that ends now, at most [`RATE_MAX`].
    pub(super) fn last_minute(&self, now: Time) -> usize {
        (1..=self.count.min(RATE_MAX)).take_while(|limit| self.is_full(*limit, now)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_for_a_minute() {
        let mut rate = OrderRate::new();
        rate.push(Time(0));
        rate.push(Time(Time::SECOND));
        assert!(rate.is_full(2, Time(MINUTE_NS - 1)) && !rate.is_full(3, Time(MINUTE_NS - 1)));
        assert!(!rate.is_full(2, Time(MINUTE_NS)) && rate.is_full(1, Time(MINUTE_NS)));
        assert_eq!((rate.last_minute(Time(MINUTE_NS)), rate.last_minute(Time(2 * MINUTE_NS))), (1, 0));
    }

    #[test]
    fn the_ring_holds_as_many_as_the_highest_limit() {
        let mut rate = OrderRate::new();
        for message in 0..RATE_MAX as i64 * 3 {
            rate.push(Time(message));
        }
        assert!(rate.is_full(RATE_MAX, Time(4_000)));
        assert_eq!(rate.last_minute(Time(4_000)), RATE_MAX);
    }
}
