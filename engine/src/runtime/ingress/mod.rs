//! Ingress: the one writer that orders the world.
//!
//! ```text
//! feed 0 --\
//! feed 1 ---+--> merge by event time --> screen --> next input and its time
//! timer  --/
//! ```
//!
//! Feeds of the past, silences and timer pulses are merged by event time; ties go to the timer, then to the first feed.
//! Time never goes back: a tick from the past gets the present time and a mark. Live feeds are asked in turn, and what
//! they give is of now. Venue reports and commands are merged by the edge, which knows the gateway.

mod intake;
mod screen;

use pawl_journal::record::{
    FeedId, InstrumentId, LinkChanged, LinkKind, LinkState, RunEnded, Tick, Time, Timer,
};
use serde::{Deserialize, Serialize};

pub(crate) use self::intake::Intake;
use self::intake::{Silence, Taken};
use crate::Input;
use crate::port::{Feed, FeedError, FeedTick};
use crate::quantity::{Ppm, Span};

/// Most timer pulses in a row without another input; a longer silence gets one more pulse, at its end.
const PULSES_MAX: u32 = 64;

/// What is done with an input that is wrong in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handling {
    /// Count it and leave it out.
    Drop,
    /// Count it, mark it, and let risk refuse to trade on it.
    Flag,
}

/// How inputs are ordered, marked and paced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngressSettings {
    /// Time between timer pulses; 0 is none.
    pub timer: Span,
    /// A tick further than this from the tick before is marked as a jump.
    pub price_band: Ppm,
    /// A silence of a feed longer than this is a gap; 0 is never.
    pub gap: Span,
    /// Same time and prices as the tick before.
    pub duplicate: Handling,
    /// Own time before that of an earlier tick.
    pub backwards: Handling,
    /// Bid above ask.
    pub crossed: Handling,
    /// Bid or ask zero or negative.
    pub nonpositive: Handling,
    /// Further from the tick before than `price_band`.
    pub jump: Handling,
}

impl Default for IngressSettings {
    fn default() -> Self {
        Self {
            timer: Span::seconds(1),
            price_band: Ppm(20_000),
            gap: Span::seconds(300),
            duplicate: Handling::Drop,
            backwards: Handling::Flag,
            crossed: Handling::Flag,
            nonpositive: Handling::Flag,
            jump: Handling::Flag,
        }
    }
}

impl IngressSettings {
    /// The first key that makes no sense, its value, and what would be right.
    ///
    /// # Errors
    /// The three of them.
    pub fn validate(&self) -> Result<(), (&'static str, String, &'static str)> {
        const DAY: i64 = 86_400 * Time::SECOND;
        if self.timer.0 != 0 && !(Time::MILLISECOND..=DAY).contains(&self.timer.0) {
            return Err(("timer", self.timer.to_string(), "write 0s for none, or a duration from 1ms to 1d"));
        }
        if self.price_band.0 <= 0 {
            return Err((
                "price_band",
                self.price_band.to_string(),
                "write a percentage above 0%, such as \"2%\"",
            ));
        }
        if self.gap.0 < 0 {
            return Err(("gap", self.gap.to_string(), "write 0s for never, or a duration such as \"5m\""));
        }
        Ok(())
    }
}

/// One feed and the tick that comes next.
struct Source {
    feed: Box<dyn Feed>,
    instrument: InstrumentId,
    head: Option<FeedTick>,
}

impl Source {
    /// Skips what the journal holds, and checks that its last tick is where it was.
    fn skip_journaled(&mut self, journaled: &Tick) -> Result<(), FeedError> {
        self.feed.skip_to(journaled.source_sequence - 1)?;
        let found = self.feed.next()?;
        let same = found.is_some_and(|it| {
            (it.time, it.bid, it.ask) == (journaled.source_time, journaled.bid, journaled.ask)
                && it.source_sequence == journaled.source_sequence
        });
        if same {
            return Ok(());
        }
        Err(FeedError {
            message: format!(
                "{} is not the feed that the journal was made of: its tick {} is another one. Give the same feed (files \
                 may be added behind it), or begin a new journal",
                self.feed.name(),
                journaled.source_sequence
            ),
            environment: true,
        })
    }
}

/// The next input: when it is due, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// When.
    pub(crate) time: Time,
    next: Next,
}

/// Where the next input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Timer,
    Source(usize),
}

/// Merges feeds and timer by event time.
pub(crate) struct Ingress {
    settings: IngressSettings,
    sources: Vec<Source>,
    intake: Intake,
    next_pulse: Option<Time>,
    failure: Option<FeedError>,
    is_live: bool,
    /// The live feed that is asked next.
    turn: usize,
}

