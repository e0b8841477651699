//! The screen: says what is wrong with a tick, counts it, and drops it where the configuration says so.

use pawl_journal::record::{RunEnded, Tick, TickMarks, Time};

use super::{Handling, IngressSettings};
use crate::instrument::INSTRUMENTS_MAX;
use crate::port::FeedTick;
use crate::stateful;

/// What the screen remembers of an instrument.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    last: FeedTick,
    time_max: Time,
    any: bool,
    /// Mid of the last tick with positive prices, in half points; 0 if there was none.
    mid2: i64,
}

stateful!(Seen { last, time_max, any, mid2 });

/// Marks and counts ticks.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    settings: IngressSettings,
    seen: Box<[Seen]>,
    counts: RunEnded,
}

stateful!(Screen { seen } but { settings, counts });

impl Screen {
    /// A screen that has seen nothing.
    pub(crate) fn new(settings: &IngressSettings) -> Self {
        Self {
            settings: settings.clone(),
            seen: vec![Seen::default(); INSTRUMENTS_MAX].into_boxed_slice(),
            counts: RunEnded::default(),
        }
    }

    /// The marks of a tick, or `None` if it is to be left out.
    pub(crate) fn admit(&mut self, tick: &FeedTick, gap: bool) -> Option<TickMarks> {
        let marks = self.marks(tick);
        self.remember(tick);
        if !marks.is_empty() && self.count_wrong(marks) {
            return None;
        }
        self.counts.ticks += 1;
        Some(if gap { marks.with(TickMarks::GAP) } else { marks })
    }

    /// Counts what is wrong with a tick; says whether it is to be left out for it.
    #[cold]
    fn count_wrong(&mut self, marks: TickMarks) -> bool {
        let counts = &mut self.counts;
        let mut dropped = false;
        for (mark, handling, count) in [
            (TickMarks::DUPLICATE, self.settings.duplicate, &mut counts.ticks_duplicate),
            (TickMarks::BACKWARDS, self.settings.backwards, &mut counts.ticks_backwards),
            (TickMarks::CROSSED, self.settings.crossed, &mut counts.ticks_crossed),
            (TickMarks::NONPOSITIVE, self.settings.nonpositive, &mut counts.ticks_nonpositive),
            (TickMarks::JUMP, self.settings.jump, &mut counts.ticks_jump),
        ] {
            if marks.has(mark) {
                *count += 1;
                dropped |= handling == Handling::Drop;
            }
        }
        counts.ticks_dropped += u64::from(dropped);
        dropped
    }

    /// Takes a journaled tick into account after a restart.
    pub(crate) fn restore(&mut self, tick: &Tick) {
        self.remember(&FeedTick::of_record(tick));
    }

    /// What was counted since the screen was made.
    pub(crate) const fn counts(&self) -> &RunEnded {
        &self.counts
    }

    fn marks(&self, tick: &FeedTick) -> TickMarks {
        let seen = &self.seen[usize::from(tick.instrument.0)];
        let positive = tick.bid.0 > 0 && tick.ask.0 > 0;
        let mut marks = TickMarks::NONE;
        marks.set_if(TickMarks::NONPOSITIVE, !positive);
        marks.set_if(TickMarks::CROSSED, positive && tick.bid > tick.ask);
        if seen.any {
            let last = &seen.last;
            let same = (last.time, last.bid, last.ask, last.last, last.volume)
                == (tick.time, tick.bid, tick.ask, tick.last, tick.volume);
            marks.set_if(TickMarks::DUPLICATE, same);
            marks.set_if(TickMarks::BACKWARDS, tick.time < seen.time_max);
            let moved = (tick.bid.0.saturating_add(tick.ask.0)).saturating_sub(seen.mid2).unsigned_abs();
            let allowed = i128::from(seen.mid2) * i128::from(self.settings.price_band.0);
            let jumped = positive && seen.mid2 > 0 && i128::from(moved) * 1_000_000 > allowed;
            marks.set_if(TickMarks::JUMP, jumped);
        }
        marks
    }

    fn remember(&mut self, tick: &FeedTick) {
        let seen = &mut self.seen[usize::from(tick.instrument.0)];
        seen.last = *tick;
        seen.time_max = seen.time_max.max(tick.time);
        seen.any = true;
        if tick.bid.0 > 0 && tick.ask.0 > 0 {
            seen.mid2 = tick.bid.0.saturating_add(tick.ask.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use pawl_journal::record::Points;

    use super::*;

    fn tick(time: i64, bid: i64, ask: i64) -> FeedTick {
        FeedTick { time: Time(time), bid: Points(bid), ask: Points(ask), ..FeedTick::default() }
    }

    fn marks_of(ticks: &[FeedTick]) -> Vec<Option<TickMarks>> {
        let mut screen = Screen::new(&IngressSettings::default());
        ticks.iter().map(|tick| screen.admit(tick, false)).collect()
    }

    #[test]
    fn clean_ticks_and_zero_spread_pass_unmarked() {
        assert_eq!(marks_of(&[tick(1, 100, 101), tick(2, 101, 101)]), vec![Some(TickMarks::NONE); 2]);
    }

    #[test]
    fn a_duplicate_is_dropped_and_the_rest_is_marked() {
        let marks = marks_of(&[
            tick(10, 1_000, 1_001),
            tick(10, 1_000, 1_001),
            tick(9, 1_000, 1_001),
            tick(11, 1_002, 1_001),
            tick(12, 0, 1_001),
            tick(13, -1, 1_001),
            tick(14, 1_100, 1_101),
            tick(15, 1_100, 1_102),
        ]);
        let expected = [
            Some(TickMarks::NONE),
            None,
            Some(TickMarks::BACKWARDS),
            Some(TickMarks::CROSSED),
            Some(TickMarks::NONPOSITIVE),
            Some(TickMarks::NONPOSITIVE),
            Some(TickMarks::JUMP),
            Some(TickMarks::NONE),
        ];
        assert_eq!(marks, expected);
    }

    #[test]
    fn every_mark_is_counted_and_dropped_where_configured() {
        let settings = IngressSettings { jump: Handling::Drop, ..IngressSettings::default() };
        let mut screen = Screen::new(&settings);
        assert!(screen.admit(&tick(1, 1_000, 1_001), false).is_some());
        assert!(screen.admit(&tick(2, 2_000, 2_001), false).is_none());
        let counts = screen.counts();
        assert_eq!((counts.ticks, counts.ticks_jump, counts.ticks_dropped), (1, 1, 1));
    }

    #[test]
    fn extreme_prices_do_not_overflow() {
        let _ = marks_of(&[tick(1, i64::MAX, i64::MAX), tick(2, i64::MIN, i64::MAX), tick(3, 1, i64::MAX)]);
    }
}
