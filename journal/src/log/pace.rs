//! The pace of the flusher: when a sync is due, and how long the steps that it takes along have waited.
//!
//! ```text
//!  look ........ look ......... look: due > pad, patience > walk > sync ................. > on disk
//!        ^ a step: its age counts from the look before            ^ a step: the next sync takes it, and
//!                                                                   its age counts from the walk before this one
//! ```
//!
//! Invariants: no step is younger than its age here says; a sync begins before the oldest step has waited for the
//! interval, or, where another sync is under way then, behind that one at once. So a step is on disk after the interval
//! or the sync under way when it was committed, whichever is longer, and the sync that takes it along.

use std::time::{Duration, Instant};

use super::options::Durability;

/// A gated journal is synced at least this often, wanted or not.
const GATED_INTERVAL: Duration = Duration::from_millis(100);

/// Time between two looks, at least and at most.
pub(super) const NAP: Duration = Duration::from_micros(500);
pub(super) const SLEEP: Duration = Duration::from_millis(10);

/// How long a flush waits for the writer's pad: somebody waits for it, or nobody does.
const PATIENCE_WANTED: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_millis(2);

/// When a sync is due.
#[derive(Debug)]
pub(super) struct Pace {
    /// Longest time that a step may be committed before a sync begins; none if it need not.
    interval: Option<Duration>,
    /// Every step that was committed before this has been seen.
    looked: Instant,
    /// No step that is not durable was committed before this; none if all are durable.
    since: Option<Instant>,
}

impl Pace {
    /// The pace of a mode, all steps being durable now.
    pub(super) fn new(durability: Durability, now: Instant) -> Self {
        let interval = match durability {
            Durability::PageCache => None,
            Durability::Async(interval) => Some(interval),
            Durability::Gated => Some(GATED_INTERVAL),
        };
        Self { interval, looked: now, since: None }
    }

    /// Longest time between two looks.
    pub(super) fn pause(&self) -> Duration {
        self.interval.map_or(SLEEP, |interval| (interval / 8).clamp(NAP, SLEEP))
    }

    /// How long a flush may wait for the writer's pad.
    pub(super) fn patience(&self, is_wanted: bool) -> Duration {
        if is_wanted { PATIENCE_WANTED } else { self.interval.map_or(PATIENCE, |it| PATIENCE.min(it / 2)) }
    }

    /// Takes in a look that was begun at `now`: whether it found steps that are not durable, and whether it saw every
    /// step there was.
    pub(super) fn look(&mut self, now: Instant, is_behind: bool, has_seen_all: bool) {
        if is_behind {
            self.since.get_or_insert(self.looked);
        } else {
            self.since = None;
        }
        if has_seen_all {
            self.looked = now;
        }
    }

    /// Whether steps wait for a sync.
    pub(super) fn is_behind(&self) -> bool {
        self.since.is_some()
    }

    /// Whether a sync must begin now, because with the next look it could be too late.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let (Some(interval), Some(since)) = (self.interval, self.since) else { return false };
        now.saturating_duration_since(since) + self.pause() + self.patience(false) >= interval
    }

    /// Takes in a sync that has succeeded, and gives the longest time that a step has waited for it. It took along every
    /// step that was committed before `walked`, unless that is none.
    pub(super) fn synced(&mut self, walked: Option<Instant>, now: Instant) -> Duration {
        let since = self.since.take().unwrap_or(self.looked);
        self.looked = walked.unwrap_or(self.looked);
        now.saturating_duration_since(since)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);

    /// A flusher in simulated time: syncs take what it is told, steps are committed as often as it is told. Checks
    /// every step against the bound, and what is reported against what is true.
    fn simulate(interval: Duration, gaps_us: &[u64], syncs_us: &[u64]) -> (Duration, Duration) {
        let start = Instant::now();
        let mut pace = Pace::new(Durability::Async(interval), start);
        let mut commits: VecDeque<Instant> = gaps_us
            .iter()
            .scan(start, |at, gap| {
                *at += MICROSECOND * *gap as u32;
                Some(*at)
            })
            .collect();
        let (mut now, mut syncs, mut before) = (start, syncs_us.iter().cycle(), (start, Duration::ZERO));
        let (mut reported_max, mut true_max) = (Duration::ZERO, Duration::ZERO);
        while let Some(oldest) = commits.front().copied() {
            pace.look(now, oldest < now, true);
            if !pace.is_due(now) {
                now += pace.pause();
                continue;
            }
            now += pace.patience(false);
            let (walked, sync) = (now, MICROSECOND * *syncs.next().unwrap() as u32);
            now += sync;
            let reported = pace.synced(Some(walked), now);
            while let Some(commit) = commits.pop_front_if(|commit| *commit < walked) {
                let lag = now - commit;
                // What was left of the sync before when the step was committed.
                let under_way = before.1.saturating_sub(commit.duration_since(before.0));
                let wait = interval.max(under_way + pace.patience(false));
                assert!(lag <= wait + sync, "{lag:?} > {wait:?} + {sync:?}");
                assert!(reported >= lag, "{reported:?} was reported, a step waited {lag:?}");
                true_max = true_max.max(lag);
            }
            (before, reported_max) = ((walked, sync), reported_max.max(reported));
        }
        (reported_max, true_max)
    }

    #[test]
    fn a_disk_that_takes_longer_than_the_interval_costs_a_second_sync_and_no_more() {
        let (interval, sync) = (Duration::from_millis(20), Duration::from_millis(80));
        let (reported, waited) = simulate(interval, &[100; 20_000], &[80_000]);
        let pad = Duration::from_millis(2);
        assert!(waited > 2 * sync - pad && waited <= 2 * sync + pad, "{waited:?}");
        assert!(reported >= waited && reported <= 2 * sync + pad, "{reported:?}");
        let (reported, waited) = simulate(interval, &[100; 20_000], &[5_000]);
        assert!(waited <= interval + Duration::from_millis(5), "{waited:?}");
        assert!(reported <= interval + Duration::from_millis(5), "{reported:?}");
    }

    #[test]
    fn steps_that_no_look_could_see_are_counted_from_the_last_one_that_saw_all() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut pace = Pace::new(Durability::Async(Duration::from_millis(50)), start);
        pace.look(at(1), false, true);
        // The writer has gone on in another segment: what it commits there is not seen.
        pace.look(at(2), true, false);
        assert_eq!(pace.synced(None, at(9)), Duration::from_millis(8));
        pace.look(at(10), true, true);
        assert_eq!(pace.synced(Some(at(11)), at(15)), Duration::from_millis(14));
        pace.look(at(16), true, true);
        assert_eq!(pace.synced(Some(at(17)), at(20)), Duration::from_millis(9));
    }

    proptest! {
        #[test]
        fn no_step_waits_longer_than_the_interval_or_the_sync_under_way_and_its_own(
            interval_ms in 1_u64..200,
            gaps_us in prop::collection::vec(0_u64..20_000, 1..300),
            syncs_us in prop::collection::vec(0_u64..300_000, 1..20),
        ) {
            simulate(Duration::from_millis(interval_ms), &gaps_us, &syncs_us);
        }
    }
}