impl Ingress {
    /// An ingress over these feeds, each with the instrument it quotes, that has taken in as much as `intake` says.
    pub(crate) fn new(
        settings: &IngressSettings,
        feeds: Vec<(Box<dyn Feed>, InstrumentId)>,
        intake: Intake,
    ) -> Self {
        assert_eq!(feeds.len(), intake.feeds.len(), "an intake is of the same feeds");
        let sources: Vec<Source> =
            feeds.into_iter().map(|(feed, instrument)| Source { feed, instrument, head: None }).collect();
        let is_live = sources.iter().any(|source| source.feed.is_live());
        Self {
            settings: settings.clone(),
            sources,
            intake,
            next_pulse: None,
            failure: None,
            is_live,
            turn: 0,
        }
    }

    /// Whether its feeds are live; all of them are, or none.
    #[inline]
    pub(crate) const fn is_live(&self) -> bool {
        self.is_live
    }

    /// Whether no tick comes any more.
    pub(crate) fn is_over(&self) -> bool {
        self.failure.is_some() || self.sources.iter().all(|source| source.feed.has_ended())
    }

    /// Reads the first tick of every feed, from behind what the journal holds already. A new journal begins at the
    /// time of its first tick; another one goes on at the time of its last step, so that what was due in between
    /// still comes in its time.
    ///
    /// # Errors
    /// [`FeedError`] if a feed is not the one that the journal was made of.
    pub(crate) fn start(&mut self) -> Result<(), FeedError> {
        for (source, taken) in self.sources.iter_mut().zip(&self.intake.feeds) {
            match &taken.journaled {
                Some(journaled) if self.is_live => source.feed.skip_to(journaled.source_sequence)?,
                Some(journaled) => source.skip_journaled(journaled)?,
                None => {}
            }
        }
        if self.is_live {
            return Ok(());
        }
        for index in 0..self.sources.len() {
            self.refill(index);
        }
        if self.intake.now == Time(0) {
            let first = self.sources.iter().filter_map(|source| source.head.map(|head| head.time)).min();
            self.intake.now = first.unwrap_or(Time(0)).max(Time(0));
        }
        if self.settings.timer.0 > 0 {
            self.next_pulse =
                Some(Time((self.intake.now.0.div_euclid(self.settings.timer.0) + 1) * self.settings.timer.0));
        }
        Ok(())
    }

    /// The time of the last input; of the first one before any was taken.
    pub(crate) const fn now(&self) -> Time {
        self.intake.now
    }

    /// Puts the time forward for an input that the edge adds, and ends a run of timer pulses.
    pub(crate) fn advance(&mut self, time: Time) -> Time {
        self.intake.now = self.intake.now.max(time);
        self.intake.pulses = 0;
        self.intake.now
    }

    /// The feed that failed, if one did.
    pub(crate) fn take_failure(&mut self) -> Option<FeedError> {
        self.failure.take()
    }

    /// Tick counts of this run.
    pub(crate) const fn counts(&self) -> &RunEnded {
        self.intake.screen.counts()
    }

