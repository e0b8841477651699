//! The lag of a journal that is synced in the background: notices when the disk does not keep up.
//!
//! It cannot be an alert in the journal: how fast a disk is would then decide what a journal holds, and the same
//! ticks would no longer give the same steps in every mode.

use std::time::{Duration, Instant};

use pawl_journal::record::Sequence;

/// Lag beyond the mode's own bound before anybody is told.
const PATIENCE: Duration = Duration::from_secs(1);

/// Follows how long the last steps have been waiting for the disk.
#[derive(Debug)]
pub struct LagWatch {
    interval: Duration,
    /// A step, and when it was seen first; it was not durable then.
    mark: (Sequence, Instant),
    is_told: bool,
}

impl LagWatch {
    /// A watch of a journal whose steps are to be durable after `interval` and one sync.
    pub const fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, mark: (Sequence(0), now), is_told: false }
    }

    /// For how long steps have been waiting, if that has just become too long. `sync_max` is the longest sync so far.
    pub fn look(
        &mut self,
        committed: Sequence,
        durable: Sequence,
        sync_max: Duration,
        now: Instant,
    ) -> Option<Duration> {
        if durable >= self.mark.0 {
            (self.mark, self.is_told) = ((committed, now), false);
            return None;
        }
        let lag = now.saturating_duration_since(self.mark.1);
        if self.is_told || lag <= self.interval + sync_max + PATIENCE {
            return None;
        }
        self.is_told = true;
        Some(lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_falls_behind_is_told_once_until_it_has_caught_up() {
        let start = Instant::now();
        let mut watch = LagWatch::new(Duration::from_millis(50), start);
        let mut look = |seconds, committed, durable| {
            let now = start + Duration::from_secs(seconds);
            watch
                .look(Sequence(committed), Sequence(durable), Duration::from_secs(2), now)
                .map(|it| it.as_secs())
        };
        assert_eq!(look(1, 100, 0), None, "step 100 is marked");
        assert_eq!(look(2, 900, 100), None, "it is on disk; step 900 is marked");
        assert_eq!(look(5, 1_000, 899), None, "3 s are 50 ms, one sync of 2 s and some patience");
        assert_eq!(look(6, 1_000, 899), Some(4));
        assert_eq!(look(60, 2_000, 899), None, "it was told");
        assert_eq!(look(61, 2_000, 950), None, "the disk has caught up; step 2,000 is marked");
        assert_eq!(look(70, 3_000, 950), Some(9));
        assert_eq!(look(99, 3_000, 3_000), None);
    }
}