    /// How far the feeds are, 0 to 1, if they know.
    pub(crate) fn progress(&self) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for share in self.sources.iter().filter_map(|source| source.feed.progress()) {
            sum += share;
            count += 1;
        }
        (count > 0).then(|| sum / f64::from(count))
    }

    /// The next input, as [`Self::next_due`] has just told of it, and its time; `None` if it was a tick to be left out.
    #[inline]
    pub(crate) fn take(&mut self, Due { time: due, next }: Due) -> Option<(Time, Input)> {
        match next {
            Next::Timer => {
                self.intake.now = self.intake.now.max(due);
                self.intake.pulses += 1;
                self.next_pulse = Some(Time(due.0 + self.settings.timer.0));
                Some((self.intake.now, Input::Timer(Timer { due, interval_ns: self.settings.timer.0 })))
            }
            Next::Source(index) => self.take_from(index, due),
        }
    }

    /// Takes what has come from a live feed, or is due by `now`; `None` if there is nothing, or it was a tick to be left
    /// out.
    #[inline]
    pub(crate) fn take_live(&mut self, now: Time) -> Option<(Time, Input)> {
        let now = now.max(self.intake.now);
        if self.settings.timer.0 > 0 && self.next_pulse.is_none_or(|pulse| pulse <= now) {
            let interval = self.settings.timer.0;
            let due = self.next_pulse.replace(Time((now.0.div_euclid(interval) + 1) * interval));
            if let Some(due) = due {
                self.intake.now = now;
                self.intake.pulses += 1;
                return Some((now, Input::Timer(Timer { due, interval_ns: interval })));
            }
        }
        for _ in 0..self.sources.len() {
            let index = self.turn;
            self.turn = if index + 1 == self.sources.len() { 0 } else { index + 1 };
            if let Some(taken) = self.take_live_from(index, now) {
                return Some(taken);
            }
        }
        None
    }

    fn take_live_from(&mut self, index: usize, now: Time) -> Option<(Time, Input)> {
        if self.sources[index].head.is_none() {
            self.refill(index);
        }
        let source = &mut self.sources[index];
        let taken = &mut self.intake.feeds[index];
        let silent_since = taken.seen.unwrap_or(now);
        let is_gap = self.settings.gap.0 > 0 && now.0 - silent_since.0 > self.settings.gap.0;
        match (is_gap, taken.silence, source.head) {
            (true, Silence::None, _) => return Some(self.tell_silence(index, silent_since, None, now)),
            (true, Silence::Stale, Some(_)) => {
                return Some(self.tell_silence(index, silent_since, Some(now), now));
            }
            _ => {}
        }
        let head = source.head.take()?;
        let gap = taken.silence == Silence::Gap;
        taken.take(head.time, now);
        let marks = self.intake.screen.admit(&head, gap)?;
        Some((self.advance(now), Input::Tick(head.record(FeedId(index as u16), marks))))
    }

    /// Tells of a feed's silence, and of its end if there is one.
    fn tell_silence(&mut self, index: usize, from: Time, to: Option<Time>, now: Time) -> (Time, Input) {
        let (state, silence) = match to {
            None => (LinkState::STALE, Silence::Stale),
            Some(_) => (LinkState::GAP, Silence::Gap),
        };
        self.intake.feeds[index].silence = silence;
        let link = LinkChanged {
            from: from.0,
            to: to.unwrap_or_default().0,
            link: LinkKind::FEED,
            state,
            feed: FeedId(index as u16),
            instrument: self.sources[index].instrument,
            ..LinkChanged::default()
        };
        (self.advance(now), Input::Link(link))
    }

    fn take_from(&mut self, index: usize, due: Time) -> Option<(Time, Input)> {
        let head = self.sources[index].head.expect("the source was chosen for its head");
        let taken = &self.intake.feeds[index];
        let silent_since = taken.last_time.unwrap_or(head.time);
        if self.settings.gap.0 > 0 && head.time.0.saturating_sub(silent_since.0) > self.settings.gap.0 {
            match taken.silence {
                Silence::None => return Some(self.tell_silence(index, silent_since, None, due)),
                Silence::Stale => return Some(self.tell_silence(index, silent_since, Some(head.time), due)),
                Silence::Gap => return self.take_tick(index, head, true),
            }
        }
        self.take_tick(index, head, false)
    }

    fn take_tick(&mut self, index: usize, head: FeedTick, gap: bool) -> Option<(Time, Input)> {
        let time = head.time.max(self.intake.now);
        self.intake.feeds[index].take(head.time, time);
        self.refill(index);
        let marks = self.intake.screen.admit(&head, gap)?;
        self.advance(time);
        Some((time, Input::Tick(head.record(FeedId(index as u16), marks))))
    }

    fn refill(&mut self, index: usize) {
        let source = &mut self.sources[index];
        match source.feed.next() {
            Ok(head) => source.head = head,
            Err(error) => {
                source.head = None;
                self.failure = Some(error);
            }
        }
    }

    /// The next input; `None` when every feed has ended or one has failed.
    #[inline]
    pub(crate) fn next_due(&self) -> Option<Due> {
        if self.failure.is_some() {
            return None;
        }
        let (due, index) = match self.sources.as_slice() {
            [only] => (self.source_due(only, &self.intake.feeds[0])?, 0),
            sources => sources
                .iter()
                .zip(&self.intake.feeds)
                .enumerate()
                .filter_map(|(index, (source, taken))| Some((self.source_due(source, taken)?, index)))
                .min()?,
        };
        match self.next_pulse {
            Some(pulse) if pulse <= due => {
                let pulse = if self.intake.pulses < PULSES_MAX {
                    pulse
                } else {
                    pulse.max(Time(due.0.div_euclid(self.settings.timer.0) * self.settings.timer.0))
                };
                Some(Due { time: pulse, next: Next::Timer })
            }
            _ => Some(Due { time: due, next: Next::Source(index) }),
        }
    }

    /// When a source's next input is due: its tick, or the moment its silence becomes a gap.
    #[inline]
    fn source_due(&self, source: &Source, taken: &Taken) -> Option<Time> {
        let head = source.head?;
        let due = match taken.last_time {
            Some(last) if taken.silence == Silence::None && self.settings.gap.0 > 0 => {
                let stale = last.0.saturating_add(self.settings.gap.0);
                if head.time.0 > stale { Time(stale) } else { head.time }
            }
            _ => head.time,
        };
        Some(due.max(self.intake.now))
    }
}

#[cfg(test)]
mod tests {
    use pawl_journal::record::Points;

    use super::*;

    struct List(std::vec::IntoIter<FeedTick>);

    impl Feed for List {
        fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
            Ok(self.0.next())
        }

        fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
            while self.0.as_slice().first().is_some_and(|tick| tick.source_sequence <= source_sequence) {
                self.0.next();
            }
            Ok(())
        }

        fn name(&self) -> &'static str {
            "list"
        }
    }

    const SECOND: i64 = Time::SECOND;

    fn list(instrument: u16, times: &[i64]) -> (Box<dyn Feed>, InstrumentId) {
        let ticks: Vec<FeedTick> = (1..)
            .zip(times)
            .map(|(sequence, &time)| FeedTick {
                time: Time(time),
                source_sequence: sequence,
                bid: Points(1_000 + sequence as i64),
                ask: Points(1_002 + sequence as i64),
                instrument: InstrumentId(instrument),
                ..FeedTick::default()
            })
            .collect();
        (Box::new(List(ticks.into_iter())), InstrumentId(instrument))
    }

    fn run(settings: &IngressSettings, feeds: Vec<(Box<dyn Feed>, InstrumentId)>) -> Vec<(i64, String)> {
        let intake = Intake::new(settings, feeds.len());
        let mut ingress = Ingress::new(settings, feeds, intake);
        ingress.start().expect("nothing is journaled");
        let mut out = Vec::new();
        while let Some(due) = ingress.next_due() {
            if let Some((time, input)) = ingress.take(due) {
                let name = match input {
                    Input::Tick(tick) => format!("tick {}", tick.instrument),
                    Input::Timer(_) => "timer".to_owned(),
                    Input::Link(link) => link.state.to_string(),
                    Input::Report(_) | Input::Command(_) | Input::Reconciled(_) => unreachable!(),
                };
                out.push((time.0, name));
            }
        }
        out
    }

    fn named(items: &[(i64, &str)]) -> Vec<(i64, String)> {
        items.iter().map(|(time, name)| (*time, (*name).to_owned())).collect()
    }

    #[test]
    fn feeds_and_timer_are_merged_by_time_and_ties_go_to_the_timer_and_the_first_feed() {
        let out = run(
            &IngressSettings::default(),
            vec![list(0, &[SECOND / 2, SECOND, 2 * SECOND]), list(1, &[SECOND, SECOND + 1])],
        );
        let expected = named(&[
            (SECOND / 2, "tick 0"),
            (SECOND, "timer"),
            (SECOND, "tick 0"),
            (SECOND, "tick 1"),
            (SECOND + 1, "tick 1"),
            (2 * SECOND, "timer"),
            (2 * SECOND, "tick 0"),
        ]);
        assert_eq!(out, expected);
    }

    #[test]
    fn time_never_goes_back() {
        let settings = IngressSettings { timer: Span(0), ..IngressSettings::default() };
        let out = run(&settings, vec![list(0, &[5, 3, 7])]);
        assert_eq!(out, named(&[(5, "tick 0"), (5, "tick 0"), (7, "tick 0")]));
    }

    #[test]
    fn a_silence_is_told_when_it_becomes_a_gap_and_when_it_ends() {
        let settings = IngressSettings { timer: Span(0), gap: Span(10), ..IngressSettings::default() };
        let out = run(&settings, vec![list(0, &[5, 100, 101])]);
        assert_eq!(
            out,
            named(&[(5, "tick 0"), (15, "stale"), (100, "gap"), (100, "tick 0"), (101, "tick 0")])
        );
    }

    #[test]
    fn a_silence_of_years_costs_a_bounded_number_of_pulses() {
        let settings = IngressSettings { gap: Span(0), ..IngressSettings::default() };
        let out = run(&settings, vec![list(0, &[SECOND, 1_000_000_000 * SECOND])]);
        assert_eq!(out.len(), 2 + 64 + 1);
        assert_eq!(out[out.len() - 2].0, 1_000_000_000 * SECOND);
    }

    #[test]
    fn a_failing_feed_ends_the_input_after_what_came_before() {
        struct Failing(bool);
        impl Feed for Failing {
            fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(FeedError { message: "line 2".into(), environment: false });
                }
                Ok(Some(FeedTick { time: Time(1), ..FeedTick::default() }))
            }
            fn skip_to(&mut self, _: u64) -> Result<(), FeedError> {
                Ok(())
            }
            fn name(&self) -> &'static str {
                "failing"
            }
        }
        let settings = IngressSettings::default();
        let feeds: Vec<(Box<dyn Feed>, _)> = vec![(Box::new(Failing(false)), InstrumentId(0))];
        let mut ingress = Ingress::new(&settings, feeds, Intake::new(&settings, 1));
        ingress.start().expect("nothing is journaled");
        let due = ingress.next_due().expect("a tick");
        assert!(ingress.take(due).is_some());
        assert_eq!(ingress.next_due(), None);
        assert_eq!(ingress.take_failure().expect("failed").message, "line 2");
    }
}
